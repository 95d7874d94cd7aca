//! Gated changes: the next process boots beside the one that serves.

use lockgate_model::{ActKind, Strategy};

use super::*;

/// A scene in which `gated("a", 1)` is ready and good.
fn serving() -> Scene {
    let mut scene = Scene::new(None);
    scene.on(Event::Run(gated("a", 1))).ready();
    scene.after(Duration::from_secs(30));
    scene
}

impl Scene {
    fn at_gate(&mut self, seen: &[Act]) -> &mut Self {
        let (start, seen) = (self.held(), seen.to_vec());
        self.on(Event::AtGate { start, seen })
    }

    fn held_exits(&mut self) -> &mut Self {
        let start = self.held();
        let how = "exited with code 1".to_owned();
        let killed = false;
        self.on(Event::Exited { start, how, killed })
    }

    fn held_is_killed(&mut self) -> &mut Self {
        let start = self.held();
        let how = "was killed by SIGKILL".to_owned();
        let killed = true;
        self.on(Event::Exited { start, how, killed })
    }
}

fn read(path: &str) -> Act {
    Act {
        kind: ActKind::Read,
        what: path.to_owned(),
    }
}

#[test]
fn the_first_process_passes_its_gate_at_once() {
    let mut scene = Scene::new(None);
    scene.on(Event::Run(gated("a", 1)));
    let (start, seen) = (scene.start(), vec![read("/data/counter")]);
    scene.on(Event::AtGate { start, seen });
    assert_eq!(scene.last, [Action::Open(start)]);
}

#[test]
fn the_next_process_takes_over_step_by_step() {
    let mut scene = serving();
    let old = scene.start();
    scene.on(Event::Run(gated("b", 2)));
    let new = scene.held();
    assert_eq!(
        scene.last,
        [Action::SpawnBeside {
            start: new,
            target: gated("b", 2)
        }]
    );
    assert_eq!(scene.machine.phase(), Phase::Booting);
    assert_eq!(scene.machine.process().unwrap().0, old);

    scene.at_gate(&[]);
    assert_eq!(scene.last, [drain(old)]);
    assert_eq!(scene.machine.phase(), Phase::Draining);
    scene.drained();
    assert_eq!(scene.last, [Action::Terminate(old)]);
    scene.exit();
    assert_eq!(
        scene.last,
        [
            Action::Sweep(old),
            Action::Swap(gated("b", 2)),
            Action::Open(new)
        ]
    );
    assert_eq!(scene.start(), new);
    scene.ready();
    assert_eq!(scene.machine.settled, 2);
    assert_eq!(scene.machine.how, Some(How::Gated));
    assert!(scene.machine.on_trial());
}

#[test]
fn a_drain_that_does_not_end_is_ended() {
    let mut scene = serving();
    let old = scene.start();
    scene.on(Event::Run(gated("b", 2))).at_gate(&[]);
    scene.after(6 * SECOND);
    assert_eq!(scene.last, []);
    scene.after(DRAIN_SLACK);
    assert_eq!(scene.last, [Action::Terminate(old)]);
    scene.after(10 * SECOND);
    assert_eq!(scene.last, [Action::Kill(old)]);
}

#[test]
fn what_happened_before_the_gate_makes_it_cold_unless_allowed() {
    let check = |strategy, allowed: &[&str], expected: Option<&str>| {
        let mut next = gated("b", 2);
        next.settings.strategy = strategy;
        next.settings.before_listen = allowed.iter().map(|it| (*it).to_owned()).collect();
        let mut scene = serving();
        let old = scene.start();
        scene.on(Event::Run(next));
        let new = scene.held();
        scene.at_gate(&[read("/data/counter"), read("/data/names")]);
        let Some(expected) = expected else {
            assert_eq!(scene.last, [drain(old)]);
            assert_eq!(scene.held(), new);
            return;
        };
        assert_eq!(scene.last, [Action::Discard(new), drain(old)]);
        let why = Some(expected.to_owned());
        assert_eq!(scene.machine.how, Some(How::Cold(why)));
        scene.drained().exit();
        assert_eq!(scene.spawned().unwrap().build, gated("b", 2).build);
        assert_eq!(scene.machine.phase(), Phase::Starting);
    };
    let both = "it read /data/counter and 1 more before it listened";
    check(Strategy::Auto, &[], Some(both));
    let one = "it read /data/names before it listened";
    check(Strategy::Auto, &["read:/data/counter"], Some(one));
    check(Strategy::Auto, &["read:/data/*"], None);
    check(Strategy::Gated, &[], None);
}

#[test]
fn a_build_that_is_known_to_disturb_is_restarted_cold_at_once() {
    let mut scene = Scene::new(None);
    scene.on(Event::Run(gated("a", 1)));
    let (start, seen) = (scene.start(), vec![read("/data/counter")]);
    scene.on(Event::AtGate { start, seen }).ready();
    scene.on(Event::Restart);
    assert_eq!(scene.last, [drain(start)]);
    assert!(matches!(scene.machine.how, Some(How::Cold(Some(_)))));
}

#[test]
fn too_little_memory_makes_it_cold() {
    let mut scene = serving();
    let old = scene.start();
    scene.on(Event::Run(gated("b", 2)));
    let (start, reason) = (scene.held(), "380 MiB are free".to_owned());
    scene.on(Event::NoRoom {
        start,
        reason: reason.clone(),
    });
    assert_eq!(scene.last, [drain(old)]);
    assert_eq!(scene.machine.how, Some(How::Cold(Some(reason))));
    scene.drained().exit();
    assert_eq!(scene.spawned(), Some(&gated("b", 2)));
}

#[test]
fn a_process_that_is_killed_while_it_boots_is_started_cold() {
    let mut scene = serving();
    let old = scene.start();
    scene.on(Event::Run(gated("b", 2)));
    let new = scene.held();
    scene.held_is_killed();
    assert_eq!(
        scene.last,
        [Action::Sweep(new), Action::KeepCrash(new), drain(old)]
    );
    let why = "it was killed by SIGKILL while it booted beside the other one";
    let cold = Some(How::Cold(Some(why.to_owned())));
    assert_eq!(scene.machine.how, cold);
    assert_eq!(scene.machine.refused, None);
    scene.drained().exit();
    assert_eq!(scene.spawned(), Some(&gated("b", 2)));
    assert_eq!(scene.ready().machine.settled, 2);
    assert_eq!(scene.machine.refused, None);
}

#[test]
fn what_cannot_be_held_is_started_cold() {
    let check = |change: fn(&mut Target), expected: &str| {
        let mut next = gated("b", 2);
        change(&mut next);
        let mut scene = serving();
        scene.on(Event::Run(next));
        assert_eq!(scene.machine.phase(), Phase::Draining);
        let Some(How::Cold(Some(why))) = &scene.machine.how else {
            panic!("{:?}", scene.machine.how);
        };
        assert_eq!(why, expected);
    };
    check(
        |next| next.settings.command = vec!["python3".to_owned()],
        "`python3` is not Node",
    );
    check(
        |next| next.settings.command.insert(1, "--inspect-brk".to_owned()),
        "it waits for a debugger before it runs",
    );
    check(
        |next| next.settings.socket.clear(),
        "it has no socket that is held",
    );
    check(
        |next| next.settings.socket[0].port = 9000,
        "its sockets are others",
    );
}

#[test]
fn an_inherited_debugger_is_waited_for_alone_unless_the_target_has_its_own_options() {
    for (own, expected) in [(None, Phase::Draining), (Some(""), Phase::Booting)] {
        let mut next = gated("b", 2);
        let own = own.map(|own| ("NODE_OPTIONS".to_owned(), own.to_owned()));
        next.settings.env.extend(own);
        let mut scene = serving();
        scene.machine.node_options = Some("--inspect-brk=9230".to_owned());
        scene.on(Event::Run(next));
        assert_eq!(scene.machine.phase(), expected);
    }
}

#[test]
fn what_fails_before_its_gate_never_touches_the_old_one() {
    let mut scene = serving();
    let old = scene.start();
    scene.on(Event::Run(gated("b", 2)));
    for _ in 1..TRIAL_CRASHES {
        scene.held_exits();
        assert_eq!(scene.machine.phase(), Phase::Booting);
        assert!(scene.machine.problem.is_some());
        scene.after(TRIAL_DELAY);
        assert_eq!(scene.spawned(), Some(&gated("b", 2)));
    }
    let last = scene.held();
    scene.held_exits();
    assert_eq!(
        scene.last,
        [
            Action::Sweep(last),
            Action::KeepCrash(last),
            Action::KeepRefusal(last),
            Action::Discard(last)
        ]
    );
    assert_eq!((scene.machine.phase(), scene.start()), (Phase::Ready, old));
    let refused = scene.machine.refused.clone().unwrap();
    assert_eq!(
        refused.reason,
        "exited with code 1 before it listened, 3 times"
    );
    assert_eq!(scene.machine.settled, 2);
    // The same number again changes nothing; a restart is one of what serves.
    scene.on(Event::Run(gated("b", 2)));
    assert_eq!(scene.last, []);
    scene.on(Event::Restart);
    assert_eq!(scene.spawned(), Some(&gated("a", 1)));
}

#[test]
fn what_does_not_reach_its_gate_in_time_is_refused() {
    let mut scene = serving();
    scene.on(Event::Run(gated("b", 2)));
    let new = scene.held();
    scene.after(20 * SECOND);
    assert_eq!(
        scene.last,
        [
            Action::KeepCrash(new),
            Action::KeepRefusal(new),
            Action::Discard(new)
        ]
    );
    let refused = scene.machine.refused.as_ref().unwrap();
    assert_eq!(refused.reason, "did not listen within 20s");
    assert_eq!(scene.machine.phase(), Phase::Ready);
}

#[test]
fn a_refused_successor_makes_what_serves_the_good_one() {
    let mut scene = serving();
    // On trial itself, and not without a crash.
    scene.on(Event::Run(gated("b", 2))).at_gate(&[]);
    scene.drained().exit().ready();
    scene.exit().after(TRIAL_DELAY).ready();
    scene
        .on(Event::Run(gated("c", 3)))
        .after(20 * SECOND)
        .on(Event::Run(gated("c", 3)));
    assert_eq!(scene.machine.good, Some(gated("b", 2)));
    assert_eq!(scene.machine.phase(), Phase::Ready);
    assert_eq!(scene.machine.process().unwrap().1, &gated("b", 2).build);
}

#[test]
fn a_good_build_that_cannot_boot_again_is_tried_on_while_the_old_one_serves() {
    let mut scene = serving();
    let old = scene.start();
    scene.on(Event::Restart);
    for delay in [3, 6, 12] {
        scene.held_exits();
        assert_eq!(scene.machine.refused, None);
        scene.after(delay * SECOND);
        assert_eq!(scene.spawned(), Some(&gated("a", 1)));
    }
    assert_eq!(scene.start(), old);
    scene.held_exits().on(Event::Restart);
    assert!(scene.spawned().is_some(), "a reload never waits");
}

#[test]
fn a_newer_target_takes_the_place_of_what_boots() {
    let mut scene = serving();
    scene.on(Event::Run(gated("b", 2)));
    let first = scene.held();
    scene.on(Event::Run(gated("c", 3)));
    assert_eq!(scene.last[0], Action::Discard(first));
    assert_eq!(scene.spawned(), Some(&gated("c", 3)));
    // Back to what serves: nothing is started.
    let second = scene.held();
    scene.on(Event::Run(gated("a", 4)));
    assert_eq!(scene.last, [Action::Discard(second)]);
    assert_eq!(scene.machine.settled, 4);
    assert_eq!(scene.machine.phase(), Phase::Ready);
}

#[test]
fn a_newer_target_while_the_old_one_drains_is_started_cold() {
    let mut scene = serving();
    scene.on(Event::Run(gated("b", 2))).at_gate(&[]);
    let held = scene.held();
    scene.on(Event::Run(gated("b", 3)));
    assert_eq!((scene.last.len(), scene.held()), (0, held));
    scene.on(Event::Run(gated("c", 4)));
    assert_eq!(scene.last, [Action::Discard(held)]);
    scene.drained().exit();
    assert_eq!(scene.spawned(), Some(&gated("c", 4)));
}

#[test]
fn when_the_old_one_crashes_the_next_one_does_not_wait_for_it() {
    let mut scene = serving();
    scene.on(Event::Run(gated("b", 2)));
    let new = scene.held();
    scene.exit();
    assert_eq!(scene.last[2], Action::Swap(gated("b", 2)));
    assert_eq!(scene.start(), new);
    let (start, seen) = (new, vec![read("/data/counter")]);
    scene.on(Event::AtGate { start, seen });
    assert_eq!(scene.last, [Action::Open(new)]);
    assert_eq!(scene.ready().machine.settled, 2);
}

#[test]
fn a_held_process_that_dies_is_started_again_alone() {
    let mut scene = serving();
    scene.on(Event::Run(gated("b", 2))).at_gate(&[]);
    scene.held_exits().drained().exit();
    assert_eq!(scene.spawned(), Some(&gated("b", 2)));
    assert_eq!(scene.machine.phase(), Phase::Starting);
    let why = "it exited with code 1 while it was held".to_owned();
    assert_eq!(scene.machine.how, Some(How::Cold(Some(why))));
}

#[test]
fn a_stop_discards_what_boots() {
    for event in [Event::Stop { seq: 3 }, Event::Shutdown] {
        let mut scene = serving();
        scene.on(Event::Run(gated("b", 2)));
        let held = scene.held();
        scene.on(event);
        assert_eq!(scene.last[0], Action::Discard(held));
        scene.drained().exit();
        assert_eq!(scene.spawned(), None);
    }
}
