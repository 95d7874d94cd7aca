//! Prints what was found, in the words of the scripts that this replaces.

use std::fmt::Write as _;

use super::{BundleReport, Finding};

/// What a megabyte is in the reports: 2^20 bytes, as ever.
const MEGABYTE: u64 = 1 << 20;

/// The verdict on all bundles for people. No bundle at all is not clean.
pub fn render(reports: &[BundleReport]) -> String {
    let mut text = String::new();
    for report in reports {
        bundle(&mut text, report);
    }
    let mut labels: Vec<&str> = Vec::new();
    for finding in reports.iter().flat_map(|report| &report.findings) {
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
    let groups = by_label(&report.findings);
    if groups.is_empty() {
        let size = megabytes(report.size_bytes);
        let lines = thousands(report.lines);
        let _ = writeln!(text, "✅ {path}: CLEAN ({size}, {lines} lines)");
        return;
    }
    let _ = writeln!(text, "❌ {path}: Found {} issue(s):", groups.len());
    for (label, findings) in groups {
        let _ = writeln!(text, "   ⚠️  {label}: {} occurrence(s)", findings.len());
        for finding in findings {
            let _ = writeln!(text, "      Line {}: {}", finding.line, finding.code);
        }
    }
}

/// The findings of each label, in the order in which the labels first occur.
fn by_label(findings: &[Finding]) -> Vec<(&str, Vec<&Finding>)> {
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
mod tests {
    use super::super::ImportKind;
    use super::*;

    fn finding(label: &str, line: usize, code: &str) -> Finding {
        Finding {
            label: label.to_owned(),
            specifier: "react".to_owned(),
            kind: ImportKind::Require,
            line,
            column: 1,
            code: code.to_owned(),
        }
    }

    fn report(path: &str, findings: Vec<Finding>) -> BundleReport {
        BundleReport {
            path: path.into(),
            size_bytes: 9_255_528,
            lines: 210_767,
            findings,
        }
    }

    fn check(reports: &[BundleReport], expected: &str) {
        assert_eq!(render(reports), expected);
    }

    #[test]
    fn clean_bundles_are_clean() {
        check(
            &[report("dist/packages/app-gateway/main.js", vec![])],
            "✅ dist/packages/app-gateway/main.js: CLEAN (8.83MB, 210,767 lines)\n\
             ✅ All bundles are clean!\n",
        );
    }

    #[test]
    fn every_occurrence_is_listed_under_its_label() {
        let dirty = vec![
            finding("React", 181_638, "var e4 = require(\"react\");"),
            finding("Frontend", 181_700, "require(\"@x/y/frontend\")"),
            finding("React", 181_853, "var react = require(\"react\");"),
        ];
        check(
            &[report("a/main.js", vec![]), report("b/main.js", dirty)],
            "✅ a/main.js: CLEAN (8.83MB, 210,767 lines)\n\
             ❌ b/main.js: Found 2 issue(s):\n   \
                ⚠️  React: 2 occurrence(s)\n      \
                   Line 181638: var e4 = require(\"react\");\n      \
                   Line 181853: var react = require(\"react\");\n   \
                ⚠️  Frontend: 1 occurrence(s)\n      \
                   Line 181700: require(\"@x/y/frontend\")\n\
             ❌ BUILD VALIDATION FAILED: React and Frontend dependencies found\n",
        );
    }

    #[test]
    fn no_bundle_is_not_clean() {
        check(&[], "❌ BUILD VALIDATION FAILED: there is no bundle\n");
    }

    #[test]
    fn numbers_read_as_in_the_tables() {
        let sizes = [
            (0, "0.00MB"),
            (MEGABYTE, "1.00MB"),
            (4_299_162, "4.10MB"),
            (5_238, "0.00MB"),
            (5_243, "0.01MB"),
        ];
        for (bytes, expected) in sizes {
            assert_eq!(megabytes(bytes), expected);
        }
        for (number, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(thousands(number), expected);
        }
    }
}
