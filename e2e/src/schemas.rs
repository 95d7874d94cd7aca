//! Holds what `lockgate` prints for programs to the schemas it publishes.
//!
//! The published ones allow more fields than they name, since fields may be added. Here none may
//! stand in a document that its schema does not know.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a journey ends by panic"
)]

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Map, Value};

use crate::Ran;

/// What stands on standard error.
const ERROR: &str = "error";

/// The commands that have a schema.
static LISTED: OnceLock<Vec<String>> = OnceLock::new();

/// The schemas that were asked for so far, by the command's words.
static KNOWN: Mutex<BTreeMap<String, Strict>> = Mutex::new(BTreeMap::new());

/// A schema that allows nothing it does not name.
struct Strict {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Strict {
    fn new(published: &Value) -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let (name, strict) = ("memory:///strict.json", strict(published));
        compiler.add_resource(name, strict).expect("a schema");
        let index = compiler.compile(name, &mut schemas).expect("a schema");
        Self { schemas, index }
    }

    fn judge(&self, value: &Value) -> Result<(), String> {
        let judged = self.schemas.validate(value, self.index);
        judged.map_err(|error| format!("{error:#}"))
    }
}

/// Checks what a call printed, if it was asked to print for programs. `program` is `lockgate`,
/// ready to be started.
pub(crate) fn check(args: &[&str], ran: &Ran, program: &dyn Fn() -> Command) {
    let for_programs = args.windows(2).any(|pair| pair == ["--format", "json"]);
    if !for_programs {
        return;
    }
    for line in ran.stderr.lines() {
        let Ok(value) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        // Beside them stands what is logged.
        if ["error", "warning"]
            .iter()
            .any(|it| value.get(it).is_some())
        {
            judge(ERROR, &value, program);
        }
    }
    if ran.stdout.is_empty() {
        return;
    }
    let words = args.iter().take_while(|word| !word.starts_with('-'));
    let words: Vec<&str> = words.copied().collect();
    // What it prints is a schema, or the list of those.
    if words.first() == Some(&"schema") {
        return;
    }
    let command = named(&words, program);
    let command = command.unwrap_or_else(|| panic!("{args:?} printed JSON that has no schema"));
    for line in ran.stdout.lines() {
        let value = serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("{args:?} printed no JSON: {error}: {line}"));
        judge(&command, &value, program);
    }
}

/// The published command that these words begin with, the longest first.
fn named(words: &[&str], program: &dyn Fn() -> Command) -> Option<String> {
    let listed = LISTED.get_or_init(|| {
        let listed = printed(program, &["schema"]);
        let listed = listed["commands"].as_array().expect("a list").iter();
        let word = |one: &Value| one.as_str().expect("a command").to_owned();
        listed.map(word).collect()
    });
    let candidates = [2, 1].map(|count| words.get(..count).unwrap_or_default().join(" "));
    let mut candidates = candidates.into_iter();
    candidates.find(|one| listed.contains(one))
}

/// Judges one value by the schema of a command.
fn judge(command: &str, value: &Value, program: &dyn Fn() -> Command) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let schema = known.entry(command.to_owned()).or_insert_with(|| {
        let words = ["schema"].into_iter().chain(command.split(' '));
        Strict::new(&printed(program, &words.collect::<Vec<_>>()))
    });
    if let Err(error) = schema.judge(value) {
        panic!("`lockgate {command}` printed what its schema does not allow: {error}\n{value:#}");
    }
}

/// What the program prints for programs.
fn printed(program: &dyn Fn() -> Command, args: &[&str]) -> Value {
    let output = program().args(args).args(["--format", "json"]).output();
    let output = output.expect("`lockgate` starts");
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The schema with all that it refers to in it, and closed wherever it describes a whole value.
fn strict(published: &Value) -> Value {
    let defined = published["$defs"].as_object().cloned().unwrap_or_default();
    let mut schema = published.clone();
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("$defs");
    }
    closed(&schema, &defined, true)
}

/// `whole`: whether it is all that is said of a value, not one of several schemas of it.
fn closed(schema: &Value, defined: &Map<String, Value>, whole: bool) -> Value {
    let Some(fields) = schema.as_object() else {
        return schema.clone();
    };
    let mut strict = Map::new();
    for (name, value) in fields {
        let value = match (name.as_str(), value) {
            ("$ref", Value::String(reference)) => {
                let name = reference.trim_start_matches("#/$defs/");
                let meant = closed(&defined[name], defined, false);
                let all = strict
                    .entry("allOf")
                    .or_insert_with(|| Value::Array(Vec::new()));
                all.as_array_mut().expect("a list").push(meant);
                continue;
            }
            ("allOf", Value::Array(several)) => {
                let several: Vec<Value> = several
                    .iter()
                    .map(|one| closed(one, defined, false))
                    .collect();
                let all = strict
                    .entry("allOf")
                    .or_insert_with(|| Value::Array(Vec::new()));
                all.as_array_mut().expect("a list").extend(several);
                continue;
            }
            ("anyOf" | "oneOf", Value::Array(several)) => several
                .iter()
                .map(|one| closed(one, defined, false))
                .collect(),
            ("properties", Value::Object(properties)) => {
                let properties = properties.iter();
                let closed =
                    properties.map(|(name, one)| (name.clone(), closed(one, defined, true)));
                Value::Object(closed.collect())
            }
            ("items" | "additionalProperties", one) => closed(one, defined, true),
            _ => value.clone(),
        };
        strict.insert(name.clone(), value);
    }
    let says = ["properties", "allOf", "anyOf", "oneOf"];
    if whole && says.iter().any(|it| strict.contains_key(*it)) {
        strict.insert("unevaluatedProperties".to_owned(), false.into());
    }
    strict.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_that_the_schema_does_not_name_is_refused_at_any_depth() {
        let strict = Strict::new(&json!({
            "oneOf": [
                {"$ref": "#/$defs/Pinned", "properties": {"event": {"const": "pinned"}}, "required": ["event"]},
                {"properties": {"event": {"const": "told"}, "to": {"anyOf": [{"$ref": "#/$defs/Whom"}, {"type": "null"}]}}, "required": ["event"]},
            ],
            "$defs": {
                "Pinned": {"type": "object", "properties": {"gateway": {"type": "string"}}},
                "Whom": {"type": "object", "properties": {"names": {"type": "array", "items": {"$ref": "#/$defs/Pinned"}}}},
            },
        }));
        let check = |value: Value, good: bool| {
            assert_eq!(strict.judge(&value).is_ok(), good, "{value}");
        };
        check(json!({"event": "pinned", "gateway": "a"}), true);
        check(json!({"event": "pinned", "gateway": "a", "more": 1}), false);
        check(json!({"event": "pinned", "gateway": 1}), false);
        check(json!({"event": "else"}), false);
        check(json!({"event": "told", "to": null}), true);
        check(
            json!({"event": "told", "to": {"names": [{"gateway": "a"}]}}),
            true,
        );
        check(
            json!({"event": "told", "to": {"names": [{"gate": "a"}]}}),
            false,
        );
        check(json!({"event": "told", "to": {"nobody": true}}), false);
    }
}
