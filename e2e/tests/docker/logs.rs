//! `lockgate logs` reads in containers what it reads beside the server.

use std::time::Duration;

use lockgate_e2e::{World, until};
use nix::sys::signal::Signal;

use crate::small;

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
