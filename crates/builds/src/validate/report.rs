//! Prints what was found, in the words of the scripts that this replaces.

use std::fmt::Write as _;

use super::{BundleReport, Finding, Link, Severity, ToldBy};

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
        let _ = writeln!(
            text,
            "   note: no source map or metafile tells what lies in it; only imports were looked at"
        );
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
mod tests {
    use super::super::{AllowedFinding, Fix, FixKind, ImportKind};
    use super::*;

    fn finding(label: &str, line: usize, code: &str) -> Finding {
        Finding {
            label: label.to_owned(),
            specifier: "react".to_owned(),
            kind: ImportKind::Require,
            line,
            column: 1,
            code: code.to_owned(),
            severity: Severity::Error,
            guarded: false,
            bytes: None,
            modules: None,
            original: None,
            chain: Vec::new(),
            fix: None,
        }
    }

    fn report(path: &str, findings: Vec<Finding>) -> BundleReport {
        BundleReport {
            path: path.into(),
            size_bytes: 9_255_528,
            lines: 210_767,
            findings,
            allowed: Vec::new(),
            told_by: ToldBy::Map,
            notes: Vec::new(),
            nx: false,
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
    fn the_way_into_a_bundle_is_told_once_with_its_fix() {
        let link = |file: &str, imports: &str, passed_on| Link {
            file: file.to_owned(),
            line: Some(3),
            imports: imports.to_owned(),
            passed_on,
        };
        let chain = vec![
            link("app/src/main.ts", "@x/collab", false),
            link("collab/src/index.ts", "./hooks", true),
        ];
        let held = Finding {
            bytes: Some(45_678),
            modules: Some(2),
            chain: chain.clone(),
            fix: Some(Fix {
                kind: FixKind::BackEndIndex,
                file: "collab/src/index.ts".to_owned(),
                line: Some(3),
                advice: "move the export".to_owned(),
            }),
            ..finding("React", 7, "")
        };
        let again = Finding {
            specifier: "react-dom".to_owned(),
            line: 0,
            modules: Some(1),
            ..held.clone()
        };
        let guarded = Finding {
            severity: Severity::Note,
            guarded: true,
            ..finding("React", 9, "try { require(\"react\") } catch {}")
        };
        let dirty = BundleReport {
            allowed: vec![AllowedFinding {
                what: "react-is".to_owned(),
                reason: "no front end".to_owned(),
            }],
            notes: vec!["something".to_owned()],
            nx: true,
            ..report("main.js", vec![held, again, guarded])
        };
        check(
            &[dirty],
            "❌ main.js: Found 1 issue(s):\n   \
                ⚠️  React: 2 occurrence(s)\n      \
                   Line 7: react lies in the bundle: 45,678 bytes of 2 files\n         \
                      app/src/main.ts:3 imports \"@x/collab\"\n         \
                      collab/src/index.ts:3 exports \"./hooks\"\n         \
                      fix: collab/src/index.ts:3: move the export\n      \
                   react-dom lies in the bundle: 45,678 bytes of 1 file\n   \
                ℹ️  React: 1 occurrence(s)\n      \
                   Line 9: try { require(\"react\") } catch {}\n         \
                      the program goes on without it\n   \
                allowed: react-is (no front end)\n   \
                note: something\n   \
                note: where a fix does not show, `npx nx reset` empties Nx's cache\n\
             ❌ BUILD VALIDATION FAILED: React dependencies found\n",
        );
    }

    #[test]
    fn a_note_keeps_a_bundle_clean_and_what_nobody_tells_is_said() {
        let noted = Finding {
            severity: Severity::Note,
            ..finding("React", 9, "x")
        };
        let unknown = BundleReport {
            told_by: ToldBy::Nobody,
            ..report("a.js", vec![noted])
        };
        check(
            &[unknown],
            "✅ a.js: CLEAN (8.83MB, 210,767 lines)\n   \
                ℹ️  React: 1 occurrence(s)\n      \
                   Line 9: x\n   \
                note: no source map or metafile tells what lies in it; only imports were looked at\n\
             ✅ All bundles are clean!\n",
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
