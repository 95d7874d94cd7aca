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
async fn the_first_build_starts_and_the_next_one_replaces_it() {
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

    let second = world.deploy_and_wait("2.0.0").await;
    assert!(fs::read_link(&root).unwrap().ends_with(second.as_str()));
    assert_eq!(
        world.end_agent(Signal::SIGTERM).await,
        Some(0),
        "{}",
        world.told()
    );
}

#[tokio::test]
async fn no_request_is_lost_while_builds_change() {
    let mut world = World::new().await;
    world.start_agent();
    world.deploy_and_wait("0").await;
    let mut asked = 0;
    for version in 1..=5 {
        let (build, seq) = world.deploy(&version.to_string());
        let (mut ones, mut others) = (Vec::new(), Vec::new());
        tokio::select! {
            () = keep_asking(&world, &mut ones) => {}
            () = keep_asking(&world, &mut others) => {}
            report = world.settled(seq) => assert_eq!(report.running.unwrap().build, build),
        }
        let answers: Vec<_> = ones.into_iter().chain(others).collect();
        let lost = answers
            .iter()
            .filter(|answer| !matches!(answer, Ok((200, _, _))));
        let lost: Vec<_> = lost.collect();
        assert!(lost.is_empty(), "{lost:?}\n{}", world.told());
        asked += answers.len();
    }
    assert!(asked > 50, "only {asked} requests were made");
}

async fn keep_asking(world: &World, answers: &mut Vec<world::Answer>) {
    loop {
        answers.push(world.get().await);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
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
    let whole = damage(&archive, "serving 2.0.0");
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

#[tokio::test]
async fn the_application_may_ask_for_its_own_replacement() {
    let mut world = World::new().await;
    world.start_agent();
    world.deploy_and_wait("1.0.0").await;
    let packed = world.pack(&application("2.0.0"));
    let seq = world.state_silently(&packed, |_| {});
    // It waits for the answer and ends only after it: the agent must not wait for
    // that end first.
    let (status, _, body) = world.get_path("/reload").await.unwrap();
    assert_eq!(status, 200, "{}", world.told());
    let report: Report = serde_json::from_slice(&body).unwrap();
    assert!(report.settled < seq);
    let report = world.settled(seq).await;
    assert_eq!(report.running.unwrap().build, packed.manifest.build);
    assert_eq!(world.hello().await.version, "2.0.0");
}

#[tokio::test]
async fn a_reload_finds_what_no_notice_told() {
    let mut world = World::new().await;
    world.start_agent();
    world.deploy_and_wait("1.0.0").await;

    let packed = world.pack(&application("2.0.0"));
    let seq = world.state_silently(&packed, |_| {});
    let reload = world.ask(&["reload", "--format", "json"]).await;
    let report: Report = serde_json::from_slice(&reload.stdout).unwrap();
    assert_eq!((report.seq, report.settled), (seq, seq));
    assert_eq!(world.hello().await.version, "2.0.0");

    let packed = world.pack(&application("3.0.0"));
    let seq = world.state_silently(&packed, |_| {});
    world.signal_agent(Signal::SIGHUP);
    world.settled(seq).await;

    let packed = world.pack(&throwing());
    world.state_silently(&packed, |_| {});
    let reload = world.ask(&["reload"]).await;
    let said = String::from_utf8(reload.stderr).unwrap();
    assert_eq!(reload.status.code(), Some(1));
    assert!(said.contains("kept its old build"), "{said}");
    assert_eq!(world.hello().await.version, "3.0.0");
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
    assert!(world::is_alive(pid));
    assert_eq!(
        world.end_agent(Signal::SIGTERM).await,
        Some(0),
        "{}",
        world.told()
    );
    assert!(!world::is_alive(pid));
    let last = world
        .report("has stopped", |report| report.running.is_none())
        .await;
    assert_eq!(last.phase, Phase::Stopped);
}

#[tokio::test]
async fn without_a_good_build_a_broken_one_leaves_a_page_that_says_why() {
    let mut world = World::new().await;
    world.start_agent();
    let packed = world.pack(&throwing());
    let seq = world.state(&packed, |_| {});
    let report = world.settled(seq).await;
    assert!(report.refused.is_some());
    let report = world
        .report("has stopped", |report| report.phase == Phase::Stopped)
        .await;
    assert_eq!(report.running, None);
    let (status, _, page) = world.get().await.unwrap();
    let page = String::from_utf8_lossy(&page).into_owned();
    assert_eq!(status, 503, "{page}");
    assert!(page.contains("exited with code 1"), "{page}");
    world.deploy_and_wait("1.0.0").await;
}

#[tokio::test]
async fn an_older_statement_is_not_followed() {
    let mut world = World::new().await;
    world.start_agent();
    world.deploy_and_wait("1.0.0").await;
    let file = world
        .store
        .dir()
        .join("dev-001/statements/gw-pool-dev-001-0.json");
    let older = fs::read(&file).unwrap();
    let second = world.deploy_and_wait("2.0.0").await;
    let newest = fs::read(&file).unwrap();

    fs::write(&file, older).unwrap();
    world.ring();
    let report = world
        .report("tells it", |report| report.problem.is_some())
        .await;
    assert!(report.problem.unwrap().contains("older than 3"));
    assert_eq!(report.running.unwrap().build, second);

    fs::write(&file, newest).unwrap();
    world.ring();
    world
        .report("is at peace", |report| report.problem.is_none())
        .await;
}

#[tokio::test]
async fn only_so_many_releases_are_kept_and_the_running_one_among_them() {
    let mut world = World::new().await;
    world.start_agent();
    let mut last = world.deploy_and_wait("0").await;
    for version in 1..9 {
        last = world.deploy_and_wait(&version.to_string()).await;
    }
    let releases = world.releases();
    assert!(releases.contains(&last.to_string()), "{releases:?}");
    assert!((5..=6).contains(&releases.len()), "{releases:?}");
}

#[tokio::test]
async fn a_folder_in_the_place_of_the_root_is_moved_aside() {
    let mut world = World::new().await;
    fs::create_dir_all(world.path("opt/gateway/app")).unwrap();
    world.start_agent();
    let build = world.deploy_and_wait("1.0.0").await;
    assert!(
        fs::read_link(world.path("opt/gateway"))
            .unwrap()
            .ends_with(build.as_str())
    );
    let found: Vec<_> = fs::read_dir(world.path("opt"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("app").is_dir())
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
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
