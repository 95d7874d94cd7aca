//! What a developer does all day.

use std::time::Duration;

use lockgate_e2e::{World, get, until};
use nix::sys::signal::Signal;
use serde_json::Value;

fn field<'a>(gateway: &'a Value, name: &str) -> &'a Value {
    gateway.get(name).unwrap_or(&Value::Null)
}

fn pids(world: &World, env: &str) -> Vec<u64> {
    let pid = |gateway: &Value| field(gateway, "pid").as_u64();
    world.gateways(env).iter().filter_map(pid).collect()
}

#[test]
fn up_brings_three_gateways_and_ctrl_c_ends_them() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    let path = workspace.path.display().to_string();
    let mut up = world.start("up", &["up", &path]);
    until("`up` prints its URLs", Duration::from_mins(1), || {
        if let Ok(Some(status)) = up.try_wait() {
            panic!("`up` ended with {status}:\n{}", world.written("up"));
        }
        world
            .written("up")
            .contains("http://127.0.0.1:71")
            .then_some(())
    });
    world.expect_version("dev-001", "1.0.0");

    workspace.set_version("1.0.1");
    until(
        "a saved bundle runs everywhere",
        Duration::from_secs(30),
        || {
            let answers = world.answers("dev-001");
            answers
                .iter()
                .all(|it| field(it, "version") == "1.0.1")
                .then_some(())
        },
    );

    world.signal(up.id().into(), Signal::SIGINT);
    let ended = until("`up` ends", Duration::from_secs(20), || {
        up.try_wait().ok().flatten()
    });
    assert!(ended.success(), "{ended}: {}", world.written("up"));
    world.stop();
}

#[test]
fn a_first_deploy_names_the_build_on_every_gateway() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    world.expect_version("dev-001", "1.0.0");
    let gateways = world.gateways("dev-001");
    for (gateway, answer) in gateways.iter().zip(world.answers("dev-001")) {
        assert_eq!(
            field(gateway, "running_build"),
            field(gateway, "desired_build")
        );
        assert_eq!(
            field(&answer, "build"),
            field(gateway, "running_build"),
            "BUILD_INFO.txt is what runs"
        );
        assert_eq!(field(&answer, "pid"), field(gateway, "pid"));
    }
    let port = world.ports("dev-001")[0];
    assert!((7100..=7199).contains(&port), "{port}");
    let build = get(port, "/health").unwrap().headers["lockgate-build"].clone();
    assert_eq!(
        field(&gateways[0], "running_build"),
        build.to_str().unwrap()
    );
}

#[test]
fn an_edited_bundle_is_seen_on_all_three_gateways() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    workspace.set_version("2.0.0");
    world.deploy("dev-001").expect(0);
    world.expect_version("dev-001", "2.0.0");
}

#[test]
fn an_unchanged_deploy_restarts_nothing() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    let before = pids(&world, "dev-001");
    assert_eq!(before.len(), 3);
    world.deploy("dev-001").expect(0);
    assert_eq!(pids(&world, "dev-001"), before);
}

#[test]
fn a_restart_restarts_an_unchanged_build() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    let before = pids(&world, "dev-001");
    world
        .lockgate(&[
            "restart",
            "dev-001",
            "gateway",
            "--no-build",
            "--wait",
            "ready",
        ])
        .expect(0);
    let after = pids(&world, "dev-001");
    assert_eq!(after.len(), 3);
    assert!(
        after.iter().all(|pid| !before.contains(pid)),
        "{before:?} {after:?}"
    );
    world.expect_version("dev-001", "1.0.0");
}

#[test]
fn a_killed_application_comes_back() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    let killed = pids(&world, "dev-001")[0];
    let port = world.ports("dev-001")[0];
    world.signal(killed, Signal::SIGKILL);
    // A request sent meanwhile waits in the socket that the agent holds.
    let answer = get(port, "/").expect("the request waits instead of failing");
    assert_eq!(answer.status, 200);
    let now = pids(&world, "dev-001");
    assert!(!now.contains(&killed));
    until("the crash is counted", Duration::from_secs(10), || {
        (field(&world.gateways("dev-001")[0], "restarts").as_u64() == Some(1)).then_some(())
    });
}

#[test]
fn an_application_killed_twice_in_a_row_comes_back_twice() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    let port = world.ports("dev-001")[0];
    let mut seen = Vec::new();
    for _ in 0..2 {
        let pid = pids(&world, "dev-001")[0];
        assert!(!seen.contains(&pid), "{pid} is another than {seen:?}");
        seen.push(pid);
        world.signal(pid, Signal::SIGKILL);
        let answer = get(port, "/").expect("the request waits instead of failing");
        assert_eq!(answer.status, 200);
    }
    until("both crashes are counted", Duration::from_secs(10), || {
        (field(&world.gateways("dev-001")[0], "restarts").as_u64() == Some(2)).then_some(())
    });
    world.expect_version("dev-001", "1.0.0");
}

#[test]
fn a_server_killed_at_once_leaves_no_agent_and_no_application() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    let server = world
        .lockgate(&["serve", "status", "--format", "json"])
        .json();
    let server = server["server"]["pid"].as_u64().unwrap();
    world.signal(server, Signal::SIGKILL);
    world.expect_empty();
    // Nothing is in the way of the next one, and what ran runs again without a deploy.
    world.serve();
    world
        .lockgate(&["wait", "dev-001", "--for", "ready", "--timeout", "30s"])
        .expect(0);
    world.expect_version("dev-001", "1.0.0");
}

#[test]
fn rollback_goes_past_a_build_that_was_refused() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    workspace.prepend("throw new Error('no such table');");
    world.deploy("dev-001").expect(1);
    workspace.edit(|text| text.replace("throw new Error('no such table');\n", ""));
    workspace.set_version("2.0.0");
    world.deploy("dev-001").expect(0);
    world
        .lockgate(&["builds", "dev-001"])
        .expect(0)
        .says("refused");
    world
        .lockgate(&["rollback", "dev-001", "--wait", "ready"])
        .expect(0);
    world.expect_version("dev-001", "1.0.0");
}

#[test]
fn rollback_brings_the_build_before() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    workspace.set_version("2.0.0");
    world.deploy("dev-001").expect(0);
    world
        .lockgate(&["rollback", "dev-001", "--wait", "ready"])
        .expect(0);
    world.expect_version("dev-001", "1.0.0");
    let builds = world.lockgate(&["builds", "dev-001"]);
    assert!(builds.stdout.contains("rollback"), "{}", builds.stdout);
}

#[test]
fn stop_and_start_end_and_bring_back_the_gateways() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    let ports = world.ports("dev-001");
    world.lockgate(&["stop", "dev-001"]).expect(0);
    assert!(ports.iter().all(|port| get(*port, "/").is_none()));
    world.lockgate(&["start", "dev-001"]).expect(0);
    world
        .lockgate(&["wait", "dev-001", "--for", "ready", "--timeout", "30s"])
        .expect(0);
    world.expect_version("dev-001", "1.0.0");
}

#[test]
fn logs_show_every_gateway_and_survive_a_restart() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    world
        .lockgate(&["restart", "dev-001", "--no-build", "--wait", "ready"])
        .expect(0);
    let logs = world.lockgate(&["logs", "dev-001"]);
    for number in 0..3 {
        let name = format!("gw-{number} | ");
        let lines = logs.stdout.lines().filter(|line| line.contains(&name));
        let starts = lines
            .filter(|line| line.contains("gateway listens on"))
            .count();
        assert_eq!(starts, 2, "two starts of {name}:\n{}", logs.stdout);
    }
}
