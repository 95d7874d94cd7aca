//! Gateways are stopped, killed, restarted, and come back to what they should run.

use std::time::Duration;

use lockgate_e2e::{World, get, until};
use serde_json::Value;

use crate::{LONG, is_ready, settings, small, until_gateway, until_version};

fn started(world: &World, name: &str) -> Value {
    world.engine().inspect(name)["State"]["StartedAt"].clone()
}

/// Waits until a container was started since.
fn until_started_since(world: &World, name: &str, before: &Value) {
    // Sooner than the look that the server takes without a reason, every 30 s.
    let heard = Duration::from_secs(25);
    until("the container was started again", heard, || {
        let shown = world.engine().inspect(name);
        let again = shown["State"]["StartedAt"] != *before && shown["State"]["Running"] == true;
        again.then_some(())
    });
}

#[test]
fn what_is_killed_or_stopped_by_hand_comes_back_to_the_desired_build() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    world.running("dev-001", &workspace);
    workspace.set_version("2.0.0");
    world.deploy("dev-001").expect(0);
    let acts = [
        ("docker kill", vec!["kill", "gw-pool-dev-001-0"]),
        ("docker restart", vec!["restart", "gw-pool-dev-001-1"]),
        ("docker stop", vec!["stop", "gw-pool-dev-001-2"]),
        ("docker rm -f", vec!["rm", "--force", "gw-pool-dev-001-0"]),
    ];
    for (what, args) in acts {
        let name = args.last().copied().unwrap();
        let number = usize::from(name.ends_with('1')) + 2 * usize::from(name.ends_with('2'));
        let before = started(&world, name);
        world.engine().docker(&args);
        if what == "docker rm -f" {
            until("there is one again", LONG, || {
                world
                    .engine()
                    .containers()
                    .contains(&name.to_owned())
                    .then_some(())
            });
        } else {
            until_started_since(&world, name, &before);
        }
        until_version(&world, "dev-001", "2.0.0");
        until_gateway(&world, what, "dev-001", number, is_ready);
    }
}

#[test]
fn a_killed_application_comes_back_in_its_container() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    world.running("dev-001", &workspace);
    let name = "gw-pool-dev-001-0";
    let before = started(&world, name);
    let pid = world.gateways("dev-001")[0]["pid"].as_u64().unwrap();
    world
        .engine()
        .docker(&["exec", name, "kill", "-KILL", &pid.to_string()]);
    // A request sent meanwhile waits in the socket that the agent holds.
    let answer = get(world.ports("dev-001")[0], "/").unwrap();
    assert_eq!(answer.status, 200);
    assert_ne!(answer.json()["pid"], pid);
    assert_eq!(started(&world, name), before);
}

#[test]
fn stop_stops_containers_and_start_starts_the_same_ones() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    world.running("dev-001", &workspace);
    let state = |number: u32| {
        let shown = world.engine().inspect(&format!("gw-pool-dev-001-{number}"));
        (shown["Id"].clone(), shown["State"]["Status"].clone())
    };
    let (id, _) = state(0);
    world.lockgate(&["stop", "dev-001", "0"]).expect(0);
    assert_eq!(state(0), (id.clone(), "exited".into()));
    assert_eq!(state(1).1, "running");
    assert_eq!(world.gateways("dev-001")[0]["state"], "stopped");

    // It stays so over a server's end.
    world.stop();
    world.serve();
    until_gateway(&world, "the others are found", "dev-001", 1, is_ready);
    assert_eq!(state(0).1, "exited");

    world.lockgate(&["start", "dev-001", "0"]).expect(0);
    until_gateway(&world, "it serves again", "dev-001", 0, is_ready);
    assert_eq!(state(0).0, id);
    until_version(&world, "dev-001", "1.0.0");
}

#[test]
fn a_changed_spec_makes_containers_anew() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    world.running("dev-001", &workspace);
    let before = world.engine().inspect("gw-pool-dev-001-0")["Id"].clone();
    settings(&workspace, "[docker]\npublish = 'all'\n");
    workspace.set_version("2.0.0");
    world.deploy("dev-001").expect(0);
    until_version(&world, "dev-001", "2.0.0");
    let after = world.engine().inspect("gw-pool-dev-001-0");
    assert_ne!(after["Id"], before);
    let port = world.ports("dev-001")[0];
    let bindings = &after["HostConfig"]["PortBindings"][format!("{port}/tcp")];
    assert_eq!(bindings[0]["HostIp"], "0.0.0.0");
    assert_eq!(world.engine().containers().len(), 3);
}
