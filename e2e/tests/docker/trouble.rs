//! What goes wrong is shown, and ends when its cause does.

use std::time::Duration;

use lockgate_e2e::{Signal, World, until};

use crate::{LONG, is_ready, problem, small, until_gateway, until_version};

#[test]
fn an_unusable_configuration_is_shown_and_does_not_loop() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    world.running("dev-001", &workspace);
    let name = "gw-pool-dev-001-1";
    // An agent that cannot read its token ends with 78.
    world
        .engine()
        .docker(&["exec", name, "truncate", "-s", "0", "/etc/lockgate/token"]);
    world.engine().docker(&["restart", name]);
    let told = until_gateway(&world, "the reason is shown", "dev-001", 1, |gateway| {
        let problem = problem(gateway);
        (problem.contains("exit code 78") && gateway["state"] == "no agent")
            .then(|| problem.to_owned())
    });
    assert!(
        told.contains("`LOCKGATE_TOKEN_FILE` names `/etc/lockgate/token`"),
        "{told}"
    );
    assert!(
        told.contains("`lockgate start dev-001 1` tries again"),
        "{told}"
    );
    until("the container is stopped", Duration::from_secs(30), || {
        (world.engine().inspect(name)["State"]["Status"] == "exited").then_some(())
    });
    let before = world.engine().inspect(name);

    // A deploy to the others and another server do not begin it anew.
    world.stop();
    world.serve();
    until_gateway(&world, "the others are found", "dev-001", 0, is_ready);
    until_gateway(
        &world,
        "the reason is shown again",
        "dev-001",
        1,
        |gateway| problem(gateway).contains("exit code 78").then_some(()),
    );
    let after = world.engine().inspect(name);
    assert_eq!(after["State"]["StartedAt"], before["State"]["StartedAt"]);
    assert_eq!(after["RestartCount"], before["RestartCount"]);

    // Once mended, `start` tries again.
    let token = world.home().join("envs/dev-001/gateways/1/token");
    let place = format!("{name}:/etc/lockgate/token");
    world
        .engine()
        .docker(&["cp", &token.display().to_string(), &place]);
    world.lockgate(&["start", "dev-001", "1"]).expect(0);
    until_gateway(&world, "it serves again", "dev-001", 1, is_ready);
    until_version(&world, "dev-001", "1.0.0");
}

#[test]
fn a_taken_address_is_named_and_used_once_it_is_free() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    world.serve();
    let held = std::net::TcpListener::bind(("172.17.0.1", world.port)).unwrap();
    world.create("dev-001", &workspace);
    let told = until_gateway(&world, "the address is named", "dev-001", 0, |gateway| {
        let problem = problem(gateway);
        problem
            .contains("is taken by process")
            .then(|| problem.to_owned())
    });
    assert!(
        told.contains(&format!("`172.17.0.1:{}`", world.port)),
        "{told}"
    );
    drop(held);
    world.deploy("dev-001").expect(0);
    world.expect_version("dev-001", "1.0.0");
}

#[test]
fn an_engine_that_goes_away_is_shown_and_found_again() {
    let mut world = World::with_engine();
    let mut way = world.relay();
    let workspace = small(&world, "monorepo");
    world.running("dev-001", &workspace);
    way.close();
    let told = until_gateway(&world, "it is shown", "dev-001", 0, |gateway| {
        let problem = problem(gateway);
        problem
            .starts_with("no engine answers at `unix://")
            .then(|| problem.to_owned())
    });
    assert!(told.contains("engine.sock`"), "{told}");
    // Containers and server go on, and so do deploys.
    workspace.set_version("2.0.0");
    world.deploy("dev-001").expect(0);
    world.expect_version("dev-001", "2.0.0");
    world
        .lockgate(&["delete", "dev-001", "--yes"])
        .expect(1)
        .says("the containers of `dev-001` stay: no engine answers");
    assert_eq!(world.engine().containers().len(), 3);

    // What was to be deleted meanwhile goes as soon as the engine is back.
    way.open();
    until("the containers are gone", LONG, || {
        world.engine().containers().is_empty().then_some(())
    });
    world.lockgate(&["delete", "dev-001", "--yes"]).expect(0);
    assert!(!world.home().join("envs/dev-001").exists());
}

#[test]
fn what_ended_while_the_engine_was_away_comes_back() {
    let mut world = World::with_engine();
    let mut way = world.relay();
    let workspace = small(&world, "monorepo");
    world.running("dev-001", &workspace);
    way.close();
    world.engine().docker(&["kill", "gw-pool-dev-001-1"]);
    until_gateway(&world, "it is away", "dev-001", 1, |gateway| {
        problem(gateway).contains("no engine answers").then_some(())
    });
    way.open();
    until_gateway(&world, "it is found again", "dev-001", 0, |gateway| {
        (problem(gateway).is_empty()).then_some(())
    });
    until_gateway(&world, "it serves again", "dev-001", 1, is_ready);
    until_version(&world, "dev-001", "1.0.0");
}

#[test]
fn an_engine_that_is_restarted_brings_all_gateways_back() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    world.running("dev-001", &workspace);
    workspace.set_version("2.0.0");
    world.deploy("dev-001").expect(0);
    let ids = |world: &World| -> Vec<_> {
        let names = world.engine().containers();
        let id = |name: &String| world.engine().inspect(name)["Id"].clone();
        names.iter().map(id).collect()
    };
    let before = ids(&world);
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        world.engine().restart(signal);
        for number in 0..3 {
            until_gateway(&world, "it is ready again", "dev-001", number, |gateway| {
                (problem(gateway).is_empty()).then_some(())?;
                is_ready(gateway)
            });
        }
        until_version(&world, "dev-001", "2.0.0");
        assert_eq!(ids(&world), before, "{signal}");
    }
    workspace.set_version("3.0.0");
    world.deploy("dev-001").expect(0);
    world.expect_version("dev-001", "3.0.0");
}
