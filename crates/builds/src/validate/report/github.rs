//! The findings as commands of GitHub's workflows, which shows them beside the code.

use std::fmt::Write as _;

use super::places::places;
use crate::secrets::SecretHit;
use crate::validate::{BundleReport, Severity};

/// A line each.
pub fn github(reports: &[BundleReport], secrets: &[SecretHit]) -> String {
    let mut text = String::new();
    for place in places(reports, secrets) {
        let command = match place.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        // Writing to a String cannot fail.
        let _ = write!(text, "::{command} file={}", property(&place.file));
        if let Some(line) = place.spot.line {
            let _ = write!(text, ",line={line}");
        }
        if let Some(column) = place.spot.column {
            let _ = write!(text, ",col={column}");
        }
        let _ = writeln!(
            text,
            ",title={}::{}",
            property(&place.rule),
            data(&place.message)
        );
    }
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
