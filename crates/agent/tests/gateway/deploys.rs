//! What becomes of a new statement.

use std::cell::Cell;
use std::fs;
use std::time::Duration;

use lockgate_model::{Phase, Report};
use nix::sys::signal::Signal;

use crate::application::{application, damage, throwing};
use crate::sight::Answer;
use crate::world::World;

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
        let changed = Cell::new(false);
        let settled = async {
            let report = world.settled(seq).await;
            changed.set(true);
            report
        };
        let (ones, others, report) = tokio::join!(
            asked_until(&world, &changed),
            asked_until(&world, &changed),
            settled,
        );
        assert_eq!(report.running.unwrap().build, build);
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

/// Asks one request after the other until the change is done and six were answered,
/// so that a slow machine asks for longer instead of less.
async fn asked_until(world: &World, changed: &Cell<bool>) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !changed.get() || answers.len() < 6 {
        answers.push(world.get().await);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    answers
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
async fn a_refused_build_is_reported_however_much_it_wrote() {
    let mut world = World::new().await;
    world.start_agent();
    let wordy = "for (let i = 0; i < 60; i += 1) console.log(i, '\\x1b'.repeat(15000));\n";
    let packed = world.pack(&format!("{wordy}{}", throwing()));
    let seq = world.state(&packed, |_| {});
    let refused = world.settled(seq).await.refused.unwrap();
    let last = refused.log.last().unwrap();
    assert!(last.starts_with("Node.js v"), "{last}");
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
    // Asked again it offers nothing better.
    for _ in 0..2 {
        let reload = world.ask(&["reload", "--format", "json"]).await;
        let report: Report = serde_json::from_slice(&reload.stdout).unwrap();
        assert!(report.problem.unwrap().contains("older than 3"));
    }

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
        .filter(|path| path.join("app").is_dir() && !path.is_symlink())
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
}

#[tokio::test]
async fn a_full_disk_makes_room_of_releases_that_nothing_needs() {
    let mut world = World::new().await;
    let disk = world.path("lockgate");
    fs::create_dir_all(&disk).unwrap();
    // Room for the agent's own files and three releases of these.
    let mount = format!(
        "mount -t tmpfs -o size=300k none '{}' && exec \"$0\" \"$@\"",
        disk.display()
    );
    let apart = ["unshare", "--user", "--map-root-user", "--mount"];
    world.start_agent_below(&[&apart[..], &["sh", "-c", &mount]].concat());
    for version in 1..=5 {
        let version = version.to_string();
        let padding = "x".repeat(80_000);
        let packed = world.pack(&format!("{}//{padding}", application(&version)));
        let seq = world.state(&packed, |_| {});
        world.settled(seq).await;
        assert_eq!(world.hello().await.version, version);
    }
}
