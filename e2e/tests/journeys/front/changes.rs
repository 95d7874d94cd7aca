//! Requests over TLS while what answers them changes.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use lockgate_e2e::{FrontDoor, Signal, World, until};

use super::{ONE, assign, create, host, running, workspace};

/// How many requests curl sends on one connection before it takes another.
const ON_ONE_CONNECTION: usize = 20;

/// Asks over and over until it is told to stop; the status of each answer.
fn ask_all<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    door: &'scope FrontDoor,
    version: &'scope str,
    stop: &'scope AtomicBool,
) -> ScopedJoinHandle<'scope, Vec<String>> {
    scope.spawn(move || {
        let url = format!(
            "https://{}:{}/?n=[1-{ON_ONE_CONNECTION}]",
            host(ONE),
            door.https
        );
        let mut all = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let format = "\n%{http_code} %{errormsg}\n";
            let ran = door.run(&[version, "--write-out", format, &url]);
            let lines = ran.stdout.lines();
            // Between them are bodies, which are JSON.
            let figures = lines.filter(|line| !line.is_empty() && !line.starts_with('{'));
            all.extend(figures.map(|line| line.trim().to_owned()));
        }
        all
    })
}

/// Does something while clients of both versions ask; every one of their requests is answered well.
fn without_a_loss(door: &FrontDoor, change: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients = ["--http2", "--http1.1"].map(|it| ask_all(scope, door, it, &stop));
        let ended = panic::catch_unwind(AssertUnwindSafe(change));
        // They would ask for ever where it failed.
        stop.store(true, Ordering::Relaxed);
        if let Err(failed) = ended {
            panic::resume_unwind(failed);
        }
        for client in clients {
            let answers = client.join().unwrap();
            assert!(answers.len() >= ON_ONE_CONNECTION, "{answers:?}");
            let bad: Vec<&String> = answers.iter().filter(|it| *it != "200").collect();
            assert!(
                bad.is_empty(),
                "{} of {}: {bad:?}",
                bad.len(),
                answers.len()
            );
        }
    });
}

fn version(door: &FrontDoor) -> Option<String> {
    let answer = door.get(&host(ONE), "/").json();
    answer.get("version")?.as_str().map(str::to_owned)
}

#[test]
fn a_deploy_loses_no_request_over_tls() {
    let world = World::new();
    let workspace = workspace(&world);
    let door = running(&world, &workspace, 1);
    assign(&world, "dev-001", ONE);
    without_a_loss(&door, || {
        workspace.set_version("2.0.0");
        world.deploy("dev-001").expect(0);
        until("the new build answers", Duration::from_secs(30), || {
            (version(&door)? == "2.0.0").then_some(())
        });
    });
}

#[test]
fn requests_wait_for_an_agent_that_was_killed() {
    let world = World::new();
    let door = running(&world, &workspace(&world), 1);
    assign(&world, "dev-001", ONE);
    let agent = || {
        let gateways = world.gateways("dev-001");
        gateways.first()?.get("agent_pid")?.as_u64()
    };
    let killed = agent().unwrap();
    // What the killed process had begun is asked again, and all that come after it wait.
    without_a_loss(&door, || {
        assert_eq!(door.get(&host(ONE), "/").status, 200);
        world.signal(killed, Signal::SIGKILL);
        let answer = door.get(&host(ONE), "/");
        assert_eq!(answer.status, 200, "{answer:?}");
        until("another agent runs", Duration::from_secs(30), || {
            agent().filter(|pid| *pid != killed)
        });
    });
}

#[test]
fn a_gateway_without_a_build_says_so_at_once() {
    let world = World::new();
    let workspace = workspace(&world);
    world.serve();
    create(&world, "dev-001", "dev-001.localhost", &workspace, 1);
    world.lockgate(&["org", "assign", "dev-001", ONE]).expect(0);
    let door = FrontDoor::of(&world);
    // A page at once: a request that waits does so for 30 s.
    let asked = door.run(&[
        "--max-time",
        "5",
        "--write-out",
        "%{http_code}",
        &format!("https://{}:{}/", host(ONE), door.https),
    ]);
    assert!(asked.stdout.ends_with("503"), "{asked:?}");
    asked.says("`lockgate deploy dev-001`");
    world.deploy("dev-001").expect(0);
    let answer = door.get(&host(ONE), "/");
    assert_eq!(answer.status, 200, "{answer:?}");
}
