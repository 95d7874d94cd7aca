//! What listens in a container beside what should, and who has the application's port.

use lockgate_e2e::{World, until};
use serde_json::Value;

use crate::{LONG, is_ready, problem, small, until_gateway};

/// The first gateway's listeners as `status --wide` tells them.
fn listeners(world: &World) -> Vec<Value> {
    let all = world
        .lockgate(&["status", "dev-001", "--wide", "--format", "json"])
        .json();
    let told = &all["environments"][0]["gateways"][0]["listeners"];
    assert!(told.is_array(), "{all}");
    told.as_array().unwrap().clone()
}

/// State and programs of what listens at this address.
fn at(listeners: &[Value], address: &str) -> (String, Vec<String>) {
    let one = listeners.iter().find(|one| one["address"] == address);
    assert!(one.is_some(), "nobody at {address}: {listeners:?}");
    let one = one.unwrap();
    let holders = one["processes"].as_array().unwrap().iter();
    let mut names: Vec<_> = holders
        .map(|one| one["name"].as_str().unwrap().to_owned())
        .collect();
    names.dedup();
    (one["state"].as_str().unwrap().to_owned(), names)
}

#[test]
fn what_listens_is_shown_and_who_has_the_applications_port_is_named() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    world.running("dev-001", &workspace);
    let (name, port) = ("gw-pool-dev-001-0", world.ports("dev-001")[0]);
    let held = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        ("held".to_owned(), names)
    };
    let all = listeners(&world);
    assert_eq!(
        at(&all, "127.0.0.1:8888"),
        held(&["lockgate-agent", "node"])
    );
    assert_eq!(at(&all, &format!("0.0.0.0:{port}")), held(&["nginx"]));
    assert_eq!(at(&all, "0.0.0.0:80"), held(&["nginx"]));
    let shown = world.lockgate(&["status", "dev-001", "--wide"]);
    let shown = shown.expect(0).stdout.clone();
    let line = |text: &str, what: &str| {
        let found = text.lines().find(|line| line.contains(what));
        found
            .unwrap_or_else(|| panic!("no `{what}` in\n{text}"))
            .to_owned()
    };
    for part in ["gw-pool-dev-001-0", "application", "held", "node ("] {
        let line = line(&shown, "tcp 127.0.0.1:8888");
        assert!(line.contains(part), "{line}");
    }
    let plain = world.lockgate(&["status", "dev-001"]);
    assert!(!plain.expect(0).stdout.contains("127.0.0.1:8888"));

    // While the application is stopped, its port is anybody's.
    let docker = |args: &[&str]| world.engine().docker(args);
    docker(&["exec", name, "lockgate-agent", "stop"]);
    let script = "require('net').createServer().listen(8888, '0.0.0.0')";
    docker(&["exec", "--detach", name, "node", "-e", script]);
    let stranger = until("it listens", LONG, || {
        let all = listeners(&world);
        let one = all.iter().find(|one| one["address"] == "0.0.0.0:8888")?;
        assert_eq!(one["state"], "unexpected");
        one["processes"][0]["pid"].as_u64()
    });
    let started = world
        .engine()
        .run(&["exec", name, "lockgate-agent", "start"]);
    let named = format!(
        "`node` (process {stranger}), which the agent did not start, has it; `kill {stranger}`"
    );
    started
        .expect(1)
        .says("cannot listen on 127.0.0.1:8888")
        .says(&named);
    let told = until_gateway(&world, "it is named", "dev-001", 0, |gateway| {
        let problem = problem(gateway);
        problem.contains(&named).then(|| problem.to_owned())
    });
    assert!(told.contains("application's port 8888"), "{told}");
    let plain = world.lockgate(&["status", "dev-001"]);
    line(&plain.expect(0).stdout, &named);
    let taken = ("foreign".to_owned(), vec!["node".to_owned()]);
    assert_eq!(at(&listeners(&world), "127.0.0.1:8888"), taken);

    docker(&["exec", name, "kill", &stranger.to_string()]);
    until_gateway(&world, "it serves again", "dev-001", 0, is_ready);
    assert_eq!(
        at(&listeners(&world), "127.0.0.1:8888"),
        held(&["lockgate-agent", "node"])
    );
}
