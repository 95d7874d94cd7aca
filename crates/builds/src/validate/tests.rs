use std::fmt::Write as _;

use super::*;

/// Finds these (kind, specifier) pairs, in this order.
fn check(text: &str, expected: &[(ImportKind, &str)]) {
    let found = find_imports(text, &Rules::default()).unwrap_or_else(|why| panic!("{text}: {why}"));
    let found: Vec<_> = found
        .iter()
        .map(|one| (one.kind, one.specifier.as_str()))
        .collect();
    assert_eq!(found, expected, "{text}");
}

fn clean(text: &str) {
    check(text, &[]);
}

#[test]
fn every_form_of_require_is_found() {
    use ImportKind::{BundledRequire, Require};
    for (text, kind, specifier) in [
        ("var e4 = require(\"react\");", Require, "react"),
        ("require('react')", Require, "react"),
        ("require(`react`)", Require, "react"),
        ("require(/* why */ 'react')", Require, "react"),
        ("require ( 'react' )", Require, "react"),
        ("require(('react'))", Require, "react"),
        ("require?.('react')", Require, "react"),
        ("(0, require)('react')", Require, "react"),
        ("module.require('react')", Require, "react"),
        ("require('re\\u0061ct')", Require, "react"),
        (
            "require(\n  'react-dom/client'\n)",
            Require,
            "react-dom/client",
        ),
        ("x(__toESM(require('react'), 1))", Require, "react"),
        ("const { useState } = require('react')", Require, "react"),
        (
            "if (process.env.X) { require('react/jsx-runtime') }",
            Require,
            "react/jsx-runtime",
        ),
        (
            "const f = () => ({ a: [require('react')] })",
            Require,
            "react",
        ),
        ("class A { static x = require('react') }", Require, "react"),
        ("`${require('react')}`", Require, "react"),
        (
            "import { createRequire } from 'module'; createRequire(import.meta.url)('react')",
            Require,
            "react",
        ),
        ("__require('react')", BundledRequire, "react"),
        ("__require2(\"react\")", BundledRequire, "react"),
    ] {
        check(text, &[(kind, specifier)]);
    }
}

#[test]
fn every_form_of_import_is_found() {
    use ImportKind::{DynamicImport, ExportFrom, Import, Require};
    for (text, kind, specifier) in [
        ("import React from \"react\"", Import, "react"),
        ("import*as R from\"react\"", Import, "react"),
        ("import{useState as a}from\"react\";", Import, "react"),
        ("import \"react\"", Import, "react"),
        ("import R, { a } from 'react-dom'", Import, "react-dom"),
        (
            "import x from 'react' with { type: 'json' }",
            Import,
            "react",
        ),
        ("export * from 'react'", ExportFrom, "react"),
        ("export * as R from 'react'", ExportFrom, "react"),
        ("export { a as b } from 'react'", ExportFrom, "react"),
        (
            "export { useMyHook } from '@x/collab/frontend'",
            ExportFrom,
            "@x/collab/frontend",
        ),
        ("import('react')", DynamicImport, "react"),
        (
            "await import(`react-hotkeys-hook`)",
            DynamicImport,
            "react-hotkeys-hook",
        ),
        (
            "const f = async () => (await import('react', {})).x",
            DynamicImport,
            "react",
        ),
        ("#!/usr/bin/env node\nrequire('react')", Require, "react"),
        ("\u{feff}require('react')", Require, "react"),
        ("return require('react')", Require, "react"),
    ] {
        check(text, &[(kind, specifier)]);
    }
}

#[test]
fn what_is_no_import_is_not_found() {
    for text in [
        "// require('react')",
        "/* import React from 'react' */ 1",
        "/** @type {import('react').FC} */ var x",
        "'require(\"react\")'",
        "\"import('react')\"",
        "`require('react') import x from 'react'`",
        "`${1} from \"react\" ${`require('react')`}`",
        "/require\\('react'\\)/.test(x)",
        "x = a / require_ / 'react'",
        "require.resolve('react')",
        "__require.resolve('react')",
        "x.require('react')",
        "requires('react'); _require('react'); __requireX('react')",
        "require",
        "require()",
        "require(name)",
        "require('re' + 'act')",
        "require(`${'react'}`)",
        "import(name)",
        "load('react')",
        "throw new Error('Cannot find module react')",
        "var react = { react: 'react' }",
        "<!-- require('react')\n1",
        "require('preact'); require('react-is'); require('./react')",
        "import x from 'preact'; export * from 'reactive'; import('node:fs')",
        "export const react = 'react'",
        "console.log('from \"react\"')",
    ] {
        clean(text);
    }
}

#[test]
fn a_minified_stand_in_is_known_by_its_message() {
    let stand_in = |name: &str| {
        format!(
            "var {name}=(e=>typeof require<\"u\"?require:typeof Proxy<\"u\"?new Proxy(e,{{get:(t,r)=>(typeof require<\"u\"?require:t)[r]}}):e)\
             (function(e){{if(typeof require<\"u\")return require.apply(this,arguments);throw Error('Dynamic require of \"'+e+'\" is not supported')}});"
        )
    };
    check(
        &format!("{}Te(\"react\");We(\"react\")", stand_in("Te")),
        &[(ImportKind::BundledRequire, "react")],
    );
    clean(&format!("{}Te(\"fs\")", stand_in("Te")));
    clean("Te(\"react\")");
}

#[test]
fn line_column_and_code_lead_to_the_specifier() {
    let text = "const a = 1;\r\n\n  var e4 = require(\"react\");\nimport_x(\n  `é`, require('react-dom')); // done\n";
    let found = find_imports(text, &Rules::default()).unwrap();
    let places: Vec<_> = found
        .iter()
        .map(|one| (one.line, one.column, one.code.as_str()))
        .collect();
    assert_eq!(
        places,
        [
            (3, 20, "var e4 = require(\"react\");"),
            (5, 17, "`é`, require('react-dom')); // done"),
        ]
    );
    assert!(found.iter().all(|one| one.label == "React"));
}

#[test]
fn a_long_line_is_shown_around_the_specifier() {
    for (before, after) in [(5_000, 5_000), (0, 5_000), (5_000, 0), (150, 2), (400, 400)] {
        let text = format!(
            "{}require('react');{}",
            "é();".repeat(before),
            "ü();".repeat(after)
        );
        let text = text.replace('é', "a\u{e9}");
        let found = find_imports(&text, &Rules::default()).unwrap();
        let code = &found[0].code;
        assert!(
            code.contains("require('react')"),
            "{before} {after}: {code}"
        );
        assert!(code.chars().count() <= 160, "{before} {after}: {code}");
        assert_eq!(code.starts_with('…'), before > 0, "{code}");
        assert_eq!(code.ends_with('…'), after > 2, "{code}");
    }
}

#[test]
fn escape_sequences_do_not_reach_the_terminal() {
    let found = find_imports("f('\u{1b}[2J', require('react'))", &Rules::default()).unwrap();
    assert_eq!(found[0].code, "f(' [2J', require('react'))");
}

#[test]
fn what_does_not_parse_is_an_error_with_its_place() {
    for (text, place) in [
        ("var a = 1;\nfunction f() { return {", "2:"),
        ("const s = 'abc", "1:"),
        ("var x = `abc ${1} \n", "1:"),
        ("a b c", "1:"),
        ("<html></html>", "1:"),
        ("{\"version\":3,\"sources\":[]}", "1:"),
        ("/* cut", "1:"),
    ] {
        let why = find_imports(text, &Rules::default()).unwrap_err();
        assert!(why.starts_with(place), "{text}: {why}");
        assert!(why.len() > 8, "{text}: {why}");
    }
}

#[test]
fn scripts_and_modules_both_parse() {
    for text in [
        "with (a) { b }",
        "var let = 1; var yield = 2; await = 3",
        "delete x; 010",
        "import fs from 'fs'; await fs.x",
        "export default 1; for await (const a of b) {}",
        "'use strict'; module.exports = 1",
        "return 1",
        "const x = await 1;",
        "new.target",
    ] {
        clean(text);
    }
}

#[test]
fn a_require_that_was_made_or_renamed_is_known_wherever_it_stands() {
    use ImportKind::Require;
    for text in [
        "const load = createRequire(import.meta.url); load('react')",
        "import * as m from 'module'; const load = m.createRequire(import.meta.url); load('react')",
        "import { createRequire as make } from 'node:module'; make(import.meta.url)('react')",
        "import { createRequire as make } from 'module'; const r = make(import.meta.url); r('react')",
        "function late() { return load('react') } const load = createRequire(__filename);",
        "const load = require; load('react')",
        "require.main.require('react')",
        "process.mainModule.require('react')",
    ] {
        check(text, &[(Require, "react")]);
    }
    clean("import { createRequire as make } from './own'; make(1)('react')");
    clean("const load = makeLoader(require); load('react')");
}

/// Wrappers hand the real `require` to a function whose parameter has its name, so a
/// parameter cannot be taken for somebody else's function.
#[test]
fn a_require_that_was_handed_in_counts() {
    let umd = "(function (factory) { if (typeof module === 'object') factory(require, exports); \
               else define(['require', 'exports'], factory) })\
               (function (require, exports) { exports.r = require('react') })";
    check(umd, &[(ImportKind::Require, "react")]);
}

#[test]
fn nesting_beyond_every_program_is_an_error_and_no_crash() {
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("x=>{", "}"),
        ("(function(){", "})()"),
    ] {
        let depth = 1_000_000;
        let text = format!("x={}1{}", open.repeat(depth), close.repeat(depth));
        let why = find_imports(&text, &Rules::default()).unwrap_err();
        assert!(why.starts_with("1:") && why.contains("nested"), "{why}");
    }
    let lines = "f(')', \"(\"); g('[31m');\n".repeat(20_000);
    clean(&lines);
}

#[test]
fn deep_nesting_neither_crashes_nor_hides_a_finding() {
    for (open, close, depth) in [
        ("[", "]", 99_000),
        ("(", ")", 99_000),
        ("{a:", "}", 99_000),
        ("(function(){return ", "})()", 49_000),
        ("class{m(){return ", "}}", 49_000),
        ("a?b:", "", 100_000),
    ] {
        let (open, close) = (open.repeat(depth), close.repeat(depth));
        let text = format!("x={open}require('react'){close}");
        check(&text, &[(ImportKind::Require, "react")]);
    }
    let mut text = "var x = require('react')".to_owned();
    for index in 0..50_000 {
        write!(text, "+ {index}").unwrap();
    }
    check(&text, &[(ImportKind::Require, "react")]);
}

#[test]
fn own_rules_replace_the_default() {
    let rules = Rules {
        rules: vec![Rule {
            label: "Database".to_owned(),
            packages: vec!["pg".to_owned(), "pg/*".to_owned()],
            files: Vec::new(),
            severity: Severity::Error,
            bundles: Vec::new(),
        }],
        ..Rules::default()
    };
    let found = find_imports("require('react'); require('pg/lib/x')", &rules).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].label.as_str(), found[0].specifier.as_str()),
        ("Database", "pg/lib/x")
    );
}

#[test]
fn a_bundle_is_read_and_measured() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("main.js");
    std::fs::write(&path, "var a = 1;\nrequire('react');\na();").unwrap();
    let report = validate_bundle(dir.path(), Path::new("main.js"), &Rules::default()).unwrap();
    assert_eq!(
        (report.size_bytes, report.lines, report.findings.len()),
        (33, 3, 1)
    );
    assert_eq!(report.path, Path::new("main.js"));
}

#[test]
fn what_cannot_be_judged_is_never_clean() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("main.js");
    let judged = |bytes: Option<&[u8]>| {
        if let Some(bytes) = bytes {
            std::fs::write(&path, bytes).unwrap();
        }
        let error =
            validate_bundle(dir.path(), Path::new("main.js"), &Rules::default()).unwrap_err();
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
        error
    };
    assert!(matches!(judged(None), ValidateError::Missing { .. }));
    assert!(matches!(judged(Some(b"")), ValidateError::Empty { .. }));
    assert!(matches!(
        judged(Some(b" \n\t\n")),
        ValidateError::Empty { .. }
    ));
    assert!(matches!(
        judged(Some("\u{feff}\n".as_bytes())),
        ValidateError::Empty { .. }
    ));
    assert!(matches!(
        judged(Some(b"a();\xff")),
        ValidateError::NotUtf8 { offset: 4, .. }
    ));
    assert!(matches!(
        judged(Some(b"f(")),
        ValidateError::Unparsable { .. }
    ));
    assert!(matches!(
        judged(Some(&[0; 100])),
        ValidateError::Unparsable { .. }
    ));
    let error = validate_bundle(dir.path(), Path::new("."), &Rules::default()).unwrap_err();
    assert!(matches!(error, ValidateError::Read { .. }), "{error}");
}

/// Whether the program goes on without `react`.
fn check_guarded(text: &str, expected: bool) {
    let found = find_imports(text, &Rules::default()).unwrap();
    let [finding] = &found[..] else {
        panic!("{text}: {found:?}");
    };
    assert_eq!(finding.guarded, expected, "{text}");
    let severity = if expected {
        Severity::Note
    } else {
        Severity::Error
    };
    assert_eq!(finding.severity, severity);
}

#[test]
fn what_a_program_can_do_without_is_told_apart() {
    for text in [
        "try { require('react') } catch {}",
        "let r; try { r = require('react') } catch (e) { r = null }",
        "try { if (x) { y(require('react')) } } catch { y() } finally { z() }",
        "function f() { try { return require('react') } catch { return null } }",
        "import('react').catch(() => null)",
    ] {
        check_guarded(text, true);
    }
    for text in [
        "try { f() } catch { require('react') }",
        "try { require('react') } catch (e) { throw e }",
        "try { require('react') } finally { f() }",
        "try { f(() => require('react')) } catch {}",
        "try {} catch {} require('react')",
        "import('react').then(f)",
    ] {
        check_guarded(text, false);
    }
}

#[test]
fn bundlers_marks_tell_what_lies_in_a_bundle_where_nothing_else_does() {
    for (text, expected) in [
        (
            "// node_modules/react/index.js\nvar a = 1;\n// src/main.js\nb();",
            true,
        ),
        (
            "var m = C({ \"node_modules/react/index.js\"(e, m) { m.exports = 1 } });",
            true,
        ),
        (
            "var m = { \"./node_modules/react/index.js\": (e, m) => { m.exports = 1 } };",
            true,
        ),
        (
            "// see node_modules/react/index.js for more\nvar a = 1;",
            false,
        ),
        ("var a = '// node_modules/react/index.js';", false),
        ("var a = `\n// node_modules/react/index.js\n`;", false),
        ("var a = { \"node_modules/react/index.js\": 1 };", false),
        ("// node_modules/react-is/index.js\nvar a = 1;", false),
    ] {
        let found = find_imports(text, &Rules::default()).unwrap();
        assert_eq!(found.len(), usize::from(expected), "{text}: {found:?}");
        assert!(found.iter().all(|one| one.kind == ImportKind::Inlined));
    }
}

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
