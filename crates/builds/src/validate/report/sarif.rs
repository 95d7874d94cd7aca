//! The findings as SARIF 2.1.0, which forges and editors read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::places::{About, Base, Place, Spot, allowed, places};
use crate::secrets::SecretHit;
use crate::validate::{BundleReport, Link, Severity, ToldBy};

/// What relative paths count from, as other programs call it.
const ROOT: &str = "%SRCROOT%";
/// What places in the build count from.
const BUILD: &str = "BUILD";

/// The log of one run, by a program of this version.
pub fn sarif(reports: &[BundleReport], secrets: &[SecretHit], version: &str) -> Value {
    let mut places = places(reports, secrets);
    places.extend(allowed(reports));
    let rules: BTreeMap<&str, &Place> = places
        .iter()
        .map(|place| (place.rule.as_str(), place))
        .collect();
    let index = |place: &Place| rules.keys().position(|id| *id == place.rule);
    let results: Vec<Value> = places
        .iter()
        .map(|place| result(place, index(place)))
        .collect();
    let rules: Vec<Value> = rules.values().map(|place| rule(place)).collect();
    let files: BTreeSet<(&str, Base)> = places
        .iter()
        .map(|place| (place.file.as_str(), place.base))
        .collect();
    let artifacts: Vec<Value> = files
        .into_iter()
        .map(|(file, base)| json!({ "location": artifact(file, base) }))
        .collect();
    let root = "The folder that paths count from: the workspace, or where bundles were named.";
    let build = "What is packed, by its place in the archive.";
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "lockgate", "semanticVersion": version, "rules": rules } },
            "invocations": [{
                "executionSuccessful": true,
                "toolExecutionNotifications": reports.iter().flat_map(notes).collect::<Vec<_>>(),
            }],
            "originalUriBaseIds": {
                ROOT: { "description": { "text": root } },
                BUILD: { "description": { "text": build } },
            },
            "columnKind": "unicodeCodePoints",
            "artifacts": artifacts,
            "results": results,
        }],
    })
}

fn rule(place: &Place) -> Value {
    let title = &place.title;
    let (short, full, help) = match place.about {
        About::FrontEnd => (
            format!("{title} in a bundle of the back end"),
            format!(
                "A bundle of the back end imports what the rule {title} forbids, or holds code of it."
            ),
            "Follow the imports from the entry point to the finding, and change the first file of \
             your own that need not import it."
                .to_owned(),
        ),
        About::Secret => (
            format!("{title} in what is packed"),
            format!("A file of the build holds what has the form of a {title}."),
            "Take it out of the file and make a new one, or write with `lockgate validate --accept` \
             why it may be packed."
                .to_owned(),
        ),
    };
    json!({
        "id": place.rule,
        "shortDescription": { "text": short },
        "fullDescription": { "text": message(&full) },
        "help": { "text": message(&help) },
    })
}

/// One finding. Where any has a word on suppressions, all have.
fn result(place: &Place, rule: Option<usize>) -> Value {
    let level = match place.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let suppression = |reason: &String| json!({ "kind": "external", "status": "accepted", "justification": reason });
    let suppressions: Vec<Value> = place.allowed.iter().map(suppression).collect();
    let mut result = Map::new();
    let mut add = |name: &str, value: Value| result.insert(name.to_owned(), value);
    add("ruleId", place.rule.as_str().into());
    add("ruleIndex", rule.into());
    add("level", level.into());
    add(
        "message",
        json!({ "text": format!("{}.", message(&place.message)) }),
    );
    add(
        "locations",
        json!([{ "physicalLocation": physical(&place.file, place.base, &place.spot) }]),
    );
    add("suppressions", suppressions.into());
    if let Some(fingerprint) = &place.fingerprint {
        add("partialFingerprints", json!({ "secret/v1": fingerprint }));
    }
    if !place.way.is_empty() {
        let way: Vec<Value> = place.way.iter().map(step).collect();
        add(
            "codeFlows",
            json!([{ "threadFlows": [{ "locations": way }] }]),
        );
    }
    result.into()
}

/// One import on the way.
fn step(link: &Link) -> Value {
    let verb = if link.passed_on { "exports" } else { "imports" };
    let text = format!("{verb} `{}`", message(&link.imports));
    let spot = Spot {
        line: link.line,
        ..Spot::default()
    };
    let physical = physical(&link.file, Base::Root, &spot);
    json!({ "location": { "physicalLocation": physical, "message": { "text": text } } })
}

/// What could not be used of a bundle, each a notification.
fn notes(report: &BundleReport) -> impl Iterator<Item = Value> {
    let path = report.path.display().to_string();
    let nobody = (report.told_by == ToldBy::Nobody).then(|| super::NOBODY.to_owned());
    let notes = report.notes.iter().cloned().chain(nobody);
    notes.map(move |note| {
        json!({
            "level": "note",
            "message": { "text": format!("{}.", message(&note)) },
            "locations": [{ "physicalLocation": physical(&path, Base::Root, &Spot::default()) }],
        })
    })
}

fn physical(file: &str, base: Base, spot: &Spot) -> Value {
    let numbers = [
        ("startLine", spot.line),
        ("startColumn", spot.column),
        ("endColumn", spot.end_column),
    ];
    let known = numbers
        .into_iter()
        .filter_map(|(name, number)| Some((name.to_owned(), number?.into())));
    let region: Map<String, Value> = known.collect();
    let mut physical = json!({ "artifactLocation": artifact(file, base) });
    if let (false, Some(physical)) = (region.is_empty(), physical.as_object_mut()) {
        physical.insert("region".to_owned(), region.into());
    }
    physical
}

fn artifact(file: &str, base: Base) -> Value {
    let mut artifact = json!({ "uri": uri(file) });
    // What leads out of the folder is no path below it.
    let below = !file.starts_with('/') && file.split('/').all(|part| part != "..");
    if let (true, Some(artifact)) = (below, artifact.as_object_mut()) {
        let base = match base {
            Base::Root => ROOT,
            Base::Build => BUILD,
        };
        artifact.insert("uriBaseId".to_owned(), base.into());
    }
    artifact
}

/// In a message, braces stand for what is put in: one that is meant is written twice.
fn message(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// A reference, relative unless the path is absolute: what has a meaning in it is escaped.
fn uri(file: &str) -> String {
    let mut uri = String::new();
    if file.starts_with('/') {
        uri.push_str("file://");
    }
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
