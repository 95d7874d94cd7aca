//! Findings and secrets as what other programs show: a level, a place, a sentence.

use crate::secrets::SecretHit;
use crate::validate::{BundleReport, Finding, ImportKind, Severity};

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// `imports/react`, `secrets/github-token`.
    pub(super) rule: String,
    pub(super) severity: Severity,
    /// The file to look at: the source where that is known, else the bundle.
    pub(super) file: String,
    /// From 1, where it is known.
    pub(super) line: Option<usize>,
    pub(super) column: Option<usize>,
    pub(super) message: String,
    /// Tells it from others over several runs, where that is needed.
    pub(super) fingerprint: Option<String>,
}

pub(super) fn places(reports: &[BundleReport], secrets: &[SecretHit]) -> Vec<Place> {
    let findings = reports.iter().flat_map(|report| {
        report
            .findings
            .iter()
            .map(|finding| of_finding(report, finding))
    });
    findings.chain(secrets.iter().map(of_secret)).collect()
}

fn of_finding(report: &BundleReport, finding: &Finding) -> Place {
    let bundle = report.path.display().to_string();
    let mut message = match (finding.bytes, finding.modules) {
        _ if finding.kind == ImportKind::TypeOnly => {
            format!("only types of `{}` are imported", finding.specifier)
        }
        (Some(bytes), Some(modules)) => format!(
            "`{}` lies in the bundle `{bundle}`: {bytes} bytes, files: {modules}",
            finding.specifier
        ),
        _ => format!("the bundle `{bundle}` imports `{}`", finding.specifier),
    };
    if finding.guarded {
        message.push_str("; the program goes on without it");
    }
    let known = |line: usize| (line > 0).then_some(line);
    let (file, line, column) = match (&finding.fix, &finding.original, finding.chain.last()) {
        (Some(fix), _, _) => {
            message = format!("{message}. {}", fix.advice);
            (fix.file.clone(), fix.line, None)
        }
        (None, Some(original), _) => (original.file.clone(), Some(original.line), None),
        (None, None, Some(link)) => (link.file.clone(), link.line, None),
        (None, None, None) => (bundle, known(finding.line), known(finding.column)),
    };
    Place {
        rule: format!("imports/{}", finding.label.to_lowercase()),
        severity: finding.severity,
        file,
        line,
        column,
        message,
        fingerprint: None,
    }
}

fn of_secret(hit: &SecretHit) -> Place {
    let (file, line, column) = match (&hit.source, hit.source_line) {
        (Some(source), line) => (source.trim_start_matches("../").to_owned(), line, None),
        (None, _) => (hit.file.clone(), Some(hit.line), Some(hit.column)),
    };
    Place {
        rule: format!("secrets/{}", hit.rule),
        severity: if hit.refused {
            Severity::Error
        } else {
            Severity::Warning
        },
        file,
        line,
        column,
        message: format!("{} in `{}`, which would be packed", hit.title, hit.file),
        fingerprint: Some(hit.fingerprint.clone()),
    }
}
