//! The findings as SARIF 2.1.0, which forges and editors read.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::places::{Place, places};
use crate::secrets::SecretHit;
use crate::validate::{BundleReport, Severity};

/// The log of one run, by a program of this version.
pub fn sarif(reports: &[BundleReport], secrets: &[SecretHit], version: &str) -> Value {
    let places = places(reports, secrets);
    let rules: BTreeSet<&str> = places.iter().map(|place| place.rule.as_str()).collect();
    let rules: Vec<Value> = rules.iter().map(|id| json!({ "id": id })).collect();
    let results: Vec<Value> = places.iter().map(result).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "lockgate", "semanticVersion": version, "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(place: &Place) -> Value {
    let level = match place.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let mut region = serde_json::Map::new();
    if let Some(line) = place.line {
        region.insert("startLine".to_owned(), line.into());
    }
    if let Some(column) = place.column {
        region.insert("startColumn".to_owned(), column.into());
    }
    let mut physical = json!({ "artifactLocation": { "uri": uri(&place.file) } });
    if let (false, Some(physical)) = (region.is_empty(), physical.as_object_mut()) {
        physical.insert("region".to_owned(), region.into());
    }
    let mut result = json!({
        "ruleId": place.rule,
        "level": level,
        "message": { "text": place.message },
        "locations": [{ "physicalLocation": physical }],
    });
    if let (Some(fingerprint), Some(result)) = (&place.fingerprint, result.as_object_mut()) {
        let fingerprints = json!({ "secret/v1": fingerprint });
        result.insert("partialFingerprints".to_owned(), fingerprints);
    }
    result
}

/// A relative reference: what has a meaning in it is escaped.
fn uri(file: &str) -> String {
    let mut uri = String::new();
    for byte in file.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/@+,=()!$&'*".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}
