//! The labelled corpus: bundles by the real tools, judged one by one.
//!
//! `scripts/corpus.sh` builds it; `cases.json` says what each bundle holds.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use lockgate_builds::validate::{BundleReport, ImportKind, Rules, Severity, validate_bundle};
use serde::Deserialize;

/// Fewer would be no corpus.
const LEAST: usize = 60;

#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    bundle: PathBuf,
    expect: String,
}

/// What a report says of a bundle, in the corpus' words.
fn said(report: &BundleReport) -> &'static str {
    let errors: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .collect();
    let inlined = errors
        .iter()
        .filter(|finding| finding.kind == ImportKind::Inlined)
        .count();
    match (report.findings.len(), errors.len(), inlined) {
        (0, _, _) => "clean",
        (_, 0, _) => "guarded",
        (_, all, inlined) if all == inlined => "inlined",
        (_, _, 0) => "external",
        _ => "both",
    }
}

#[test]
fn every_bundle_of_the_corpus_is_judged_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/corpus");
    let list = std::fs::read_to_string(folder.join("cases.json"))
        .expect("the corpus is built by `scripts/corpus.sh`; `just test` does that");
    let cases: Vec<Case> = serde_json::from_str(&list).unwrap();
    assert!(cases.len() >= LEAST, "{} bundles", cases.len());
    let (mut table, mut wrong) = (String::new(), 0);
    for case in &cases {
        let report = validate_bundle(&folder, &case.bundle, &Rules::default()).unwrap();
        let found = said(&report);
        let right = found == case.expect;
        wrong += usize::from(!right);
        let mark = if right { "  " } else { "✗ " };
        writeln!(
            table,
            "{mark}{:<9} {:<9} {:?} {} ({})",
            case.expect,
            found,
            report.told_by,
            case.name,
            case.bundle.display()
        )
        .unwrap();
    }
    println!("{table}{} bundles, {wrong} judged wrong", cases.len());
    assert_eq!(wrong, 0, "judged wrong:\n{table}");
}
