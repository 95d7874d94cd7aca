//! Whole days of a gateway: the real agent, a real build server, real processes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what does not go as the test says fails the test"
)]

mod world;

use std::fs;
use std::time::Duration;

use lockgate_model::{Phase, Report};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use world::{World, application, damage};

fn throwing() -> String {
    "console.log('about to fail');\nthrow new Error('boom at start');\n".to_owned()
}

#[tokio::test]
async fn the_first_build_starts_and_the_next_one_replaces_it_without_a_lost_request() {
    let mut world = World::new().await;
    world.start_agent();
    let waiting = world
        .report("waits", |report| report.phase == Phase::Waiting)
        .await;
    assert_eq!((waiting.seq, waiting.running), (0, None));
    let (status, _, page) = world.get().await.unwrap();
    assert_eq!(status, 503);
    let page = String::from_utf8_lossy(&page).into_owned();
    assert!(page.contains("gw-pool-dev-001-0"), "{page}");

    let first = world.deploy_and_wait("1.0.0").await;
    let (_, build, _) = world.get().await.unwrap();
    assert_eq!(build.as_deref(), Some(first.as_str()));
    let root = world.path("opt/gateway");
    assert!(
        fs::read_to_string(root.join("BUILD_INFO.txt"))
            .unwrap()
            .contains(first.as_str())
    );

    let (second, seq) = world.deploy("2.0.0");
    let mut answers = Vec::new();
    let changing = async {
        loop {
            answers.push(world.get().await);
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    };
    tokio::select! {
        () = changing => {}
        report = world.settled(seq) => assert_eq!(report.running.unwrap().build, second),
    }
    let lost: Vec<_> = answers
        .iter()
        .filter(|answer| !matches!(answer, Ok((200, _, _))))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {}: {lost:?}\n{}",
        lost.len(),
        answers.len(),
        world.told()
    );
    assert_eq!(world.hello().await.version, "2.0.0");
    assert!(fs::read_link(&root).unwrap().ends_with(second.as_str()));
    assert_eq!(
        world.end_agent(Signal::SIGTERM).await,
        Some(0),
        "{}",
        world.told()
    );
}

#[tokio::test]
async fn a_build_that_throws_is_refused_and_rolled_back_and_not_tried_again() {
    let mut world = World::new().await;
    world.start_agent();
    let good = world.deploy_and_wait("1.0.0").await;
    let packed = world.pack(&throwing());
    let seq = world.state(&packed, |_| {});
    let report = world.settled(seq).await;
    let refused = report.refused.clone().unwrap();
    assert_eq!((&refused.build, refused.seq), (&packed.manifest.build, seq));
    assert!(
        refused
            .log
            .iter()
            .any(|line| line.contains("boom at start")),
        "{refused:?}"
    );
    assert_eq!(world.hello().await.version, "1.0.0");
    let is_back = |report: &Report| {
        report.phase == Phase::Ready
            && report
                .running
                .as_ref()
                .is_some_and(|running| running.build == good)
    };
    world.report("is back", is_back).await;

    // Also a new run of the agent does not try it again.
    assert_eq!(world.end_agent(Signal::SIGTERM).await, Some(0));
    world.start_agent();
    let report = world.report("is back after a restart", |report| {
        is_back(report) && report.seq == seq
    });
    let report = report.await;
    assert_eq!((report.settled, report.refused), (seq, Some(refused)));
    assert_eq!(world.hello().await.version, "1.0.0");
    assert_eq!(report.restarts, 0, "{}", world.told());

    // A higher number is.
    let build = world.deploy_and_wait("1.0.1").await;
    assert!(world.releases().contains(&build.to_string()));
}

#[tokio::test]
async fn a_killed_application_comes_back() {
    let mut world = World::new().await;
    world.start_agent();
    world.deploy_and_wait("1.0.0").await;
    world
        .report("is good", |report| report.phase == Phase::Ready)
        .await;
    tokio::time::sleep(world.settings.limits.trial + Duration::from_millis(200)).await;
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
    assert!(!world::is_alive(before.pid));

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
    assert!(!world::is_alive(before.pid));
}

#[tokio::test]
async fn a_damaged_archive_leaves_the_old_build_running_and_is_tried_again() {
    let mut world = World::new().await;
    world.start_agent();
    let first = world.deploy_and_wait("1.0.0").await;
    let packed = world.pack(&application("2.0.0"));
    let archive = world
        .store
        .dir()
        .join("dev-001/builds")
        .join(packed.manifest.build.as_str())
        .join("archive.tar");
    let whole = damage(&archive);
    let seq = world.state(&packed, |_| {});
    let report = world.report("has a problem", |report| {
        report.seq == seq && report.problem.is_some()
    });
    let report = report.await;
    assert_eq!(report.running.unwrap().build, first);
    assert_eq!(world.releases(), [first.to_string()]);
    assert_eq!(world.hello().await.version, "1.0.0");

    fs::write(&archive, whole).unwrap();
    let report = world.settled(seq).await;
    assert_eq!(report.problem, None);
    assert_eq!(world.hello().await.version, "2.0.0");
}

#[tokio::test]
async fn commands_ask_the_agent_and_a_gateway_can_be_stopped() {
    let mut world = World::new().await;
    world.start_agent();
    let build = world.deploy_and_wait("1.0.0").await;
    let before = world.hello().await;

    let status = world.ask(&["status", "--format", "json"]).await;
    let report: Report = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(report.agent_pid, u32::try_from(world.agent_pid()).unwrap());
    assert_eq!(report.desired_build, Some(build));

    let reload = world.ask(&["reload"]).await;
    assert!(
        reload.status.success(),
        "{}",
        String::from_utf8_lossy(&reload.stderr)
    );
    assert_eq!(
        world.hello().await.pid,
        before.pid,
        "nothing changed, nothing restarts"
    );

    let restart = world.ask(&["restart"]).await;
    assert!(
        restart.status.success(),
        "{}",
        String::from_utf8_lossy(&restart.stderr)
    );
    let after = world.hello().await;
    assert_ne!(after.pid, before.pid);

    let packed = world.pack(&application("1.0.0"));
    let seq = world.state(&packed, |statement| statement.restart = 1);
    world.settled(seq).await;
    assert_ne!(world.hello().await.pid, after.pid, "the counter grew");

    let seq = world.state(&packed, |statement| {
        statement.run = false;
        statement.restart = 1;
    });
    let report = world.settled(seq).await;
    assert_eq!((report.phase, report.running), (Phase::Stopped, None));
    assert_eq!(world.get().await.unwrap().0, 503);
    let restart = world.ask(&["restart"]).await;
    assert_eq!(restart.status.code(), Some(1));

    let seq = world.state(&packed, |_| {});
    world.settled(seq).await;
    assert_eq!(world.hello().await.version, "1.0.0");
}
