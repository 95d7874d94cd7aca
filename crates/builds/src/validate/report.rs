//! Prints what was found, in the words of the scripts that this replaces.

mod github;
mod places;
mod sarif;

use std::fmt::Write as _;

pub use github::github;
pub use sarif::sarif;

use super::{BundleReport, Finding, Frame, ImportKind, Link, Severity, ToldBy};

/// What is said where nobody knows what lies in a bundle.
const NOBODY: &str = "no source map or metafile tells what lies in it; only imports were looked at";

/// What a megabyte is in the reports: 2^20 bytes, as ever.
const MEGABYTE: u64 = 1 << 20;

/// The verdict on all bundles for people. No bundle at all is not clean.
pub fn render(reports: &[BundleReport]) -> String {
    let mut text = String::new();
    for report in reports {
        bundle(&mut text, report);
    }
    let mut labels: Vec<&str> = Vec::new();
    let findings = reports.iter().flat_map(|report| &report.findings);
    for finding in findings.filter(|finding| finding.severity == Severity::Error) {
        if !labels.contains(&finding.label.as_str()) {
            labels.push(&finding.label);
        }
    }
    // Writing to a String cannot fail.
    let _ = if reports.is_empty() {
        writeln!(text, "❌ BUILD VALIDATION FAILED: there is no bundle")
    } else if labels.is_empty() {
        writeln!(text, "✅ All bundles are clean!")
    } else {
        let labels = labels.join(" and ");
        writeln!(
            text,
            "❌ BUILD VALIDATION FAILED: {labels} dependencies found"
        )
    };
    text
}

fn bundle(text: &mut String, report: &BundleReport) {
    let path = report.path.display();
    let is_error = |finding: &&Finding| finding.severity == Severity::Error;
    let (errors, others): (Vec<&Finding>, Vec<&Finding>) =
        report.findings.iter().partition(is_error);
    let groups = by_label(&errors);
    if groups.is_empty() {
        let size = megabytes(report.size_bytes);
        let lines = thousands(report.lines);
        let _ = writeln!(text, "✅ {path}: CLEAN ({size}, {lines} lines)");
    } else {
        let _ = writeln!(text, "❌ {path}: Found {} issue(s):", groups.len());
    }
    let mut told: &[Link] = &[];
    for (mark, groups) in [("⚠️ ", groups), ("ℹ️ ", by_label(&others))] {
        for (label, findings) in groups {
            let _ = writeln!(text, "   {mark} {label}: {} occurrence(s)", findings.len());
            for finding in findings {
                occurrence(text, finding);
                if !finding.chain.is_empty() && finding.chain != told {
                    way(text, finding);
                    told = &finding.chain;
                }
            }
        }
    }
    for allowed in &report.allowed {
        let _ = writeln!(text, "   allowed: {} ({})", allowed.what, allowed.reason);
    }
    for note in &report.notes {
        let _ = writeln!(text, "   note: {note}");
    }
    if report.told_by == ToldBy::Nobody {
        let _ = writeln!(text, "   note: {NOBODY}");
    }
    if report.nx && !errors.is_empty() {
        let _ = writeln!(
            text,
            "   note: where a fix does not show, `npx nx reset` empties Nx's cache"
        );
    }
}

fn occurrence(text: &mut String, finding: &Finding) {
    let Finding {
        line,
        code,
        specifier,
        ..
    } = finding;
    if finding.kind == ImportKind::TypeOnly {
        let original = finding.original.as_ref();
        let place = original.map_or_else(String::new, |one| format!("{}:{}", one.file, one.line));
        let _ = writeln!(text, "      {place}: only types of {specifier}");
        return;
    }
    let at = if *line == 0 {
        String::new()
    } else {
        format!("Line {line}: ")
    };
    let _ = match (finding.bytes, finding.modules) {
        (Some(bytes), Some(modules)) => {
            let bytes = thousands(usize::try_from(bytes).unwrap_or(usize::MAX));
            let files = if modules == 1 { "file" } else { "files" };
            writeln!(
                text,
                "      {at}{specifier} lies in the bundle: {bytes} bytes of {modules} {files}"
            )
        }
        _ => writeln!(text, "      {at}{code}"),
    };
    if finding.guarded {
        let _ = writeln!(text, "         the program goes on without it");
    }
}

/// How it got there, and what to change.
fn way(text: &mut String, finding: &Finding) {
    for link in &finding.chain {
        let (file, verb) = (
            &link.file,
            if link.passed_on { "exports" } else { "imports" },
        );
        let line = link
            .line
            .map_or_else(String::new, |line| format!(":{line}"));
        let _ = writeln!(text, "         {file}{line} {verb} \"{}\"", link.imports);
    }
    if let Some(fix) = &finding.fix {
        let line = fix.line.map_or_else(String::new, |line| format!(":{line}"));
        let _ = writeln!(text, "         fix: {}{line}: {}", fix.file, fix.advice);
    }
    for line in finding.frame.iter().flat_map(Frame::drawn) {
        let _ = writeln!(text, "            {line}");
    }
}

/// The findings of each label, in the order in which the labels first occur.
fn by_label<'f>(findings: &[&'f Finding]) -> Vec<(&'f str, Vec<&'f Finding>)> {
    let mut groups: Vec<(&str, Vec<&Finding>)> = Vec::new();
    for finding in findings {
        let label = finding.label.as_str();
        match groups.iter_mut().find(|(known, _)| *known == label) {
            Some((_, group)) => group.push(finding),
            None => groups.push((label, vec![finding])),
        }
    }
    groups
}

/// `8.83MB`, rounded to the nearest hundredth.
fn megabytes(bytes: u64) -> String {
    let hundredths = (u128::from(bytes) * 100 + u128::from(MEGABYTE / 2)) / u128::from(MEGABYTE);
    format!("{}.{:02}MB", hundredths / 100, hundredths % 100)
}

/// `210,767`.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
