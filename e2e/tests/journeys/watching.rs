//! A terminal that watches: every good bundle is deployed, a bad one is told.

use std::fs;
use std::time::Duration;

use lockgate_e2e::{Workspace, World, until};
use nix::sys::signal::Signal;

const SOON: Duration = Duration::from_secs(30);

fn has_version(world: &World, version: &str) -> bool {
    let answers = world.answers("dev-001");
    answers.len() == 3 && answers.iter().all(|it| it["version"] == version)
}

fn set_build_command(workspace: &Workspace, command: &str) {
    let text = format!("[build]\nsources = ['src']\ncommand = '''{command}'''\n");
    fs::write(workspace.path.join("lockgate.toml"), text).unwrap();
}

fn watches_until_ctrl_c(extra: &[&str]) {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.serve();
    world.create("dev-001", &workspace);
    let args = [&["deploy", "dev-001", "--watch"], extra].concat();
    let mut watching = world.start("watch", &args);
    until("it watches", SOON, || {
        world.written("watch").contains("Ctrl-C ends").then_some(())
    });
    world.expect_version("dev-001", "1.0.0");

    workspace.set_version("1.0.1");
    until("an edited bundle runs everywhere", SOON, || {
        has_version(&world, "1.0.1").then_some(())
    });

    workspace.edit(|text| text + "\nrequire(\"react\");\n");
    until("the finding is told", SOON, || {
        world
            .written("watch")
            .contains("still watching")
            .then_some(())
    });
    assert!(world.written("watch").contains("React: 1 occurrence(s)"));
    world.expect_version("dev-001", "1.0.1");

    workspace.edit(|text| text.replace("\nrequire(\"react\");\n", ""));
    workspace.set_version("1.0.2");
    until("the next good bundle runs everywhere", SOON, || {
        has_version(&world, "1.0.2").then_some(())
    });

    world.signal(watching.id().into(), Signal::SIGINT);
    let ended = until("the watch ends", SOON, || {
        watching.try_wait().ok().flatten()
    });
    assert!(ended.success(), "{ended}: {}", world.written("watch"));
    // The server and its gateways are not the watch's to end.
    world.expect_version("dev-001", "1.0.2");
}

#[test]
fn every_good_bundle_is_deployed_and_a_bad_one_told() {
    watches_until_ctrl_c(&[]);
}

#[test]
fn polling_sees_the_same() {
    watches_until_ctrl_c(&["--poll"]);
}

#[test]
fn a_crash_after_the_deploy_is_told_to_who_watches() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.serve();
    world.create("dev-001", &workspace);
    let mut watching = world.start("watch", &["deploy", "dev-001", "--watch"]);
    until("it watches", SOON, || {
        world.written("watch").contains("Ctrl-C ends").then_some(())
    });
    let pid = world.gateways("dev-001")[0]["pid"].as_u64().unwrap();
    world.signal(pid, Signal::SIGKILL);
    until("crash and return are told", SOON, || {
        let written = world.written("watch");
        let told = written.contains("gw-pool-dev-001-0: was killed by SIGKILL");
        (told && written.contains("gw-pool-dev-001-0: ready again")).then_some(())
    });
    world.signal(watching.id().into(), Signal::SIGTERM);
    until("the watch ends", SOON, || {
        watching.try_wait().ok().flatten()
    });
}

#[test]
fn what_changed_while_the_server_was_away_is_deployed_when_it_is_back() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.serve();
    world.create("dev-001", &workspace);
    let mut watching = world.start("watch", &["deploy", "dev-001", "--watch"]);
    until("it watches", SOON, || {
        world.written("watch").contains("Ctrl-C ends").then_some(())
    });
    world.lockgate(&["serve", "stop"]).expect(0);
    workspace.set_version("1.0.1");
    until("it waits for the server", SOON, || {
        world
            .written("watch")
            .contains("deployed when it is back")
            .then_some(())
    });
    world.serve();
    until("the edited bundle runs everywhere", SOON, || {
        has_version(&world, "1.0.1").then_some(())
    });
    world.signal(watching.id().into(), Signal::SIGINT);
    until("the watch ends", SOON, || {
        watching.try_wait().ok().flatten()
    });
}

#[test]
fn the_build_command_runs_first_and_a_failed_one_deploys_nothing() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    set_build_command(
        &workspace,
        r#"sed -i s/GATEWAY_VERSION\ =\ \"1.0.0\"/GATEWAY_VERSION\ =\ \"3.0.0\"/ dist/packages/app-gateway/main.js"#,
    );
    world
        .lockgate(&["deploy", "dev-001", "--build", "--wait", "ready"])
        .expect(0)
        .says("built");
    world.expect_version("dev-001", "3.0.0");

    set_build_command(&workspace, "echo type error in room.ts; exit 3");
    workspace.set_version("4.0.0");
    world
        .lockgate(&["deploy", "dev-001", "--build"])
        .expect(1)
        .says("type error in room.ts")
        .says("nothing was deployed");
    world.expect_version("dev-001", "3.0.0");
}

#[test]
fn an_edited_source_is_built_and_deployed() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    let source = workspace.path.join("src/version.json");
    fs::create_dir(source.parent().unwrap()).unwrap();
    fs::write(&source, "1.1.0").unwrap();
    set_build_command(
        &workspace,
        r#"grep -q '^[0-9.]*$' src/version.json || { echo no version; exit 1; }
sed -i "s/GATEWAY_VERSION = \"[^\"]*\"/GATEWAY_VERSION = \"$(cat src/version.json)\"/" dist/packages/app-gateway/main.js"#,
    );
    world.serve();
    world.create("dev-001", &workspace);
    let args = ["deploy", "dev-001", "--build", "--watch"];
    let mut watching = world.start("watch", &args);
    until("it watches", SOON, || {
        let written = world.written("watch");
        written
            .contains("and the sources; Ctrl-C ends")
            .then_some(())
    });
    world.expect_version("dev-001", "1.1.0");

    fs::write(&source, "broken").unwrap();
    until("the failed build is told", SOON, || {
        world
            .written("watch")
            .contains("nothing was deployed")
            .then_some(())
    });
    world.expect_version("dev-001", "1.1.0");

    fs::write(&source, "1.2.0").unwrap();
    until("the next good build runs everywhere", SOON, || {
        has_version(&world, "1.2.0").then_some(())
    });
    world.signal(watching.id().into(), Signal::SIGINT);
    until("the watch ends", SOON, || {
        watching.try_wait().ok().flatten()
    });
}

#[test]
fn an_interrupted_deploy_ends_the_build_and_all_it_started() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.serve();
    world.create("dev-001", &workspace);
    set_build_command(&workspace, "sleep 300 & sleep 301; echo done");
    let mut deploying = world.start("deploy", &["deploy", "dev-001", "--build"]);
    let sleeping = || {
        let all = fs::read_dir("/proc").unwrap().flatten();
        let folder = world.dir().as_os_str().as_encoded_bytes();
        all.filter(|process| {
            let read = |file| fs::read(process.path().join(file)).unwrap_or_default();
            let ours = read("environ")
                .windows(folder.len())
                .any(|part| part == folder);
            ours && read("cmdline").starts_with(b"sleep\x0030")
        })
        .count()
    };
    until("the build runs", SOON, || (sleeping() == 2).then_some(()));
    world.signal(deploying.id().into(), Signal::SIGINT);
    let ended = until("the deploy ends", SOON, || {
        deploying.try_wait().ok().flatten()
    });
    assert_eq!(ended.code(), Some(130));
    assert!(world.written("deploy").contains("interrupted"));
    assert!(world.written("deploy").contains("nothing was published"));
    until("the build ends", SOON, || (sleeping() == 0).then_some(()));
}
