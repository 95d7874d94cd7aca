//! Puts the schema of a command together from those of the types that it prints.
//!
//! ```text
//! types ─▶ derived schemas ─▶ forms: whole documents, events by their kind ─▶ one schema
//! ```

use std::collections::BTreeSet;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};

const REFERENCE: &str = "#/$defs/";

/// The forms that what is printed can have.
pub(super) struct Forms {
    generator: SchemaGenerator,
    forms: Vec<Form>,
}

/// One of them.
enum Form {
    /// A type as a whole.
    Whole(Value),
    /// Of an enum of events, those of these kinds; all of them where none is named.
    Events(Value, &'static [&'static str]),
}

impl Forms {
    pub(super) fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().for_serialize();
        Self {
            generator: settings.into_generator(),
            forms: Vec::new(),
        }
    }

    /// A document of this type.
    pub(super) fn document<T: JsonSchema>(&mut self) -> &mut Self {
        let schema = self.generator.subschema_for::<T>();
        self.forms.push(Form::Whole(schema.into()));
        self
    }

    /// Lines of this enum, which is tagged by `event`.
    pub(super) fn events<T: JsonSchema>(&mut self) -> &mut Self {
        self.events_of::<T>(&[])
    }

    /// Those lines of it that are of these kinds.
    pub(super) fn events_of<T: JsonSchema>(&mut self, kinds: &'static [&'static str]) -> &mut Self {
        let schema = self.generator.subschema_for::<T>();
        self.forms.push(Form::Events(schema.into(), kinds));
        self
    }

    /// All of it as one schema.
    pub(super) fn into_schema(mut self, title: &str, description: &str) -> Value {
        let defined = self.generator.take_definitions(true);
        let mut all = Vec::new();
        for form in self.forms {
            match form {
                Form::Whole(schema) => all.push(schema),
                Form::Events(schema, kinds) => all.extend(lines(&schema, kinds, &defined)),
            }
        }
        // Documents have nothing that tells them apart.
        let events = all.iter().all(|schema| kind(schema).is_some());
        let mut root = Map::new();
        match all.as_slice() {
            [only] => root.extend(resolved(only, &defined).cloned().unwrap_or_default()),
            _ if events => drop(root.insert("oneOf".to_owned(), all.into())),
            _ => drop(root.insert("anyOf".to_owned(), all.into())),
        }
        let mut needed = Map::new();
        let named = references(&Value::Object(root.clone()));
        take(named, &defined, &mut needed);
        let dialect = "https://json-schema.org/draft/2020-12/schema";
        root.insert("$schema".to_owned(), dialect.into());
        root.insert("title".to_owned(), title.into());
        root.insert("description".to_owned(), description.into());
        if !needed.is_empty() {
            root.insert("$defs".to_owned(), needed.into());
        }
        root.into()
    }
}

/// The alternatives of an enum of events.
fn lines(schema: &Value, kinds: &[&str], defined: &Map<String, Value>) -> Vec<Value> {
    let all = resolved(schema, defined).and_then(|schema| schema.get("oneOf"));
    let all = all.and_then(Value::as_array).cloned().unwrap_or_default();
    let wanted =
        |line: &Value| kinds.is_empty() || kind(line).is_some_and(|it| kinds.contains(&it));
    all.into_iter().filter(wanted).collect()
}

/// The kind of event that a schema is of.
pub(super) fn kind(schema: &Value) -> Option<&str> {
    schema.pointer("/properties/event/const")?.as_str()
}

/// The schema itself where it is a reference.
fn resolved<'s>(
    schema: &'s Value,
    defined: &'s Map<String, Value>,
) -> Option<&'s Map<String, Value>> {
    let schema = match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => defined.get(reference.strip_prefix(REFERENCE)?)?,
        None => schema,
    };
    schema.as_object()
}

/// The names of all that a schema refers to.
fn references(schema: &Value) -> BTreeSet<String> {
    match schema {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str);
            let own = own.and_then(|own| own.strip_prefix(REFERENCE));
            let inner = fields.values().flat_map(references);
            own.map(str::to_owned).into_iter().chain(inner).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => BTreeSet::new(),
    }
}

/// Takes what is named, and what that refers to.
fn take(names: BTreeSet<String>, defined: &Map<String, Value>, taken: &mut Map<String, Value>) {
    for name in names {
        if let (false, Some(schema)) = (taken.contains_key(&name), defined.get(&name)) {
            taken.insert(name, schema.clone());
            take(references(schema), defined, taken);
        }
    }
}
