//! Findings and secrets as what other programs show: a level, a place, a sentence.

use crate::secrets::SecretHit;
use crate::validate::{BundleReport, Finding, ImportKind, Link, Severity};

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// `imports/react`, `secrets/github-token`.
    pub(super) rule: String,
    pub(super) about: About,
    /// What was found, for people: `React`, `GitHub token`.
    pub(super) title: String,
    pub(super) severity: Severity,
    /// The file to look at: the source where that is known, else the bundle.
    pub(super) file: String,
    /// What its path counts from.
    pub(super) base: Base,
    pub(super) spot: Spot,
    /// A sentence without its full stop.
    pub(super) message: String,
    /// Tells it from others over several runs, where that is needed.
    pub(super) fingerprint: Option<String>,
    /// The imports that brought it.
    pub(super) way: Vec<Link>,
    /// Why it is allowed, where it is.
    pub(super) allowed: Option<String>,
}

/// Which of the two answers it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    FrontEnd,
    Secret,
}

/// What a path counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Base {
    /// The workspace, or where bundles were named.
    Root,
    /// The build: it is a place in that.
    Build,
}

/// Where in the file, each from 1 and only where it is known; columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Spot {
    pub(super) line: Option<usize>,
    pub(super) column: Option<usize>,
    /// The first column behind it.
    pub(super) end_column: Option<usize>,
}

/// What was found.
pub(super) fn places(reports: &[BundleReport], secrets: &[SecretHit]) -> Vec<Place> {
    let findings = reports.iter().flat_map(|report| {
        report
            .findings
            .iter()
            .map(|finding| of_finding(report, finding))
    });
    findings.chain(secrets.iter().map(of_secret)).collect()
}

/// What is forbidden and allowed all the same, with the reason.
pub(super) fn allowed(reports: &[BundleReport]) -> Vec<Place> {
    let mut places = Vec::new();
    for report in reports {
        let bundle = report.path.display().to_string();
        for allowed in &report.allowed {
            places.push(Place {
                rule: rule(&allowed.label),
                about: About::FrontEnd,
                title: allowed.label.clone(),
                severity: Severity::Note,
                base: Base::Root,
                spot: Spot::default(),
                message: format!("`{}` is allowed in the bundle `{bundle}`", allowed.what),
                file: bundle.clone(),
                fingerprint: None,
                way: Vec::new(),
                allowed: Some(allowed.reason.clone()),
            });
        }
    }
    places
}

fn rule(label: &str) -> String {
    format!("imports/{}", label.to_lowercase())
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
    let frame = finding.frame.as_ref();
    let frame = frame.filter(|frame| frame.file == file && Some(frame.line) == line);
    Place {
        rule: rule(&finding.label),
        about: About::FrontEnd,
        title: finding.label.clone(),
        severity: finding.severity,
        base: Base::Root,
        file,
        spot: Spot {
            line,
            column: column.or(frame.map(|frame| frame.column)),
            end_column: frame.map(|frame| frame.column + frame.width),
        },
        message,
        fingerprint: None,
        way: finding.chain.clone(),
        allowed: None,
    }
}

fn of_secret(hit: &SecretHit) -> Place {
    let (file, base, line, column) = if let Some(source) = &hit.source {
        let source = source.trim_start_matches("../").to_owned();
        (source, Base::Root, hit.source_line, None)
    } else {
        let (line, column) = (Some(hit.line), Some(hit.column));
        (hit.file.clone(), Base::Build, line, column)
    };
    Place {
        rule: format!("secrets/{}", hit.rule),
        about: About::Secret,
        title: hit.title.to_owned(),
        severity: if hit.refused {
            Severity::Error
        } else {
            Severity::Warning
        },
        file,
        base,
        spot: Spot {
            line,
            column,
            end_column: None,
        },
        message: format!("{} in `{}`, which would be packed", hit.title, hit.file),
        fingerprint: Some(hit.fingerprint.clone()),
        way: Vec::new(),
        allowed: None,
    }
}
