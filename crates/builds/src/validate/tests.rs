mod explained;

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
            (5, 16, "`é`, require('react-dom')); // done"),
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
