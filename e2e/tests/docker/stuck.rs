//! A deploy does not wait for a gateway that cannot start, and follows the others to their end.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use lockgate_e2e::{Ran, World, image};
use serde_json::Value;

use crate::{is_ready, problem, small, until_gateway};

/// Far less than a deploy waits for gateways with a patient application: ten minutes.
const EARLY: Duration = Duration::from_mins(2);

/// Deploys until everything is ready; what each gateway came to.
fn deploy(world: &World) -> (Ran, Vec<Value>) {
    let began = Instant::now();
    let args = ["deploy", "dev-001", "--wait", "ready", "--format", "json"];
    let ran = world.lockgate(&args);
    assert!(began.elapsed() < EARLY, "{:?}", began.elapsed());
    let last: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    let gateways = last["gateways"].as_array().unwrap().clone();
    (ran, gateways)
}

#[test]
fn a_deploy_ends_early_where_containers_cannot_be_made() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    world.create("dev-001", &workspace);
    let port = world.ports("dev-001")[1];
    // The engine opens the port on this address, too.
    let taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let foreign = "gw-pool-dev-001-2";
    let docker = |args: &[&str]| world.engine().docker(args);
    docker(&["create", "--name", foreign, &image()]);
    world.serve();
    let (ran, gateways) = deploy(&world);
    ran.expect(1);
    assert_eq!(gateways[0]["state"], "runs", "{gateways:?}");
    for (number, why) in [(1, &*port.to_string()), (2, "was not made by Lockgate")] {
        let gateway = &gateways[number];
        assert_eq!(gateway["state"], "not-done", "{gateway}");
        assert_eq!(gateway["stuck"], true, "{gateway}");
        assert!(problem(gateway).contains(why), "{gateway}");
    }
    world
        .lockgate(&["wait", "dev-001", "--timeout", "10m"])
        .expect(1)
        .says("it is in vain to wait: `gw-pool-dev-001-1` is no agent")
        .says("was not made by Lockgate");

    // Mended, the next deploy tries at once what failed before.
    drop(taken);
    docker(&["rm", foreign]);
    let (ran, gateways) = deploy(&world);
    ran.expect(0);
    assert!(gateways.iter().all(|it| it["good"].is_boolean()));
    for number in 0..3 {
        until_gateway(&world, "it serves", "dev-001", number, is_ready);
    }
}

#[test]
fn a_deploy_ends_early_where_an_agent_cannot_use_its_configuration() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    world.running("dev-001", &workspace);
    let name = "gw-pool-dev-001-1";
    let docker = |args: &[&str]| world.engine().docker(args);
    docker(&["exec", name, "truncate", "-s", "0", "/etc/lockgate/token"]);
    docker(&["restart", name]);
    until_gateway(&world, "it is given up", "dev-001", 1, |gateway| {
        problem(gateway).contains("exit code 78").then_some(())
    });
    workspace.set_version("2.0.0");
    let (ran, gateways) = deploy(&world);
    ran.expect(1);
    let states: Vec<_> = gateways.iter().map(|it| &it["state"]).collect();
    assert_eq!(states, ["runs", "not-done", "runs"]);
    assert!(problem(&gateways[1]).contains("exit code 78"));
    world
        .lockgate(&["deploy", "dev-001", "--wait", "ready"])
        .expect(1)
        .says("cannot start: its container is stopped")
        .says("catches up by itself once that is mended");
}
