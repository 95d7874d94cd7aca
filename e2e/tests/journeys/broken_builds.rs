//! Bad input never loses anything: the old build keeps serving.

use std::fs;
use std::path::PathBuf;

use lockgate_e2e::{Workspace, World};
use serde_json::Value;

/// A world whose gateways run version 1.0.0.
fn running() -> (World, Workspace) {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    (world, workspace)
}

fn store(world: &World) -> PathBuf {
    world.home().join("builds/dev-001")
}

/// Packs version 2.0.0 without publishing it and gives the path of its archive in the store.
fn packed(world: &World, workspace: &Workspace) -> PathBuf {
    let known = |world: &World| -> Vec<PathBuf> {
        let entries = fs::read_dir(store(world).join("builds")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let before = known(world);
    workspace.set_version("2.0.0");
    world.lockgate(&["pack", "dev-001"]).expect(0);
    let fresh = known(world).into_iter().find(|path| !before.contains(path));
    fresh.expect("a new build in the store").join("archive.tar")
}

fn refused_by_all(world: &World) -> bool {
    let refused = |gateway: &Value| gateway.get("refused").is_some_and(|it| !it.is_null());
    world.gateways("dev-001").iter().all(refused)
}

#[test]
fn a_bundle_that_throws_at_start_leaves_the_old_one_serving() {
    let (world, workspace) = running();
    workspace.prepend("throw new Error('no such table: rooms');");
    world
        .deploy("dev-001")
        .expect(1)
        .says("no such table: rooms")
        .says("kept its old build");
    world.expect_version("dev-001", "1.0.0");
    assert!(refused_by_all(&world));
    // The next good build goes through.
    workspace.edit(|text| text.replace("throw new Error('no such table: rooms');\n", ""));
    workspace.set_version("3.0.0");
    world.deploy("dev-001").expect(0);
    world.expect_version("dev-001", "3.0.0");
}

#[test]
fn a_refused_build_is_not_tried_again_by_a_new_agent() {
    let (world, workspace) = running();
    workspace.prepend("throw new Error('no such table: rooms');");
    world.deploy("dev-001").expect(1);
    world.lockgate(&["stop", "dev-001"]).expect(0);
    world.lockgate(&["start", "dev-001"]).expect(0);
    world
        .lockgate(&["wait", "dev-001", "--for", "ready", "--timeout", "30s"])
        .expect(0);
    world.expect_version("dev-001", "1.0.0");
    assert!(refused_by_all(&world));
    let logs = world.lockgate(&["logs", "dev-001"]);
    let throws = logs
        .stdout
        .lines()
        .filter(|line| line.contains("Error: no such table"));
    assert_eq!(
        throws.count(),
        9,
        "three tries on three gateways, none after the restart"
    );
}

#[test]
fn a_cut_archive_changes_nothing() {
    let (world, workspace) = running();
    let first = world.gateways("dev-001")[0]["running_build"]
        .as_str()
        .unwrap()
        .to_owned();
    workspace.set_version("2.0.0");
    world.deploy("dev-001").expect(0);
    // The first build is gone from the gateways and cut in the store.
    for number in 0..3 {
        let releases = world
            .home()
            .join(format!("envs/dev-001/gateways/{number}/releases"));
        fs::remove_dir_all(releases.join(&first)).unwrap();
    }
    let archive = store(&world)
        .join("builds")
        .join(&first)
        .join("archive.tar");
    let whole = fs::metadata(&archive).unwrap().len();
    fs::OpenOptions::new()
        .write(true)
        .open(&archive)
        .unwrap()
        .set_len(whole / 2)
        .unwrap();
    world
        .lockgate(&["rollback", "dev-001", &first, "--timeout", "4s"])
        .expect(1);
    world.expect_version("dev-001", "2.0.0");
}

#[test]
fn a_cut_archive_in_the_store_is_packed_again() {
    let (world, workspace) = running();
    let archive = packed(&world, &workspace);
    let whole = fs::metadata(&archive).unwrap().len();
    fs::OpenOptions::new()
        .write(true)
        .open(&archive)
        .unwrap()
        .set_len(whole / 2)
        .unwrap();
    world.deploy("dev-001").expect(0);
    world.expect_version("dev-001", "2.0.0");
}

#[test]
fn a_corrupted_archive_changes_nothing() {
    let (world, workspace) = running();
    let archive = packed(&world, &workspace);
    let mut bytes = fs::read(&archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&archive, bytes).unwrap();
    world
        .lockgate(&["deploy", "dev-001", "--timeout", "4s"])
        .expect(1)
        .says("another content than its manifest says");
    world.expect_version("dev-001", "1.0.0");
}

#[test]
fn statement_and_build_of_another_environment_change_nothing() {
    let (world, _workspace) = running();
    let other = world.workspace("other");
    other.set_version("9.9.9");
    world.create("dev-002", &other);
    world.deploy("dev-002").expect(0);
    // Someone puts the other environment's signed statements and builds in place.
    let foreign = world.home().join("builds/dev-002");
    for number in 0..3 {
        let statement = foreign.join(format!("statements/gw-pool-dev-002-{number}.json"));
        fs::copy(
            statement,
            store(&world).join(format!("statements/gw-pool-dev-001-{number}.json")),
        )
        .unwrap();
    }
    for build in fs::read_dir(foreign.join("builds")).unwrap() {
        let build = build.unwrap();
        let to = store(&world).join("builds").join(build.file_name());
        if !to.exists() {
            fs::create_dir(&to).unwrap();
            for file in fs::read_dir(build.path()).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), to.join(file.file_name())).unwrap();
            }
        }
    }
    // Agents started again read the false statements at once.
    world.lockgate(&["stop", "dev-001"]).expect(0);
    world.lockgate(&["start", "dev-001"]).expect(0);
    world
        .lockgate(&["wait", "dev-001", "--for", "ready", "--timeout", "30s"])
        .expect(0);
    world.expect_version("dev-001", "1.0.0");
    let problem = lockgate_e2e::until(
        "the agents say why",
        std::time::Duration::from_secs(20),
        || {
            let gateways = world.gateways("dev-001");
            gateways[0].get("problem")?.as_str().map(str::to_owned)
        },
    );
    assert!(
        problem.contains("signature") || problem.contains("key"),
        "{problem}"
    );
}

#[test]
fn a_bundle_with_react_is_not_deployed() {
    let (world, workspace) = running();
    workspace.edit(|text| text + "\nvar e4 = require(\"react\");\n");
    world
        .deploy("dev-001")
        .expect(1)
        .says("React: 1 occurrence(s)")
        .says("BUILD VALIDATION FAILED");
    world.expect_version("dev-001", "1.0.0");
}

#[test]
fn a_secret_is_not_deployed_until_somebody_says_why() {
    let (world, workspace) = running();
    let deploy = |more: &[&str]| {
        let words = [&["deploy", "dev-001", "--wait", "ready"][..], more].concat();
        world.lockgate(&words)
    };
    // Put together here, so that nobody takes it for one that opens something.
    let token = ["ghp", "R5kq8ZtW3nVb7Yx2Lm9PaCdEfGhJkMnPqRsT"].join("_");
    workspace.set_version("2.0.0");
    workspace.edit(|text| text + &format!("\nvar token = \"{token}\";\n"));
    let refused = deploy(&[]);
    refused
        .expect(1)
        .says("1 secret must not be packed")
        .says("GitHub token")
        .says("lockgate validate --accept");
    let told = format!("{}{}", refused.stdout, refused.stderr);
    assert!(!told.contains(&token), "{told}");
    world.expect_version("dev-001", "1.0.0");

    // Whoever does not validate is told all the same, and so is whoever reads BUILD_INFO.txt.
    deploy(&["--no-validate"])
        .expect(0)
        .says("GitHub token")
        .says("secrets are packed");
    world.expect_version("dev-001", "2.0.0");
    let gateway = world.home().join("envs/dev-001/gateways/0/gateway");
    let info = gateway.join("BUILD_INFO.txt");
    let info = fs::read_to_string(info).unwrap();
    assert!(info.contains("Validated: no"), "{info}");

    // Accepted without a reason it is a wrong configuration, with one it travels.
    let path = workspace.path.display().to_string();
    world
        .lockgate(&["validate", "--accept", "--workspace", &path])
        .expect(0);
    deploy(&[]).expect(78).says("has no `reason`");
    let file = workspace.path.join("lockgate.toml");
    let accepted = fs::read_to_string(&file).unwrap();
    let reason = accepted.replace("reason = \"\"", "reason = \"opens nothing\"");
    fs::write(&file, reason).unwrap();
    workspace.set_version("3.0.0");
    deploy(&[]).expect(0);
    world.expect_version("dev-001", "3.0.0");
}

#[test]
fn an_empty_or_cut_bundle_is_not_deployed() {
    let (world, workspace) = running();
    workspace.edit(|_| String::new());
    world.deploy("dev-001").expect(1).says("empty");
    world.expect_version("dev-001", "1.0.0");
}

#[test]
fn settings_that_do_not_work_are_told_at_once_and_the_old_ones_stay() {
    let (world, workspace) = running();
    fs::write(
        workspace.path.join("lockgate.toml"),
        "[app.limits]\nready = '6s'\n[app.ready]\nhttp = '/nowhere'\n",
    )
    .unwrap();
    world
        .lockgate(&["deploy", "dev-001", "--timeout", "30s"])
        .expect(1)
        .says("was not ready within 6s")
        .says("kept its old settings");
    world.expect_version("dev-001", "1.0.0");
    let builds = world.lockgate(&["builds", "dev-001"]);
    assert!(!builds.stdout.contains("refused"), "{}", builds.stdout);
    world
        .lockgate(&["status", "dev-001"])
        .expect(0)
        .says("refused new settings of");
}
