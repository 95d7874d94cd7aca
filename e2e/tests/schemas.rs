//! What `lockgate` prints for programs where the page of docs/json.md has nothing to show.
//! [`World::lockgate`] holds each document and line to its schema.

#![expect(clippy::unwrap_used, reason = "a test ends by panic")]

use std::path::Path;

use lockgate_e2e::World;

/// Where the gateway's bundle lies.
const FOLDER: &str = "dist/packages/app-gateway";

/// A workspace with something of each sort to find.
fn with_findings(root: &Path) {
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let token = format!("{}{}", "ghp", "_x7Kd92LmQa4VbT1yZc8RnE5uWs3HfJ0gPk6D");
    write(
        &format!("{FOLDER}/main.js"),
        &format!("var react = 1;\nvar h = react;\nrequire('react');\nt('{token}');\n"),
    );
    let map = r#"{"version":3,"sources":["../../../src/main.ts","../../../src/hooks.ts","../../../node_modules/react/index.js"],
        "sourcesContent":["import { h } from './hooks';\nh()","import { u } from 'react';\nexport const h = u","module.exports = 1"],
        "mappings":"AEAA;ADAA;ADAA"}"#;
    write(&format!("{FOLDER}/main.js.map"), map);
    write("dist/packages/app-other/main.js", "require('react-dom');\n");
    write("dist/packages/app-other/main.js.map", "{");
    write(
        "docker-images/backend-images/gateway/app/main.sh",
        "#!/bin/sh\n",
    );
    write(
        "lockgate.toml",
        "[validate]\ntypes = 'note'\n[[validate.allow]]\nwhat = 'react-dom'\nreason = 'mails'\n",
    );
}

#[test]
fn documents_with_something_in_them_keep_to_their_schemas() {
    let world = World::new();
    let root = world.dir().join("w");
    with_findings(&root);
    let workspace = root.display().to_string();
    let run = |args: &[&str], code: i32| {
        let ran = world.lockgate(&[args, &["--format", "json"]].concat());
        ran.expect(code);
        ran
    };
    let at = ["--workspace", &workspace];
    let validate = |more: &[&str], code| run(&[&["validate"], &at[..], more].concat(), code).json();

    let found = validate(&[], 1);
    assert_eq!(found["clean"], false);
    assert!(!found["secrets"].as_array().unwrap().is_empty());
    let bundles = found["bundles"].as_array().unwrap();
    let all = |name: &str| {
        let lists = bundles.iter().map(|one| one[name].as_array().unwrap());
        lists.flatten().count()
    };
    for name in ["findings", "allowed", "notes"] {
        assert!(all(name) > 0, "no {name}: {found:#}");
    }
    assert!(
        bundles
            .iter()
            .any(|one| one["findings"][0]["chain"][0].is_object())
    );
    let packed = run(&["pack", "dev-001", &workspace, "--no-validate"], 0);
    assert!(
        packed.stdout.contains("\"event\":\"secrets\""),
        "{}",
        packed.stdout
    );
    let bundle = format!("{workspace}/{FOLDER}/main.js");
    let sizes = validate(&["--sizes", &bundle], 0);
    assert!(
        !sizes["bundles"][0]["sizes"]["parts"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let older = format!("{workspace}/dist/packages/app-other/main.js");
    let changed = validate(&["--sizes", "--diff", &older, &bundle], 0);
    assert!(!changed["changes"].as_array().unwrap().is_empty());
    assert_eq!(validate(&["--accept"], 0)["accepted"], 1);

    run(&["init", &world.dir().display().to_string()], 0);
    // How it ends depends on the machine.
    world.lockgate(&["trust", "--check", "--format", "json"]);
    run(&["serve", "stop"], 0);
    run(&["serve", "status"], 1);
}

#[test]
fn what_publishes_keeps_to_its_schema_however_it_is_called() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    std::fs::write(
        workspace.path.join("lockgate.toml"),
        "[app.limits]\ntrial = '1s'\n[services.ganymede]\ncommand = ['sleep', 'infinity']\n",
    )
    .unwrap();
    let path = workspace.path.display().to_string();
    let run = |args: &[&str], code: i32| {
        let ran = world.lockgate(&[args, &["--format", "json"]].concat());
        ran.expect(code);
        ran
    };
    let organization = "550e8400-e29b-41d4-a716-446655440000";
    run(&["create", "dev-001", "dev-001.test", &path], 0);
    // Nothing was deployed, and no server runs.
    run(&["set", "dev-001", "LEVEL=debug"], 0);
    run(&["scale", "dev-001", "2"], 0);
    run(&["org", "assign", "dev-001", organization], 0);
    run(&["deploy", "dev-001"], 1);
    run(&["status", "dev-001"], 0);
    world.serve();
    run(&["deploy", "dev-001"], 0);
    workspace.set_version("2.0.0");
    run(&["deploy", "dev-001", "--gateway", "1"], 0);
    run(&["builds", "dev-001"], 0);
    run(&["status", "dev-001"], 0);
    run(&["rollback", "dev-001"], 1);
    run(&["deploy", "dev-001", "--unpin"], 0);
    run(&["restart", "dev-001", "ganymede"], 0);
    run(&["restart", "dev-001", "0"], 0);
    run(&["urls", "dev-001", "--no-check"], 0);
    run(&["org", "release", "dev-001", organization], 0);
    run(&["delete", "dev-001", "--yes"], 0);
}
