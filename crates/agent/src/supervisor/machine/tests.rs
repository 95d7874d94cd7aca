//! Scenes: a machine, events with their times, and what must come of it.

use std::path::PathBuf;

use lockgate_model::{AppSettings, Strategy};

use super::*;

mod gated;
mod trials;

/// Plays events against a machine and remembers the actions of the last one.
pub(super) struct Scene {
    pub(super) machine: Machine,
    pub(super) now: Instant,
    pub(super) last: Vec<Action>,
}

impl Scene {
    #[expect(clippy::disallowed_methods, reason = "any beginning will do")]
    pub(super) fn new(good: Option<Target>) -> Self {
        Self {
            machine: Machine::new(good, None, None),
            now: Instant::now(),
            last: Vec::new(),
        }
    }

    pub(super) fn on(&mut self, event: Event) -> &mut Self {
        let machine = self.machine.clone();
        (self.machine, self.last) = step(machine, event, self.now);
        self
    }

    /// Lets time pass in one go, then ticks.
    pub(super) fn after(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self.on(Event::Tick)
    }

    pub(super) fn start(&self) -> Start {
        self.machine.process().unwrap().0
    }

    pub(super) fn ready(&mut self) -> &mut Self {
        let start = self.start();
        self.on(Event::Ready { start })
    }

    pub(super) fn exit(&mut self) -> &mut Self {
        let start = self.start();
        let how = "exited with code 1".to_owned();
        let killed = false;
        self.on(Event::Exited { start, how, killed })
    }

    /// A question that nobody answers.
    fn miss(&mut self) -> &mut Self {
        let (start, reason) = (self.start(), "`GET /` was answered 503".to_owned());
        self.on(Event::Missed { start, reason })
    }

    fn answer(&mut self) -> &mut Self {
        let start = self.start();
        self.on(Event::Answered { start })
    }

    /// The process that boots beside the one that serves.
    pub(super) fn held(&self) -> Start {
        self.machine.held().unwrap().0
    }

    pub(super) fn drained(&mut self) -> &mut Self {
        let start = self.start();
        self.on(Event::Drained { start })
    }

    fn spawn_fails(&mut self) -> &mut Self {
        let start = self.start();
        let reason = "cannot bind 127.0.0.1:8888".to_owned();
        self.on(Event::SpawnFailed { start, reason })
    }

    fn crash_three_times(&mut self) -> &mut Self {
        self.exit().after(TRIAL_DELAY);
        self.exit().after(TRIAL_DELAY);
        self.exit()
    }

    /// The target that the last step started.
    pub(super) fn spawned(&self) -> Option<&Target> {
        self.last.iter().find_map(|action| match action {
            Action::Spawn { target, .. } | Action::SpawnBeside { target, .. } => Some(target),
            _ => None,
        })
    }
}

/// A target whose changes are cold.
pub(super) fn target(build: &str, seq: u64) -> Target {
    let mut target = gated(build, seq);
    target.settings.strategy = Strategy::Cold;
    target
}

/// A target whose changes are gated where they can be.
pub(super) fn gated(build: &str, seq: u64) -> Target {
    let build = BuildId::parse(&build.repeat(12)).unwrap();
    Target {
        release: PathBuf::from("/releases").join(build.as_str()),
        build,
        settings: AppSettings::default(),
        seq,
        restart: 0,
    }
}

fn drain(start: Start) -> Action {
    let how = Drain {
        linger: SECOND,
        limit: 5 * SECOND,
        comes_back: true,
    };
    Action::Drain { start, how }
}

/// A scene in which `target("a", 1)` is ready and good.
fn settled() -> Scene {
    let mut scene = Scene::new(None);
    scene.on(Event::Run(target("a", 1))).ready();
    scene.after(Duration::from_secs(30));
    assert_eq!(scene.machine.good, Some(target("a", 1)));
    scene
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_first_target_is_swapped_in_and_started() {
    let mut scene = Scene::new(None);
    scene.on(Event::Run(target("a", 1)));
    let start = Start(1);
    assert_eq!(
        scene.last,
        [
            Action::Swap(target("a", 1)),
            Action::Spawn {
                start,
                target: target("a", 1)
            }
        ]
    );
    assert_eq!(scene.machine.phase(), Phase::Starting);
    assert!(scene.machine.on_trial());
    assert_eq!(scene.machine.settled, 0);
    scene.ready();
    assert_eq!(scene.machine.settled, 1);
    assert_eq!(scene.machine.good, None);
    scene.after(29 * SECOND);
    assert_eq!(scene.machine.good, None);
    scene.after(SECOND);
    assert_eq!(scene.machine.good, Some(target("a", 1)));
    assert!(!scene.machine.on_trial());
}

#[test]
fn a_new_build_waits_for_the_end_of_the_old_one() {
    let mut scene = settled();
    let old = scene.start();
    scene.on(Event::Run(target("b", 2)));
    assert_eq!(scene.last, [drain(old)]);
    assert_eq!(scene.machine.phase(), Phase::Draining);
    scene.drained();
    assert_eq!(scene.last, [Action::Terminate(old)]);
    assert_eq!(scene.machine.phase(), Phase::Stopping);
    scene.exit();
    assert_eq!(
        scene.last[..2],
        [Action::Sweep(old), Action::Swap(target("b", 2))]
    );
    assert_eq!(scene.spawned(), Some(&target("b", 2)));
    assert_eq!(scene.machine.settled, 1);
    assert_eq!(scene.ready().machine.settled, 2);
    assert_eq!(scene.machine.restarts, 0);
}

#[test]
fn the_same_content_under_a_new_number_restarts_nothing() {
    let mut scene = settled();
    scene.on(Event::Run(target("a", 2)));
    assert_eq!(scene.last, []);
    assert_eq!(scene.machine.settled, 2);
    assert_eq!(scene.machine.good, Some(target("a", 2)));
}

#[test]
fn a_number_taken_over_while_starting_is_settled_by_ready() {
    let mut scene = Scene::new(None);
    scene
        .on(Event::Run(target("a", 1)))
        .on(Event::Run(target("a", 2)));
    assert_eq!(scene.last, []);
    assert_eq!(scene.machine.settled, 0);
    assert_eq!(scene.ready().machine.settled, 2);
}

#[test]
fn a_lower_number_is_ignored() {
    let mut scene = settled();
    scene
        .on(Event::Run(target("b", 0)))
        .on(Event::Stop { seq: 0 });
    assert_eq!(scene.last, []);
    assert_eq!(scene.machine.phase(), Phase::Ready);
}

#[test]
fn not_ready_in_time_after_the_trial_is_a_crash() {
    let mut scene = Scene::new(Some(target("a", 1)));
    scene.on(Event::Run(target("a", 1))).after(20 * SECOND);
    assert_eq!(scene.machine.phase(), Phase::Stopping);
    scene.exit();
    assert_eq!(scene.machine.phase(), Phase::Backoff);
    assert_eq!(scene.machine.deadline(), Some(scene.now + 3 * SECOND));
    assert_eq!(scene.machine.refused, None);
}

#[test]
fn a_good_build_that_crashes_waits_longer_each_time_and_is_never_refused() {
    let mut scene = settled();
    for delay in [3, 6, 12, 24, 48, 60, 60] {
        scene.exit();
        assert_eq!(scene.machine.deadline(), Some(scene.now + delay * SECOND));
        assert_eq!(scene.after(delay * SECOND).spawned(), Some(&target("a", 1)));
        scene.ready();
    }
    scene.after(CALM).exit();
    assert_eq!(scene.machine.deadline(), Some(scene.now + 3 * SECOND));
    assert_eq!(scene.machine.restarts, 7);
    assert_eq!(scene.machine.refused, None);
}

#[test]
fn reload_during_backoff_starts_at_once() {
    for event in [
        Event::Restart,
        Event::Hurry,
        Event::Run(target("a", 2)),
        Event::Run(target("b", 2)),
    ] {
        let mut scene = settled();
        scene.exit().on(event.clone());
        assert!(scene.spawned().is_some(), "{event:?}");
    }
    let mut scene = settled();
    scene.exit().on(Event::Run(target("a", 1)));
    assert_eq!(scene.machine.phase(), Phase::Backoff);
}

#[test]
fn stop_closes_the_sockets_once_nothing_runs() {
    let mut scene = settled();
    scene.on(Event::Stop { seq: 2 });
    assert_eq!(scene.machine.settled, 1);
    scene.exit();
    assert_eq!(scene.last.last(), Some(&Action::CloseSockets));
    assert_eq!(scene.machine.settled, 2);
    assert_eq!(scene.machine.phase(), Phase::Stopped);
    scene.on(Event::Run(target("a", 3)));
    assert!(!scene.machine.on_trial());
}

#[test]
fn a_stop_ends_by_kill_when_its_grace_is_over() {
    let mut scene = settled();
    let start = scene.start();
    scene.on(Event::Stop { seq: 2 });
    let how = Drain {
        linger: Duration::ZERO,
        limit: 5 * SECOND,
        comes_back: false,
    };
    assert_eq!(scene.last, [Action::Drain { start, how }]);
    scene.after(5 * SECOND);
    assert_eq!(scene.last, []);
    scene.after(DRAIN_SLACK);
    assert_eq!(scene.last, [Action::Terminate(start)]);
    scene.after(9 * SECOND);
    assert_eq!(scene.last, []);
    scene.after(SECOND);
    assert_eq!(scene.last, [Action::Kill(start)]);
    scene.after(KILL_AGAIN);
    assert_eq!(scene.last, [Action::Kill(start)]);
}

#[test]
fn a_second_shutdown_kills() {
    let mut scene = settled();
    let start = scene.start();
    scene.on(Event::Shutdown).drained();
    assert_eq!(scene.last, [Action::Terminate(start)]);
    scene.on(Event::Shutdown);
    assert_eq!(scene.last, [Action::Kill(start)]);
    scene.exit();
    assert_eq!(scene.last.last(), Some(&Action::End));
    assert_eq!(scene.machine.state, State::Ended);
}

#[test]
fn a_shutdown_at_rest_and_in_backoff_ends_at_once() {
    let mut scene = settled();
    scene.exit().on(Event::Shutdown);
    assert_eq!(scene.last.last(), Some(&Action::End));
    let mut scene = Scene::new(None);
    scene.on(Event::Shutdown);
    assert_eq!(scene.last.last(), Some(&Action::End));
}

#[test]
fn limits_without_end_are_no_end_of_the_supervisor() {
    let mut endless = target("a", 1);
    let limits = &mut endless.settings.limits;
    (limits.ready, limits.trial) = (Duration::MAX, Duration::MAX);
    (limits.grace, limits.crash_delay) = (Duration::MAX, Duration::MAX);
    (limits.linger, limits.drain) = (Duration::MAX, Duration::MAX);
    let mut scene = Scene::new(Some(endless.clone()));
    scene.on(Event::Run(endless.clone())).ready().exit();
    assert_eq!(scene.machine.phase(), Phase::Backoff);
    endless.restart += 1;
    endless.seq += 1;
    scene.on(Event::Run(endless)).ready();
    assert_eq!(
        scene.on(Event::Stop { seq: 3 }).machine.phase(),
        Phase::Draining
    );
}

#[test]
fn two_changes_in_a_row_start_only_the_last() {
    let mut scene = settled();
    scene
        .on(Event::Run(target("b", 2)))
        .on(Event::Run(target("c", 3)))
        .exit();
    assert_eq!(scene.spawned(), Some(&target("c", 3)));
}

#[test]
fn the_dead_do_not_speak() {
    let mut scene = settled();
    let before = scene.machine.clone();
    let start = Start(99);
    let how = String::new;
    scene
        .on(Event::Ready { start })
        .on(Event::Exited {
            start,
            how: how(),
            killed: true,
        })
        .on(Event::NotReady {
            start,
            reason: how(),
        })
        .on(Event::SpawnFailed {
            start,
            reason: how(),
        })
        .on(Event::AtGate {
            start,
            seen: Vec::new(),
        })
        .on(Event::NoRoom {
            start,
            reason: how(),
        })
        .on(Event::Missed {
            start,
            reason: how(),
        })
        .on(Event::Answered { start })
        .on(Event::Drained { start });
    assert_eq!(scene.machine, before);
}

#[test]
fn every_start_swaps_so_that_a_failed_swap_is_made_up_for() {
    let mut scene = settled();
    let swaps = |scene: &Scene| scene.last.contains(&Action::Swap(target("a", 1)));
    scene.exit().after(3 * SECOND);
    assert!(swaps(&scene));
    scene.ready().on(Event::Restart).exit();
    assert!(swaps(&scene));
}

#[test]
fn what_was_stopped_by_hand_runs_again_under_the_same_number() {
    let mut scene = settled();
    scene.on(Event::Stop { seq: 1 }).exit();
    assert_eq!(scene.machine.phase(), Phase::Stopped);
    assert_eq!(scene.last.last(), Some(&Action::CloseSockets));
    scene.on(Event::Run(target("b", 0)));
    assert_eq!(scene.machine.phase(), Phase::Stopped);
    scene.on(Event::Run(target("a", 1)));
    assert!(scene.spawned().is_some());
}
