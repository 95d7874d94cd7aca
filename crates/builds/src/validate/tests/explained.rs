//! Where findings came from: maps, metafiles and sources of a workspace.

use super::super::*;

/// A workspace with these files.
fn workspace(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}

fn judged(root: &tempfile::TempDir) -> BundleReport {
    let bundle = Path::new("dist/main.js");
    validate_bundle(root.path(), bundle, &Rules::default()).unwrap()
}

#[test]
fn code_that_lies_in_the_bundle_is_found_by_the_map_with_its_way() {
    let map = r#"{"version":3,"sources":["../src/main.ts","../src/hooks.ts","../node_modules/react/index.js","../node_modules/react-dom/index.js"],
        "sourcesContent":["import { h } from './index';\nh()","import { u } from 'react';\nexport const h = u","module.exports = 1",""],
        "mappings":"AEAA;ADAA;ADAA"}"#;
    let root = workspace(&[
        (
            "dist/main.js",
            "var react = 1;\nvar h = react;\nh();\n//# sourceMappingURL=main.js.map",
        ),
        ("dist/main.js.map", map),
        ("src/index.ts", "export * from './hooks';"),
    ]);
    let report = judged(&root);
    assert_eq!(report.told_by, ToldBy::Map);
    assert_eq!(report.notes, Vec::<String>::new());
    // Of react-dom nothing is in the bundle.
    let [finding] = &report.findings[..] else {
        panic!("{:?}", report.findings);
    };
    assert_eq!(
        (finding.specifier.as_str(), finding.kind),
        ("react", ImportKind::Inlined)
    );
    assert_eq!(
        (finding.bytes, finding.modules, finding.line),
        (Some(15), Some(1), 1)
    );
    let way: Vec<_> = finding
        .chain
        .iter()
        .map(|link| (link.file.as_str(), link.line))
        .collect();
    assert_eq!(
        way,
        [
            ("src/main.ts", Some(1)),
            ("src/index.ts", Some(1)),
            ("src/hooks.ts", Some(1))
        ]
    );
    let fix = finding.fix.as_ref().unwrap();
    assert_eq!(
        (fix.kind, fix.file.as_str()),
        (FixKind::BackEndIndex, "src/index.ts")
    );
}

#[test]
fn an_import_from_outside_is_led_back_to_its_source() {
    let map = r#"{"version":3,"sources":["../src/main.ts","../src/both.ts"],
        "sourcesContent":["import { A } from './both';\nnew A()","// both\nimport { u } from 'react';\nexport class A {}\nexport const h = () => u();"],
        "mappings":"ACCA;ACAA"}"#;
    let root = workspace(&[
        ("dist/main.js", "var r = require(\"react\");\nnew A();"),
        ("dist/main.js.map", map),
    ]);
    // Its second line names a file that is not listed.
    assert!(judged(&root).notes[0].contains("does not list"));
    std::fs::write(
        root.path().join("dist/main.js.map"),
        map.replace(";ACAA", ";ADDA"),
    )
    .unwrap();
    let report = judged(&root);
    let finding = &report.findings[0];
    let original = finding.original.as_ref().unwrap();
    assert_eq!((original.file.as_str(), original.line), ("src/both.ts", 2));
    assert_eq!(finding.chain.len(), 2);
    let fix = finding.fix.as_ref().unwrap();
    assert_eq!(
        (fix.kind, fix.file.as_str()),
        (FixKind::MixedFile, "src/both.ts")
    );
}

#[test]
fn a_map_that_is_of_no_use_is_a_note_and_imports_are_still_found() {
    for (map, note) in [
        ("{", "cannot be used: EOF"),
        ("", "cannot be used: EOF"),
        (
            r#"{"version":3,"sources":["a.js"],"mappings":"!"}"#,
            "not base 64",
        ),
        (
            r#"{"version":3,"sources":["a.js"],"mappings":"AAAA;;;AAAA"}"#,
            "not of this bundle: it maps line 4",
        ),
    ] {
        let root = workspace(&[
            ("dist/main.js", "require('react');\nx();"),
            ("dist/main.js.map", map),
        ]);
        let report = judged(&root);
        assert_eq!(report.findings.len(), 1, "{map}");
        assert!(report.notes[0].contains(note), "{map}: {:?}", report.notes);
    }
}

#[test]
fn a_metafile_tells_more_than_a_map() {
    let metafile = r#"{"inputs":{
        "src/main.ts":{"bytes":1,"imports":[{"path":"src/view.tsx","kind":"import-statement","original":"./view"}]},
        "src/view.tsx":{"bytes":1,"imports":[{"path":"react","kind":"import-statement","external":true}]}},
      "outputs":{"dist/main.js":{"bytes":1,"entryPoint":"src/main.ts","inputs":{"src/main.ts":{"bytesInOutput":3},"src/view.tsx":{"bytesInOutput":4}}}}}"#;
    let root = workspace(&[
        ("dist/main.js", "var r = require('react');\nf();"),
        ("dist/meta.json", metafile),
        ("src/main.ts", "\nimport { f } from './view';\nf();"),
        (
            "src/view.tsx",
            "import { r } from 'react';\nexport const f = () => r();",
        ),
    ]);
    let report = judged(&root);
    assert_eq!(report.told_by, ToldBy::Metafile);
    let finding = &report.findings[0];
    let way: Vec<_> = finding
        .chain
        .iter()
        .map(|link| (link.file.as_str(), link.line))
        .collect();
    assert_eq!(way, [("src/main.ts", Some(2)), ("src/view.tsx", Some(1))]);
    let fix = finding.fix.as_ref().unwrap();
    assert_eq!(
        (fix.kind, fix.file.as_str()),
        (FixKind::MixedFile, "src/main.ts")
    );
}

#[test]
fn what_is_allowed_is_told_with_its_reason() {
    let rules = Rules {
        allowed: vec![Allowed {
            what: "react-dom/*".to_owned(),
            reason: "renders mails".to_owned(),
            bundles: Vec::new(),
        }],
        ..Rules::default()
    };
    let root = workspace(&[(
        "dist/main.js",
        "require('react-dom/server');\n// node_modules/react-dom/x.js\na()",
    )]);
    let report = validate_bundle(root.path(), Path::new("dist/main.js"), &rules).unwrap();
    assert!(report.is_clean() && report.findings.is_empty());
    assert_eq!(report.allowed.len(), 2);
    assert!(
        report
            .allowed
            .iter()
            .all(|one| one.reason == "renders mails")
    );
}

/// The source of a file that imports React, and nests.
fn judged_with_source(source: &str, name: &str) -> BundleReport {
    let source = serde_json::to_string(source).unwrap();
    let map = format!(
        r#"{{"version":3,"sources":["../src/{name}","../node_modules/react/index.js"],
        "sourcesContent":[{source},"module.exports = 1"],"mappings":"AAAA;ACAA"}}"#
    );
    let root = workspace(&[
        ("dist/main.js", "var a = 1;\nvar react = 2;\n"),
        ("dist/main.js.map", &map),
    ]);
    judged(&root)
}

#[test]
fn sources_that_nest_deeply_are_read_and_end_no_program() {
    let depth = 50_000;
    for (open, close, times, name) in [
        ("[", "]", depth, "main.ts"),
        ("(", ")", depth, "main.js"),
        ("{a:", "}", depth, "main.tsx"),
        ("a?b:", "", 200_000, "main.ts"),
        ("a+", "", 200_000, "main.ts"),
        ("!", "", 200_000, "main.ts"),
    ] {
        let nested = format!(
            "import r from 'react';\nx = {}r{}",
            open.repeat(times),
            close.repeat(times)
        );
        let report = judged_with_source(&nested, name);
        let way: Vec<_> = report.findings[0]
            .chain
            .iter()
            .map(|one| one.line)
            .collect();
        assert_eq!(way, [Some(1)], "{open}");
    }
    let chain = format!(
        "import r from 'react';\n{}r",
        "if(a)b;else ".repeat(200_000)
    );
    assert_eq!(
        judged_with_source(&chain, "main.ts").findings[0]
            .chain
            .len(),
        1
    );
    let endless = format!("import r from 'react';\n{}", "[".repeat(1_000_000));
    assert_eq!(
        judged_with_source(&endless, "main.ts").findings[0].chain,
        []
    );
}

#[test]
fn a_configuration_that_nests_deeply_is_none() {
    let map = r#"{"version":3,"sources":["../src/main.ts","../node_modules/react/index.js"],
        "sourcesContent":["import 'react'","module.exports = 1"],"mappings":"AAAA;ACAA"}"#;
    for depth in [50_000, 1_000_000] {
        let root = workspace(&[
            ("dist/main.js", "var a = 1;\nvar react = 2;\n"),
            ("dist/main.js.map", map),
            ("tsconfig.json", &format!("{{\"a\":{}", "[".repeat(depth))),
        ]);
        assert_eq!(judged(&root).findings[0].chain.len(), 1);
    }
}

#[test]
fn a_byte_order_mark_moves_no_line() {
    let found = find_imports("\u{feff}require(\n'react')", &Rules::default()).unwrap();
    assert_eq!((found[0].line, found[0].column), (2, 1));
    let root = workspace(&[("dist/main.js", "\u{feff}require(\n'react')")]);
    let found = judged(&root).findings;
    assert_eq!((found[0].line, found[0].column), (2, 1));
}
