//! Gateways converge by themselves: without a server, without an agent, with a wrong clock.

use std::fs;
use std::process::Command;
use std::time::Duration;

use lockgate_e2e::{World, get, until};
use nix::sys::signal::Signal;
use serde_json::Value;

fn number(gateway: &Value, name: &str) -> u64 {
    gateway
        .get(name)
        .and_then(Value::as_u64)
        .unwrap_or_default()
}

#[test]
fn a_killed_agent_serves_the_same_build_again_without_fetching() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    let fetches = |world: &World| {
        let log = fs::read_to_string(world.home().join("server.log")).unwrap();
        log.lines()
            .filter(|line| line.contains(".tar") && line.contains("/v1/builds/"))
            .count()
    };
    let before = fetches(&world);
    assert_eq!(before, 3, "one fetch for each gateway");
    let gateway = world.gateways("dev-001").remove(0);
    let (agent, node) = (number(&gateway, "agent_pid"), number(&gateway, "pid"));
    world.signal(agent, Signal::SIGKILL);
    until("another agent serves", Duration::from_secs(20), || {
        let gateway = world.gateways("dev-001").remove(0);
        let fresh = number(&gateway, "agent_pid") != agent && number(&gateway, "pid") != node;
        (fresh && get(world.ports("dev-001")[0], "/health")?.status == 200).then_some(())
    });
    world.expect_version("dev-001", "1.0.0");
    assert_eq!(fetches(&world), before);
}

#[test]
fn a_server_that_was_away_is_caught_up_with() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    let agent = world.adopt("dev-001", 0);
    world.lockgate(&["serve", "stop"]).expect(0);
    let port = agent.http_port;
    assert_eq!(
        get(port, "/").unwrap().json()["version"],
        "1.0.0",
        "it serves without a server"
    );
    let reload = agent
        .command(&world, &["reload", "--timeout", "2s"])
        .output()
        .unwrap();
    assert_eq!(
        reload.status.code(),
        Some(1),
        "a reload without a server says so"
    );
    assert_eq!(
        get(port, "/").unwrap().json()["version"],
        "1.0.0",
        "and loses nothing"
    );

    workspace.set_version("2.0.0");
    world.serve();
    // The other gateways of the environment are the server's own; this one converges by itself.
    world.lockgate(&["deploy", "dev-001", "--wait", "ready", "--timeout", "30s"]);
    until(
        "the adopted gateway caught up",
        Duration::from_secs(30),
        || (get(port, "/")?.json()["version"] == "2.0.0").then_some(()),
    );
}

#[test]
fn a_clock_set_back_changes_nothing() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    workspace.set_version("2.0.0");
    let mut deploy = Command::new("faketime");
    deploy
        .args(["-f", "-3d"])
        .arg(world.program("lockgate").get_program())
        .args(["deploy", "dev-001", "--wait", "ready"]);
    deploy
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .current_dir(world.dir());
    for (name, value) in world.program("lockgate").get_envs() {
        deploy.env(name, value.unwrap_or_default());
    }
    let output = deploy
        .output()
        .expect("`faketime` is installed by ./test.sh");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    world.expect_version("dev-001", "2.0.0");
}

#[test]
fn a_deploy_does_not_wait_for_an_agent_that_cannot_use_its_configuration() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    let token = world.home().join("envs/dev-001/gateways/1/token");
    let before = fs::read(&token).unwrap();
    fs::write(&token, "").unwrap();
    let agent = number(&world.gateways("dev-001")[1], "agent_pid");
    world.signal(agent, Signal::SIGKILL);
    until("it is stuck", Duration::from_secs(20), || {
        let gateway = world.gateways("dev-001").remove(1);
        (gateway.get("stuck") == Some(&Value::Bool(true))).then_some(())
    });
    workspace.set_version("2.0.0");
    let args = ["deploy", "dev-001", "--wait", "ready"];
    world
        .lockgate(&args)
        .expect(1)
        .says("gw-pool-dev-001-1: cannot start: the agent ended with exit status: 78")
        .says("gateway `gw-pool-dev-001-1` does not run build");
    world
        .lockgate(&["wait", "dev-001"])
        .expect(1)
        .says("it is in vain to wait: `gw-pool-dev-001-1` is no agent");
    // Mended, it is tried at once, however long it has been in vain.
    fs::write(&token, before).unwrap();
    world.lockgate(&args).expect(0);
    world.expect_version("dev-001", "2.0.0");
    let wide = world.lockgate(&["status", "dev-001", "--wide"]);
    wide.expect(0).says("door (embedded)");
}
