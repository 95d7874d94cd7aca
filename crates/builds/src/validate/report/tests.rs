use super::super::{AllowedFinding, Fix, FixKind, ImportKind, Original};
use super::*;
use crate::secrets::SecretHit;

fn found() -> (Vec<BundleReport>, Vec<SecretHit>) {
    let imported = Finding {
        label: "React".to_owned(),
        severity: Severity::Error,
        guarded: false,
        specifier: "react".to_owned(),
        kind: ImportKind::Require,
        line: 7,
        column: 3,
        code: String::new(),
        bytes: None,
        modules: None,
        original: None,
        chain: Vec::new(),
        fix: None,
        frame: None,
    };
    let led_back = Finding {
        severity: Severity::Note,
        guarded: true,
        original: Some(Original {
            file: "src/a b.ts".to_owned(),
            line: 4,
        }),
        ..imported.clone()
    };
    let held = Finding {
        kind: ImportKind::Inlined,
        bytes: Some(9),
        modules: Some(1),
        fix: Some(Fix {
            kind: FixKind::BackEndIndex,
            file: "src/index.ts".to_owned(),
            line: Some(2),
            advice: "move it: 100%".to_owned(),
        }),
        ..imported.clone()
    };
    let report = BundleReport {
        path: "dist/main.js".into(),
        size_bytes: 1,
        lines: 1,
        findings: vec![imported, led_back, held],
        allowed: Vec::new(),
        told_by: ToldBy::Map,
        notes: Vec::new(),
        nx: false,
    };
    let hit = SecretHit {
        file: "app/main.js".to_owned(),
        line: 1,
        column: 5,
        source: Some("../node_modules/x/i.js".to_owned()),
        source_line: Some(8),
        rule: "jwt",
        title: "JSON web token",
        fingerprint: "abc".to_owned(),
        refused: false,
    };
    (vec![report], vec![hit])
}

#[test]
fn forges_are_told_where_to_look() {
    let (reports, secrets) = found();
    assert_eq!(
        github(&reports, &secrets),
        "::error file=dist/main.js,line=7,col=3,title=imports/react::the bundle `dist/main.js` imports `react`\n\
         ::notice file=src/a b.ts,line=4,title=imports/react::the bundle `dist/main.js` imports `react`; the program goes on without it\n\
         ::error file=src/index.ts,line=2,title=imports/react::`react` lies in the bundle `dist/main.js`: 9 bytes, files: 1. move it: 100%25\n\
         ::warning file=node_modules/x/i.js,line=8,title=secrets/jwt::JSON web token in `app/main.js`, which would be packed\n"
    );
}

#[test]
fn sarif_has_a_result_for_each_and_a_rule_for_each_kind() {
    let (reports, secrets) = found();
    let log = sarif(&reports, &secrets, "1.2.3");
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["rules"].as_array().unwrap().len(), 2);
    let levels: Vec<&str> = run["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["level"].as_str().unwrap())
        .collect();
    assert_eq!(levels, ["error", "note", "error", "warning"]);
    let place = &run["results"][1]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "src/a%20b.ts");
    assert_eq!(place["region"]["startLine"], 4);
    assert_eq!(run["results"][3]["partialFingerprints"]["secret/v1"], "abc");
}

fn finding(label: &str, line: usize, code: &str) -> Finding {
    Finding {
        label: label.to_owned(),
        specifier: "react".to_owned(),
        kind: ImportKind::Require,
        line,
        column: 1,
        code: code.to_owned(),
        severity: Severity::Error,
        guarded: false,
        bytes: None,
        modules: None,
        original: None,
        chain: Vec::new(),
        fix: None,
        frame: None,
    }
}

fn report(path: &str, findings: Vec<Finding>) -> BundleReport {
    BundleReport {
        path: path.into(),
        size_bytes: 9_255_528,
        lines: 210_767,
        findings,
        allowed: Vec::new(),
        told_by: ToldBy::Map,
        notes: Vec::new(),
        nx: false,
    }
}

fn check(reports: &[BundleReport], expected: &str) {
    assert_eq!(render(reports), expected);
}

#[test]
fn clean_bundles_are_clean() {
    check(
        &[report("dist/packages/app-gateway/main.js", vec![])],
        "✅ dist/packages/app-gateway/main.js: CLEAN (8.83MB, 210,767 lines)\n\
         ✅ All bundles are clean!\n",
    );
}

#[test]
fn every_occurrence_is_listed_under_its_label() {
    let dirty = vec![
        finding("React", 181_638, "var e4 = require(\"react\");"),
        finding("Frontend", 181_700, "require(\"@x/y/frontend\")"),
        finding("React", 181_853, "var react = require(\"react\");"),
    ];
    check(
        &[report("a/main.js", vec![]), report("b/main.js", dirty)],
        "✅ a/main.js: CLEAN (8.83MB, 210,767 lines)\n\
         ❌ b/main.js: Found 2 issue(s):\n   \
            ⚠️  React: 2 occurrence(s)\n      \
               Line 181638: var e4 = require(\"react\");\n      \
               Line 181853: var react = require(\"react\");\n   \
            ⚠️  Frontend: 1 occurrence(s)\n      \
               Line 181700: require(\"@x/y/frontend\")\n\
         ❌ BUILD VALIDATION FAILED: React and Frontend dependencies found\n",
    );
}

#[test]
fn the_way_into_a_bundle_is_told_once_with_its_fix() {
    let link = |file: &str, imports: &str, passed_on| Link {
        file: file.to_owned(),
        line: Some(3),
        imports: imports.to_owned(),
        passed_on,
    };
    let chain = vec![
        link("app/src/main.ts", "@x/collab", false),
        link("collab/src/index.ts", "./hooks", true),
    ];
    let held = Finding {
        bytes: Some(45_678),
        modules: Some(2),
        chain: chain.clone(),
        fix: Some(Fix {
            kind: FixKind::BackEndIndex,
            file: "collab/src/index.ts".to_owned(),
            line: Some(3),
            advice: "move the export".to_owned(),
        }),
        ..finding("React", 7, "")
    };
    let again = Finding {
        specifier: "react-dom".to_owned(),
        line: 0,
        modules: Some(1),
        ..held.clone()
    };
    let guarded = Finding {
        severity: Severity::Note,
        guarded: true,
        ..finding("React", 9, "try { require(\"react\") } catch {}")
    };
    let dirty = BundleReport {
        allowed: vec![AllowedFinding {
            label: "React".to_owned(),
            what: "react-is".to_owned(),
            reason: "no front end".to_owned(),
        }],
        notes: vec!["something".to_owned()],
        nx: true,
        ..report("main.js", vec![held, again, guarded])
    };
    check(
        &[dirty],
        "❌ main.js: Found 1 issue(s):\n   \
            ⚠️  React: 2 occurrence(s)\n      \
               Line 7: react lies in the bundle: 45,678 bytes of 2 files\n         \
                  app/src/main.ts:3 imports \"@x/collab\"\n         \
                  collab/src/index.ts:3 exports \"./hooks\"\n         \
                  fix: collab/src/index.ts:3: move the export\n      \
               react-dom lies in the bundle: 45,678 bytes of 1 file\n   \
            ℹ️  React: 1 occurrence(s)\n      \
               Line 9: try { require(\"react\") } catch {}\n         \
                  the program goes on without it\n   \
            allowed: react-is (no front end)\n   \
            note: something\n   \
            note: where a fix does not show, `npx nx reset` empties Nx's cache\n\
         ❌ BUILD VALIDATION FAILED: React dependencies found\n",
    );
}

#[test]
fn a_note_keeps_a_bundle_clean_and_what_nobody_tells_is_said() {
    let noted = Finding {
        severity: Severity::Note,
        ..finding("React", 9, "x")
    };
    let unknown = BundleReport {
        told_by: ToldBy::Nobody,
        ..report("a.js", vec![noted])
    };
    check(
        &[unknown],
        "✅ a.js: CLEAN (8.83MB, 210,767 lines)\n   \
            ℹ️  React: 1 occurrence(s)\n      \
               Line 9: x\n   \
            note: no source map or metafile tells what lies in it; only imports were looked at\n\
         ✅ All bundles are clean!\n",
    );
}

#[test]
fn no_bundle_is_not_clean() {
    check(&[], "❌ BUILD VALIDATION FAILED: there is no bundle\n");
}

#[test]
fn numbers_read_as_in_the_tables() {
    let sizes = [
        (0, "0.00MB"),
        (MEGABYTE, "1.00MB"),
        (4_299_162, "4.10MB"),
        (5_238, "0.00MB"),
        (5_243, "0.01MB"),
    ];
    for (bytes, expected) in sizes {
        assert_eq!(megabytes(bytes), expected);
    }
    for (number, expected) in [
        (0, "0"),
        (999, "999"),
        (1_000, "1,000"),
        (1_234_567, "1,234,567"),
    ] {
        assert_eq!(thousands(number), expected);
    }
}
