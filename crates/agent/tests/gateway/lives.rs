//! Starts and ends of agent and application.

use std::fs;
use std::time::Duration;

use lockgate_model::Phase;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::application::{application, children, is_alive};
use crate::world::World;

#[tokio::test]
async fn a_killed_application_comes_back() {
    let mut world = World::new().await;
    world.start_agent();
    world.deploy_and_wait("1.0.0").await;
    let good = world.path("lockgate/good.json");
    world.until("the trial is passed", || good.exists()).await;
    let before = world.hello().await;
    kill(Pid::from_raw(before.pid), Signal::SIGKILL).unwrap();
    let report = world.report("is ready again", |report| {
        report.phase == Phase::Ready && report.restarts == 1
    });
    let report = report.await;
    let after = world.hello().await;
    assert_eq!(after.version, "1.0.0");
    assert_ne!(after.pid, before.pid);
    assert_eq!(
        report.running.unwrap().pid,
        u32::try_from(after.pid).unwrap()
    );
}

#[tokio::test]
async fn an_agent_starts_what_it_knows_without_a_server() {
    let mut world = World::new().await;
    world.start_agent();
    world.deploy_and_wait("1.0.0").await;
    world.stop_server().await;
    let before = world.hello().await;
    assert_eq!(world.end_agent(Signal::SIGTERM).await, Some(0));
    assert!(!is_alive(before.pid));

    world.start_agent();
    let after = world.hello().await;
    assert_eq!(after.version, "1.0.0");
    assert_ne!(after.pid, before.pid);
    let status = world.ask(&["status"]).await;
    let shown = String::from_utf8(status.stdout).unwrap();
    assert!(shown.contains("problem"), "{shown}");
    let reload = world.ask(&["reload"]).await;
    assert_eq!(reload.status.code(), Some(1));
    let said = String::from_utf8(reload.stderr).unwrap();
    assert!(said.contains("the build server did not answer"), "{said}");

    world.start_server().await;
    let report = world
        .report("is in contact", |report| report.problem.is_none())
        .await;
    assert_eq!(
        report.running.unwrap().pid,
        u32::try_from(after.pid).unwrap()
    );
    world.deploy_and_wait("2.0.0").await;
}

#[tokio::test]
async fn an_agent_that_is_killed_takes_its_application_along_and_the_next_one_takes_over() {
    let mut world = World::new().await;
    world.start_agent();
    world.deploy_and_wait("1.0.0").await;
    let before = world.hello().await;
    assert_eq!(world.end_agent(Signal::SIGKILL).await, None);
    world.gone(before.pid).await;
    world.start_agent();
    assert_eq!(world.hello().await.version, "1.0.0");

    let before = world.hello().await;
    assert_eq!(world.close_stdin().await, Some(0), "{}", world.told());
    assert!(!is_alive(before.pid));
}

#[tokio::test]
async fn a_second_term_ends_an_application_that_ignores_the_first() {
    let mut world = World::new().await;
    world.settings.limits.grace = Duration::from_mins(5);
    world.start_agent();
    let stubborn = application("1.0.0").replace("server.close(() => process.exit(0))", "{}");
    let packed = world.pack(&stubborn);
    let seq = world.state(&packed, |_| {});
    world.settled(seq).await;
    let pid = world.hello().await.pid;
    world.signal_agent(Signal::SIGTERM);
    world
        .report("stops", |report| report.phase == Phase::Stopping)
        .await;
    assert!(is_alive(pid));
    assert_eq!(
        world.end_agent(Signal::SIGTERM).await,
        Some(0),
        "{}",
        world.told()
    );
    assert!(!is_alive(pid));
    let last = world
        .report("has stopped", |report| report.running.is_none())
        .await;
    assert_eq!(last.phase, Phase::Stopped);
}

#[tokio::test]
async fn two_agents_never_share_a_gateway() {
    let mut world = World::new().await;
    world.start_agent();
    world.report("waits", |_| true).await;
    let second = world.ask(&["run"]).await;
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(
        said.contains("another agent uses the state folder"),
        "{said}"
    );
}

#[tokio::test]
async fn as_the_first_process_of_a_container_it_reaps_orphans_and_ends_in_order() {
    let mut world = World::new().await;
    world.start_agent_below(&[
        "unshare",
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
    ]);
    world.deploy_and_wait("1.0.0").await;
    let report = world
        .report("is ready", |report| report.running.is_some())
        .await;
    assert_eq!(report.agent_pid, 1);
    let agent = *children(world.agent_pid()).first().unwrap();
    assert_eq!(world.get_path("/orphan").await.unwrap().0, 200);
    world
        .until("the orphan is reaped", || children(agent).len() == 1)
        .await;
    assert_eq!(world.hello().await.version, "1.0.0");
    kill(Pid::from_raw(agent), Signal::SIGTERM).unwrap();
    assert_eq!(world.agent_ended().await, Some(0), "{}", world.told());
}

#[tokio::test]
async fn the_agent_may_open_many_files_and_the_application_as_many_as_ever() {
    let mut world = World::new().await;
    let few = "ulimit -Sn 200; exec \"$0\" \"$@\"";
    world.start_agent_below(&["sh", "-c", few]);
    let command = ["sh", "-c", "echo may open $(ulimit -Sn); exec node main.js"];
    world.settings.command = command.map(str::to_owned).to_vec();
    world.deploy_and_wait("1.0.0").await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", world.agent_pid())).unwrap();
    let files = limits.lines().find(|it| it.starts_with("Max open files"));
    let numbers: Vec<&str> = files.unwrap().split_ascii_whitespace().skip(3).collect();
    assert_eq!(numbers[0], numbers[1], "soft and hard");
    let log = fs::read_to_string(world.path("gateway.log")).unwrap();
    assert!(log.contains("out may open 200"), "{log}");
}

#[tokio::test]
async fn a_child_that_died_before_the_agent_looked_is_reaped() {
    let mut world = World::new().await;
    world.start_agent_below(&["sh", "-c", "true & exec \"$0\" \"$@\""]);
    let pid = world.agent_pid();
    let socket = world.path("agent.sock");
    world.until("the agent answers", || socket.exists()).await;
    world
        .until("nobody is left", || children(pid).is_empty())
        .await;
}
