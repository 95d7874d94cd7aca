//! `lockgate logs` reads in containers what it reads beside the server.

use std::time::Duration;

use lockgate_e2e::{World, until};
use nix::sys::signal::Signal;

use crate::{is_ready, small, until_gateway};

#[test]
fn logs_of_containers_are_those_of_local_gateways() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    world.running("dev-001", &workspace);
    let mut follower = world.start("follow", &["logs", "dev-001", "--follow"]);
    let shown = |text: &str| {
        (0..3).all(|number| {
            let name = format!("gw-{number} | ");
            text.lines()
                .any(|line| line.contains(&name) && line.contains("gateway listens on"))
        })
    };
    until("all are followed", Duration::from_secs(30), || {
        shown(&world.written("follow")).then_some(())
    });
    let logs = world.lockgate(&["logs", "dev-001"]);
    assert!(shown(&logs.expect(0).stdout), "{}", logs.stdout);
    let none = world.lockgate(&["logs", "dev-001", "--crash"]);
    none.expect(0).says("no crash of gw-pool-dev-001-0 is kept");
    let old = world.lockgate(&["logs", "dev-001", "--since", "1h"]);
    assert!(shown(&old.expect(0).stdout));

    // A follower goes on over a container's restart.
    let starts = |name: &str| {
        let text = world.written("follow");
        text.lines()
            .filter(|line| line.contains(name) && line.contains("gateway listens on"))
            .count()
    };
    let before = starts("gw-1 | ");
    world.engine().docker(&["restart", "gw-pool-dev-001-1"]);
    until(
        "its next start is followed",
        Duration::from_secs(40),
        || (starts("gw-1 | ") > before).then_some(()),
    );
    world.signal(follower.id().into(), Signal::SIGINT);
    until("the follower ends", Duration::from_secs(10), || {
        follower.try_wait().unwrap()
    });
    // Its readers in the containers end with it.
    for number in 0..3 {
        let name = format!("gw-pool-dev-001-{number}");
        until("its reader has ended", Duration::from_secs(10), || {
            let processes = world.engine().docker(&["top", &name, "-o", "pid,args"]);
            (!processes.contains("--follow")).then_some(())
        });
    }

    // What was written is read from a stopped container, too.
    world.lockgate(&["stop", "dev-001"]).expect(0);
    let logs = world.lockgate(&["logs", "dev-001"]);
    assert!(shown(&logs.expect(0).stdout), "{}", logs.stdout);
}

#[test]
fn crashes_are_read_whether_the_container_runs_or_not() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    world.running("dev-001", &workspace);
    let pid = world.gateways("dev-001")[1]["pid"].to_string();
    let name = "gw-pool-dev-001-1";
    let crash = |which: &str| {
        world
            .lockgate(&["logs", "dev-001", "1", which])
            .expect(0)
            .stdout
            .clone()
    };
    world.engine().docker(&["exec", name, "kill", "-9", &pid]);
    until("the crash is kept", Duration::from_secs(40), || {
        crash("--crash")
            .contains("gateway listens on")
            .then_some(())
    });
    until_gateway(&world, "it serves again", "dev-001", 1, is_ready);
    let list = crash("--crash=list");
    assert!(list.contains("crash 1: "), "{list}");

    world.lockgate(&["stop", "dev-001"]).expect(0);
    assert!(crash("--crash").contains("gateway listens on"));
    assert_eq!(crash("--crash=list"), list);
    let all = world.lockgate(&["logs", "dev-001", "--crash"]);
    all.expect(0).says("no crash of gw-pool-dev-001-0 is kept");
    let unknown = world.lockgate(&["logs", "dev-001", "1", "--crash=9"]);
    unknown.expect(1).says("crash 9");
}
