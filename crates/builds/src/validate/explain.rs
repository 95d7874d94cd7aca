//! Findings from what the bundle imports and what it was made of: where each came from,
//! by which imports, and what to change.

use std::collections::BTreeMap;
use std::path::Path;

use super::composition::{Sayings, ToldBy};
use super::find::{Found, Hit};
use super::fix::fix;
use super::frame::frame;
use super::inside::{marked, modules_of, place, weigh};
use super::lines::Lines;
use super::map::{self, Map, Survey};
use super::modules::{Module, folder, joined, package};
use super::rules::{Matcher, Severity};
use super::ways::{Sources, Ways};
use super::{AllowedFinding, Finding, ImportKind, Original};

/// What is known of a bundle.
pub(super) struct Case<'a> {
    /// The workspace.
    pub(super) root: &'a Path,
    pub(super) text: &'a str,
    pub(super) matcher: &'a Matcher<'a>,
    pub(super) guarded: Severity,
    /// How bad an import of types alone is, where anybody asks.
    pub(super) types: Option<Severity>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Explained {
    pub(super) findings: Vec<Finding>,
    pub(super) allowed: Vec<AllowedFinding>,
    pub(super) told_by: ToldBy,
    pub(super) notes: Vec<String>,
}

/// Modules of one package, or one file of the user's own, that a rule forbids.
struct Inlined {
    rule: usize,
    name: String,
    numbers: Vec<usize>,
}

/// Explains what was found.
pub(super) fn explain(case: &Case, found: Found, sayings: Sayings) -> Explained {
    let Sayings {
        metafile,
        map: map_text,
        mut notes,
    } = sayings;
    let map = map_text
        .as_ref()
        .and_then(|(text, folder)| match map::read(text) {
            Ok(map) => Some((map, folder.as_str())),
            Err(why) => {
                notes.push(format!("the source map cannot be used: {why}"));
                None
            }
        });
    let mut of_map = map.as_ref().map(|(map, folder)| modules_of(map, folder));
    let (mut modules, told_by) = match (&metafile, &of_map) {
        (Some(metafile), _) => (metafile.modules.clone(), ToldBy::Metafile),
        (None, Some(modules)) => (modules.clone(), ToldBy::Map),
        (None, None) if found.marks.is_empty() => (Vec::new(), ToldBy::Nobody),
        (None, None) => (marked(case.text, &found.marks), ToldBy::Marks),
    };
    let mut explained = Explained {
        findings: Vec::new(),
        allowed: Vec::new(),
        told_by,
        notes,
    };
    let inlined = inlined(case.matcher, &modules, &mut explained.allowed);
    let hits = refused(case.matcher, found.hits, &mut explained.allowed);
    if inlined.is_empty() && hits.is_empty() {
        return explained;
    }
    let lines = Lines::of(case.text);
    let map = map.as_ref().map(|(map, _)| map);
    let survey = map.and_then(|map| surveyed(map, &lines, &hits, &mut explained.notes));
    if let (Some(own), Some(survey)) = (&mut of_map, &survey) {
        weigh(own, survey);
        if told_by == ToldBy::Map {
            modules.clone_from(own);
        } else {
            place(&mut modules, own);
        }
    }
    let sources = Sources::new(case.root, map, of_map.as_deref().unwrap_or_default());
    let ways = Ways::new(
        &sources,
        metafile,
        of_map.filter(|_| told_by == ToldBy::Map),
    );
    let origins = survey.map(|survey| survey.origins).unwrap_or_default();
    let origins = origins.into_iter().chain(std::iter::repeat(None));
    for (hit, origin) in hits.iter().zip(origins) {
        let finding = imported(case, &lines, hit, origin, &ways);
        explained.findings.push(finding);
    }
    for group in inlined {
        let finding = held(case, &lines, group, &modules, &ways);
        explained.findings.extend(finding);
    }
    explained
}

/// Reads the map's mappings; what is wrong with them is a note. A map of another bundle
/// tells nothing of places.
fn surveyed(map: &Map, lines: &Lines, hits: &[Hit], notes: &mut Vec<String>) -> Option<Survey> {
    let places: Vec<usize> = hits.iter().map(|hit| hit.offset).collect();
    let survey = match map::survey(map, lines, &places) {
        Ok(survey) => survey,
        Err(why) => {
            notes.push(format!("the source map cannot be used: {why}"));
            return None;
        }
    };
    match &survey.misfit {
        None => Some(survey),
        Some(why) => {
            notes.push(format!("the source map is not of this bundle: {why}"));
            None
        }
    }
}

fn inlined(
    matcher: &Matcher,
    modules: &[Module],
    allowed: &mut Vec<AllowedFinding>,
) -> Vec<Inlined> {
    let mut groups: BTreeMap<(usize, String), Vec<usize>> = BTreeMap::new();
    for (number, module) in modules
        .iter()
        .enumerate()
        .filter(|(_, module)| module.bytes > 0)
    {
        let Some(rule) = matcher.file(&module.path) else {
            continue;
        };
        let name = package(&module.path).unwrap_or(&module.path).to_owned();
        if let Some(reason) = matcher
            .reason(&module.path)
            .or_else(|| matcher.reason(&name))
        {
            allow(allowed, &label(matcher, rule), &name, reason);
            continue;
        }
        groups.entry((rule, name)).or_default().push(number);
    }
    let group = |((rule, name), numbers)| Inlined {
        rule,
        name,
        numbers,
    };
    groups.into_iter().map(group).collect()
}

fn refused(matcher: &Matcher, hits: Vec<Hit>, allowed: &mut Vec<AllowedFinding>) -> Vec<Hit> {
    let mut left = Vec::new();
    for hit in hits {
        match matcher.reason(&hit.specifier) {
            Some(reason) => {
                let label = label(matcher, hit.rule);
                allow(allowed, &label, &hit.specifier, reason);
            }
            None => left.push(hit),
        }
    }
    left
}

fn allow(allowed: &mut Vec<AllowedFinding>, label: &str, what: &str, reason: &str) {
    if !allowed.iter().any(|known| known.what == what) {
        allowed.push(AllowedFinding {
            label: label.to_owned(),
            what: what.to_owned(),
            reason: reason.to_owned(),
        });
    }
}

/// A finding for an import from outside.
fn imported(
    case: &Case,
    lines: &Lines,
    hit: &Hit,
    origin: Option<map::Origin>,
    ways: &Ways,
) -> Finding {
    let (line, column) = lines.place(hit.offset);
    let original = origin.and_then(|origin| {
        let file = ways.sources.path(origin.source)?.to_owned();
        let line = origin.line;
        Some(Original { file, line })
    });
    let chain = ways.to_import(&hit.specifier, original.as_ref());
    let read = |path: &str| ways.sources.text(path);
    let fix = fix(&chain, &hit.specifier, &read);
    let (label, severity) = rule(case.matcher, hit.rule);
    Finding {
        label,
        severity: if hit.guarded { case.guarded } else { severity },
        guarded: hit.guarded,
        code: lines.excerpt(hit.offset),
        frame: frame(&chain, fix.as_ref(), &read),
        fix,
        specifier: hit.specifier.clone(),
        kind: hit.kind,
        line,
        column,
        bytes: None,
        modules: None,
        original,
        chain,
    }
}

/// A finding for code that is in the bundle; none where the map says that nothing of it is.
fn held(
    case: &Case,
    lines: &Lines,
    group: Inlined,
    modules: &[Module],
    ways: &Ways,
) -> Option<Finding> {
    let Inlined {
        rule: number,
        name,
        numbers,
    } = group;
    let there = numbers.iter().filter_map(|number| modules.get(*number));
    let there: Vec<&Module> = there.filter(|module| module.bytes > 0).collect();
    if there.is_empty() {
        return None;
    }
    let first = there.iter().filter_map(|module| module.first).min();
    let (line, column) = first.map_or((0, 0), |offset| lines.place(offset));
    let paths: Vec<&str> = there.iter().map(|module| module.path.as_str()).collect();
    let chain = ways.to_file(&paths);
    let read = |path: &str| ways.sources.text(path);
    let fix = fix(&chain, &name, &read);
    let (label, severity) = rule(case.matcher, number);
    Some(Finding {
        label,
        severity,
        guarded: false,
        frame: frame(&chain, fix.as_ref(), &read),
        fix,
        specifier: name,
        kind: ImportKind::Inlined,
        line,
        column,
        code: first.map_or_else(String::new, |offset| lines.excerpt(offset)),
        bytes: Some(there.iter().map(|module| module.bytes).sum()),
        modules: Some(there.len()),
        original: None,
        chain,
    })
}

fn rule(matcher: &Matcher, number: usize) -> (String, Severity) {
    matcher.rules.get(number).map_or_else(
        || (String::new(), Severity::Error),
        |rule| (rule.label.clone(), rule.severity),
    )
}

fn label(matcher: &Matcher, number: usize) -> String {
    rule(matcher, number).0
}

/// Whether the workspace is one of Nx, whose cache may hide a change.
pub(super) fn is_nx(root: &Path, bundle: &str) -> bool {
    let mut at = folder(bundle);
    loop {
        if root.join(joined(at, "nx.json")).is_file() {
            return true;
        }
        if at.is_empty() {
            return false;
        }
        at = folder(at);
    }
}
