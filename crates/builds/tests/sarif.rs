//! Reports in SARIF keep to its schema and to the rules of the standard that no schema says.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends by panic"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};
use lockgate_builds::secrets::{self, SecretHit};
use lockgate_builds::validate::{
    Allowed, BundleReport, ImportKind, Rules, Severity, sarif, validate_bundle,
};
use lockgate_model::FilePath;
use serde_json::Value;
use tempfile::TempDir;

/// The schema of OASIS, as this package brings it.
const SCHEMA: &str = "corpus/node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json";

struct Checker {
    schemas: Schemas,
    log: SchemaIndex,
}

impl Checker {
    fn new() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(SCHEMA);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
            panic!(
                "{}: {error}; `scripts/corpus.sh` installs it",
                path.display()
            )
        });
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.enable_format_assertions();
        let name = "memory:///sarif.json";
        compiler
            .add_resource(name, serde_json::from_str(&text).unwrap())
            .unwrap();
        let log = compiler.compile(name, &mut schemas).unwrap();
        Self { schemas, log }
    }

    fn judge(&self, log: &Value) -> Result<(), String> {
        let judged = self.schemas.validate(log, self.log);
        judged.map_err(|error| format!("{error:#}"))
    }

    /// Checks a log and what the standard asks of it beyond the schema.
    fn check(&self, log: &Value) -> Vec<Value> {
        self.judge(log)
            .unwrap_or_else(|error| panic!("{error}\n{log:#}"));
        let run = &log["runs"][0];
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        let results = run["results"].as_array().unwrap();
        for result in results {
            // The index is that of the rule with this id.
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            // 3.27.23: either all results say whether they are suppressed, or none does.
            assert!(result["suppressions"].is_array(), "{result:#}");
            // 3.14.15: the files with results are listed.
            let file = &result["locations"][0]["physicalLocation"]["artifactLocation"];
            let mut listed = run["artifacts"].as_array().unwrap().iter();
            assert!(listed.any(|one| one["location"] == *file), "{file:#}");
            assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        }
        let mut places = Vec::new();
        artifacts(run, &mut places);
        for place in places {
            let uri = place["uri"].as_str().unwrap();
            assert!(
                uri.bytes().all(|byte| byte.is_ascii_graphic()),
                "{uri} is not escaped"
            );
            // 3.4.4: what has a base is relative to it and lies below it.
            let below = !uri.starts_with("file:") && !uri.starts_with("../");
            assert_eq!(place.get("uriBaseId").is_some(), below, "{place:#}");
            // 3.14.14: each base is described.
            if let Some(base) = place.get("uriBaseId").and_then(Value::as_str) {
                assert!(run["originalUriBaseIds"].get(base).is_some(), "{place:#}");
            }
        }
        results.clone()
    }
}

/// All places that a value names.
fn artifacts<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("artifactLocation"));
            for field in fields.values() {
                artifacts(field, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                artifacts(item, found);
            }
        }
        _ => {}
    }
}

fn workspace(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}

/// The bundle at its usual place, judged.
fn judged(root: &TempDir, rules: &Rules) -> BundleReport {
    validate_bundle(root.path(), Path::new("dist/main.js"), rules).unwrap()
}

fn log(reports: &[BundleReport], secrets: &[SecretHit]) -> Value {
    sarif(reports, secrets, "1.2.3")
}

#[test]
fn what_is_wrong_is_noticed() {
    let checker = Checker::new();
    let root = workspace(&[("dist/main.js", "require('react')\n")]);
    let mut log = log(&[judged(&root, &Rules::default())], &[]);
    checker.check(&log);
    let place = "/runs/0/results/0/locations/0/physicalLocation";
    let place = log.pointer_mut(place).unwrap();
    place["region"]["startLine"] = 0.into();
    let error = checker.judge(&log).unwrap_err();
    assert!(error.contains("startLine"), "{error}");
}

#[test]
fn a_clean_bundle_has_a_run_without_results() {
    let checker = Checker::new();
    let root = workspace(&[("dist/main.js", "a();\n")]);
    let log = log(&[judged(&root, &Rules::default())], &[]);
    assert_eq!(checker.check(&log), Vec::<Value>::new());
    // Nobody tells what lies in it, and that is said.
    let said = &log["runs"][0]["invocations"][0]["toolExecutionNotifications"][0];
    let text = said["message"]["text"].as_str().unwrap();
    assert!(text.starts_with("no source map or metafile"), "{text}");
}

#[test]
fn imports_are_told_with_columns_in_characters() {
    let checker = Checker::new();
    let root = workspace(&[(
        "dist/main.js",
        "`é`, require('react');\nimport('react-dom/client');\ntry { require('react') } catch {}\n",
    )]);
    let report = judged(&root, &Rules::default());
    let kinds: Vec<ImportKind> = report.findings.iter().map(|one| one.kind).collect();
    assert_eq!(
        kinds,
        [
            ImportKind::Require,
            ImportKind::DynamicImport,
            ImportKind::Require
        ]
    );
    let results = checker.check(&log(&[report], &[]));
    let region = &results[0]["locations"][0]["physicalLocation"]["region"];
    assert_eq!(
        (&region["startLine"], &region["startColumn"]),
        (&1.into(), &14.into())
    );
    let levels: Vec<&Value> = results.iter().map(|one| &one["level"]).collect();
    assert_eq!(levels, ["error", "error", "note"]);
}

#[test]
fn the_way_of_code_that_lies_in_a_bundle_is_a_code_flow() {
    let checker = Checker::new();
    let map = r#"{"version":3,"sources":["../src/main file.ts","../src/gäste/hooks.ts","../node_modules/react/index.js"],
        "sourcesContent":["import { h } from './gäste';\nh()","import { u } from 'react';\nexport const h = u","module.exports = 1"],
        "mappings":"AEAA;ADAA;ADAA"}"#;
    let root = workspace(&[
        ("dist/main.js", "var react = 1;\nvar h = react;\nh();\n"),
        ("dist/main.js.map", map),
        ("src/gäste/index.ts", "\n  export * from './hooks';"),
    ]);
    let results = checker.check(&log(&[judged(&root, &Rules::default())], &[]));
    let [result] = &results[..] else {
        panic!("{results:#?}");
    };
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "src/g%C3%A4ste/index.ts");
    assert_eq!(
        place["region"],
        serde_json::json!({"startLine": 2, "startColumn": 18, "endColumn": 25})
    );
    let way = result["codeFlows"][0]["threadFlows"][0]["locations"].as_array();
    let way: Vec<_> = way
        .unwrap()
        .iter()
        .map(|step| {
            let place = &step["location"]["physicalLocation"];
            (
                place["artifactLocation"]["uri"].as_str().unwrap(),
                step["location"]["message"]["text"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        way,
        [
            ("src/main%20file.ts", "imports `./gäste`"),
            ("src/g%C3%A4ste/index.ts", "exports `./hooks`"),
            ("src/g%C3%A4ste/hooks.ts", "imports `react`"),
        ]
    );
}

#[test]
fn imports_of_types_alone_and_what_is_allowed_are_told() {
    let checker = Checker::new();
    let map = r#"{"version":3,"sources":["../src/main.ts"],
        "sourcesContent":["import { T } from 'react';\na()"],"mappings":"AAAA"}"#;
    let rules = Rules {
        types: Some(Severity::Warning),
        allowed: vec![Allowed {
            what: "react-dom/*".to_owned(),
            reason: "renders {mails}".to_owned(),
            bundles: Vec::new(),
        }],
        ..Rules::default()
    };
    let root = workspace(&[
        ("dist/main.js", "require('react-dom/server');\n"),
        ("dist/main.js.map", map),
    ]);
    let results = checker.check(&log(&[judged(&root, &rules)], &[]));
    let [types, allowed] = &results[..] else {
        panic!("{results:#?}");
    };
    assert_eq!(types["level"], "warning");
    assert_eq!(types["suppressions"], serde_json::json!([]));
    assert_eq!(allowed["ruleId"], "imports/react");
    assert_eq!(
        allowed["suppressions"],
        serde_json::json!([{"kind": "external", "status": "accepted", "justification": "renders {mails}"}])
    );
}

#[test]
fn a_map_of_no_use_is_a_notification_and_braces_are_doubled() {
    let checker = Checker::new();
    let root = workspace(&[
        ("dist/main.js", "require('react/{x}');\n"),
        ("dist/main.js.map", "{"),
    ]);
    let log = log(&[judged(&root, &Rules::default())], &[]);
    let results = checker.check(&log);
    let text = results[0]["message"]["text"].as_str().unwrap();
    assert!(text.contains("`react/{{x}}`"), "{text}");
    let said = &log["runs"][0]["invocations"][0]["toolExecutionNotifications"];
    assert_eq!(said.as_array().unwrap().len(), 2, "{said:#}");
}

#[test]
fn secrets_are_told_by_rule_and_fingerprint() {
    let checker = Checker::new();
    let token = format!("{}{}", "ghp", "_x7Kd92LmQa4VbT1yZc8RnE5uWs3HfJ0gPk6D");
    let root = workspace(&[("öffentlich/a b.js", &format!("\n`é`; t('{token}');\n"))]);
    let place = FilePath::parse("app/öffentlich/a b.js").unwrap();
    let path = root.path().join("öffentlich/a b.js");
    let hits = secrets::scan(&BTreeMap::from([(place, path)]));
    assert_eq!(hits.len(), 1);
    let log = log(&[], &hits);
    let results = checker.check(&log);
    assert_eq!(
        results[0]["partialFingerprints"]["secret/v1"],
        hits[0].fingerprint.as_str()
    );
    let place = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(
        place["artifactLocation"]["uri"],
        "app/%C3%B6ffentlich/a%20b.js"
    );
    // No path of the workspace: nobody said where it came from.
    assert_eq!(place["artifactLocation"]["uriBaseId"], "BUILD");
    assert_eq!(place["region"]["startColumn"], 9);
    assert!(!log.to_string().contains(&token));
}

#[test]
fn a_bundle_elsewhere_has_a_uri_of_its_own() {
    let checker = Checker::new();
    let root = workspace(&[("a b/main.js", "require('react');\n")]);
    let path = root.path().join("a b/main.js");
    let report = validate_bundle(Path::new("/"), &path, &Rules::default()).unwrap();
    let results = checker.check(&log(&[report], &[]));
    let uri = &results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    let uri = uri.as_str().unwrap();
    assert!(
        uri.starts_with("file:///") && uri.ends_with("/a%20b/main.js"),
        "{uri}"
    );
}

#[test]
fn reports_of_the_whole_corpus_keep_to_the_schema() {
    let checker = Checker::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/corpus");
    let list = std::fs::read_to_string(folder.join("cases.json"))
        .expect("the corpus is built by `scripts/corpus.sh`; `just test` does that");
    let cases: Vec<Value> = serde_json::from_str(&list).unwrap();
    let rules = Rules {
        types: Some(Severity::Warning),
        ..Rules::default()
    };
    let judge = |case: &Value| {
        let bundle = PathBuf::from(case["bundle"].as_str().unwrap());
        validate_bundle(&folder, &bundle, &rules).unwrap()
    };
    let reports: Vec<BundleReport> = cases.iter().map(judge).collect();
    let results = checker.check(&log(&reports, &[]));
    assert!(results.len() >= cases.len() / 2, "{}", results.len());
    assert!(results.iter().any(|one| one.get("codeFlows").is_some()));
}
