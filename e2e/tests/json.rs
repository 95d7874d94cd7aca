//! docs/json.md is what the commands print with `--format json`, values replaced by
//! the words of their types. `SNAPSHOTS=overwrite` writes it anew.

#![expect(clippy::unwrap_used, reason = "a test ends by panic")]

use std::collections::BTreeSet;
use std::path::Path;

use lockgate_e2e::World;
use serde_json::{Value, json};
use snapbox::data::DataFormat;
use snapbox::{Data, assert_data_eq, file};

const INTRODUCTION: &str = "\
# JSON

What commands print with `--format json`; a test keeps this page so. Most print one
document. `deploy`, `pack`, `up`, `rollback`, `restart`, `scale`, `set`, `adopt`, `org assign` and
`org release` print one event a line and end with a `result`, which has `ok` false and an `error` when there was nothing to report on; while
they watch, a `result` follows each deploy and `news` says what became of a gateway since.
A `gateway` event has `ready_ms` once the build has answered, `on_trial` as long as it may yet
be refused, and a `verdict` when it is done; `trial` says that all that were told are ready.
In the `result` each gateway has its `ready_ms`, and `good` once the trial is passed.
`deploy` and `up` print a `service` event for each service that is started, restarted or ended, and
`service-news` while they watch; `restart ENV SERVICE` ends with a `result` that has the `service`.
`logs` prints an object a line. `status` has `listeners` with `--wide` alone, else null: the `state` of
each is `held`, `missing`, `foreign` or `unexpected`. In `doctor` the `state` of each check is `ok`,
`warning`, `error` or `skipped`; `env`, `gateway`, `why` and `remedy` are null where there is none. A gateway that is `stuck` does not start until
somebody does something about its `problem`. `urls --no-check` has null for what is asked for otherwise: `answers`,
`resolves`, `certificate`, `containers` and `troubles`. `dns serve` prints `serving` at its start and
`domains` at each change. Data goes to standard output, warnings and
errors to standard error, as JSON too. Values stand here as the words of their types; only
what names a kind or a state is shown as it is. Times are UNIX milliseconds unless their
name says otherwise. Fields may be added; readers ignore what they do not know.

`lockgate schema COMMAND` prints the JSON Schema (2020-12) of what a command prints, of one line where
it prints events; `lockgate schema error` that of what stands on standard error. The same lie in
[schemas](schemas), by the command's name. Every command has one but `schema` itself. Tests hold what
commands print to them, with no field more.
";

#[test]
fn every_schema_stands_in_the_documents() {
    let world = World::new();
    let listed = world.lockgate(&["schema", "--format", "json"]).json();
    let listed = listed["commands"].as_array().unwrap().iter();
    let commands: Vec<&str> = listed.map(|one| one.as_str().unwrap()).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas");
    let mut names = Vec::new();
    for command in commands {
        let words = ["schema"].into_iter().chain(command.split(' '));
        let ran = world.lockgate(&words.collect::<Vec<_>>());
        let name = format!("{}.json", command.replace(' ', "-"));
        let path = folder.join(&name);
        let written = Data::read_from(&path, Some(DataFormat::Text)).raw();
        assert_data_eq!(ran.expect(0).stdout.clone(), written);
        names.push(name);
    }
    let there = std::fs::read_dir(folder).unwrap();
    let there = there.map(|one| one.unwrap().file_name().into_string().unwrap());
    let there: BTreeSet<String> = there.collect();
    assert_eq!(there, names.into_iter().collect());
}

/// Fields whose values name a kind or a state.
const SHOWN: [&str; 4] = ["event", "state", "phase", "kind"];

#[test]
fn the_page_shows_what_commands_print() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    // A trial as short as it can be, so that the page shows one that is passed.
    std::fs::write(
        workspace.path.join("lockgate.toml"),
        "[app.limits]\ntrial = '1s'\n[services.ganymede]\ncommand = ['sleep', 'infinity']\n",
    )
    .unwrap();
    let path = workspace.path.display().to_string();
    let mut page = Page(INTRODUCTION.to_owned());
    let run = |args: &[&str]| {
        let ran = world.lockgate(&[args, &["--format", "json"]].concat());
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.stderr);
        ran
    };

    world.serve();
    page.section(
        "create",
        &run(&["create", "dev-001", "dev-001.test", &path]).json(),
    );
    page.section(
        "validate",
        &run(&[
            "validate",
            &format!("{path}/dist/packages/app-gateway/main.js"),
        ])
        .json(),
    );
    page.events("pack", &run(&["pack", "dev-001"]).stdout);
    run(&["deploy", "dev-001"]);
    workspace.set_version("2.0.0");
    page.events("deploy", &run(&["deploy", "dev-001"]).stdout);
    page.events("set", &run(&["set", "dev-001", "LEVEL=debug"]).stdout);
    page.section("set --list", &run(&["set", "dev-001", "--list"]).json());
    let organization = "550e8400-e29b-41d4-a716-446655440000";
    run(&["org", "assign", "dev-001", organization]);
    page.section("org list", &run(&["org", "list"]).json());
    page.section("status", &run(&["status", "dev-001", "--wide"]).json());
    page.section("doctor", &run(&["doctor", "dev-001"]).json());
    let line = run(&["logs", "dev-001", "0", "--tail", "1"]).json();
    page.0 += &format_section("logs", &shape(None, &line).to_string());
    page.section("builds", &run(&["builds", "dev-001"]).json());
    page.section("list", &run(&["list"]).json());
    page.section("urls", &run(&["urls", "dev-001"]).json());
    let lines = ["dns", "lines", "--for", "dnsmasq"];
    page.section("dns lines", &run(&lines).json());
    page.section("wait", &run(&["wait", "dev-001", "--for", "ready"]).json());
    page.section("stop", &run(&["stop", "dev-001", "0"]).json());
    page.section("start", &run(&["start", "dev-001", "0"]).json());
    page.events("scale", &run(&["scale", "dev-001", "4"]).stdout);
    page.section("keys", &run(&["keys", "dev-001"]).json());
    run(&["org", "release", "dev-001", organization]);
    page.section("serve status", &run(&["serve", "status"]).json());
    page.section("delete", &run(&["delete", "dev-001", "--yes"]).json());

    let error = world.lockgate(&["status", "dev-009", "--format", "json"]);
    page.section(
        "an error",
        &serde_json::from_str(error.stderr.trim()).unwrap(),
    );
    assert_data_eq!(page.0, file!["../../docs/json.md"].raw());
}

struct Page(String);

impl Page {
    fn section(&mut self, title: &str, value: &Value) {
        let text = serde_json::to_string_pretty(&shape(None, value)).unwrap();
        self.0 += &format_section(title, &text);
    }

    /// The last event of each kind, in the order in which kinds come first.
    fn events(&mut self, title: &str, lines: &str) {
        let mut kinds: Vec<(String, Value)> = Vec::new();
        for line in lines.lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            let kind = event
                .get("event")
                .and_then(Value::as_str)
                .unwrap()
                .to_owned();
            match kinds.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, last)) => *last = event,
                None => kinds.push((kind, event)),
            }
        }
        let lines = kinds
            .iter()
            .map(|(_, event)| shape(None, event).to_string());
        self.0 += &format_section(title, &lines.collect::<Vec<_>>().join("\n"));
    }
}

fn format_section(title: &str, text: &str) -> String {
    format!("\n## {title}\n\n```json\n{text}\n```\n")
}

/// The value with types in place of values; of a list only the first.
fn shape(name: Option<&str>, value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => json!("boolean"),
        Value::Number(_) => json!("number"),
        Value::String(_) if name.is_some_and(|name| SHOWN.contains(&name)) => value.clone(),
        Value::String(_) => json!("string"),
        Value::Array(items) => items.iter().take(1).map(|item| shape(name, item)).collect(),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| (name.clone(), shape(Some(name), value)));
            Value::Object(fields.collect())
        }
    }
}
