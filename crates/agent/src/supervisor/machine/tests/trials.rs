//! Trials: what is refused, and what is fallen back to.

use lockgate_model::Strategy;

use super::*;

#[test]
fn a_changed_counter_or_setting_restarts_on_trial() {
    let mut counted = target("a", 2);
    counted.restart = 1;
    let mut set = target("a", 2);
    set.settings.cwd = "elsewhere".to_owned();
    for changed in [counted, set] {
        let mut scene = settled();
        scene.on(Event::Run(changed.clone())).exit();
        assert_eq!(scene.spawned(), Some(&changed));
        assert!(scene.machine.on_trial());
        scene.crash_three_times();
        assert_eq!(scene.spawned(), Some(&target("a", 1)));
        assert_eq!(scene.machine.refused.as_ref().unwrap().seq, 2);
    }
}

#[test]
fn the_third_crash_on_trial_rolls_back() {
    let mut scene = settled();
    scene.on(Event::Run(target("b", 2))).exit();
    scene.exit();
    assert_eq!(scene.machine.phase(), Phase::Backoff);
    scene.after(TRIAL_DELAY).exit().after(TRIAL_DELAY);
    let third = scene.start();
    scene.exit();
    assert_eq!(
        scene.last[..4],
        [
            Action::Sweep(third),
            Action::KeepCrash(third),
            Action::KeepRefusal(third),
            Action::Swap(target("a", 1))
        ]
    );
    assert_eq!(scene.spawned(), Some(&target("a", 1)));
    let refused = scene.machine.refused.clone().unwrap();
    assert_eq!(
        refused.reason,
        "exited with code 1 before it was ready, 3 times"
    );
    assert_eq!((scene.machine.settled, refused.seq), (2, 2));
    assert!(!scene.machine.on_trial());
}

#[test]
fn a_refused_number_is_not_tried_again_but_a_higher_one_is() {
    let mut scene = settled();
    scene.on(Event::Run(target("b", 2))).exit();
    scene.crash_three_times().ready();
    scene.on(Event::Run(target("b", 2)));
    assert_eq!(scene.last, []);
    scene.on(Event::Restart).exit();
    assert_eq!(scene.spawned(), Some(&target("a", 1)));
    scene.ready().on(Event::Run(target("b", 3))).exit();
    assert_eq!(scene.spawned(), Some(&target("b", 3)));
    assert_eq!(scene.machine.refused, None);
}

#[test]
fn a_refusal_survives_the_agent() {
    let mut first = settled();
    first.on(Event::Run(target("b", 2))).exit();
    first.crash_three_times();
    let mut scene = Scene::new(first.machine.good.clone());
    scene.machine.refused = first.machine.refused.clone();
    scene.on(Event::Run(target("b", 2)));
    assert_eq!(scene.spawned(), Some(&target("a", 1)));
    assert_eq!(scene.machine.settled, 2);
    assert!(!scene.machine.on_trial());
}

#[test]
fn without_a_good_build_a_refusal_leaves_nothing_running() {
    let mut scene = Scene::new(None);
    scene.on(Event::Run(target("a", 1))).crash_three_times();
    assert_eq!(scene.last.last(), Some(&Action::CloseSockets));
    assert_eq!(scene.machine.phase(), Phase::Stopped);
    assert_eq!(scene.machine.settled, 1);
    assert_eq!(scene.on(Event::Restart).last, []);
}

#[test]
fn not_ready_in_time_on_trial_refuses_at_once() {
    let mut scene = settled();
    scene.on(Event::Run(target("b", 2))).exit();
    let start = scene.start();
    let reason = "`GET /` was answered 503".to_owned();
    scene.on(Event::NotReady { start, reason });
    scene.after(20 * SECOND);
    assert_eq!(scene.last.last(), Some(&Action::Terminate(start)));
    assert_eq!(
        scene.machine.refused.as_ref().unwrap().reason,
        "was not ready within 20s: `GET /` was answered 503"
    );
    scene.exit();
    assert_eq!(scene.spawned(), Some(&target("a", 1)));
}

#[test]
fn an_answer_that_does_not_come_begins_the_time_of_the_trial_anew() {
    let mut scene = Scene::new(None);
    scene.on(Event::Run(target("a", 1))).ready();
    scene.after(29 * SECOND).miss();
    assert!(scene.machine.problem.is_some());
    scene.after(SECOND).miss();
    scene.after(SECOND);
    assert_eq!(scene.machine.good, None);
    scene.answer();
    assert_eq!(scene.machine.problem, None);
    scene.after(29 * SECOND);
    assert_eq!(scene.machine.good, None);
    scene.after(SECOND);
    assert_eq!(scene.machine.good, Some(target("a", 1)));
    // From now on nobody asks, and what was on its way does not count.
    let start = scene.start();
    assert!(!scene.machine.is_asked(start));
    for _ in 0..2 * TRIAL_MISSES {
        scene.miss();
    }
    assert_eq!(scene.machine.phase(), Phase::Ready);
}

#[test]
fn what_stops_answering_on_trial_is_a_crash_and_the_third_rolls_back() {
    let mut scene = settled();
    scene.on(Event::Run(target("b", 2))).exit().ready();
    for crash in 1..=TRIAL_CRASHES {
        let start = scene.start();
        for _ in 1..TRIAL_MISSES {
            assert_eq!(scene.miss().last, []);
        }
        scene.answer();
        for _ in 1..TRIAL_MISSES {
            assert_eq!(scene.miss().last, []);
        }
        scene.miss();
        let mut expected = vec![Action::KeepCrash(start), Action::Terminate(start)];
        if crash == TRIAL_CRASHES {
            expected.insert(1, Action::KeepRefusal(start));
        }
        assert_eq!(scene.last, expected);
        scene.exit();
        if crash < TRIAL_CRASHES {
            assert_eq!(scene.machine.phase(), Phase::Backoff);
            scene.after(TRIAL_DELAY);
            assert_eq!(scene.spawned(), Some(&target("b", 2)));
            scene.ready();
        }
    }
    assert_eq!(scene.spawned(), Some(&target("a", 1)));
    assert_eq!(
        scene.machine.refused.as_ref().unwrap().reason,
        "stopped answering: `GET /` was answered 503, 3 times"
    );
}

#[test]
fn what_stops_answering_while_another_one_boots_is_ended_by_that() {
    let mut scene = Scene::new(None);
    scene.on(Event::Run(gated("a", 1))).ready();
    scene.on(Event::Run(gated("b", 2)));
    for _ in 0..2 * TRIAL_MISSES {
        assert_eq!(scene.miss().last, []);
    }
    assert_eq!(scene.machine.phase(), Phase::Booting);
    scene.after(20 * SECOND);
    assert_eq!(scene.machine.refused.as_ref().unwrap().seq, 2);
}

#[test]
fn a_build_that_served_is_the_fallback_of_its_successor() {
    let mut scene = Scene::new(None);
    scene.on(Event::Run(target("a", 1))).ready();
    scene
        .after(SECOND)
        .on(Event::Run(target("b", 2)))
        .exit()
        .crash_three_times();
    assert_eq!(scene.spawned(), Some(&target("a", 1)));
}

#[test]
fn what_the_agent_cannot_start_is_tried_on_where_there_is_nothing_better() {
    let mut scene = Scene::new(None);
    scene.on(Event::Run(target("b", 2)));
    for _ in 0..5 {
        scene.spawn_fails();
        assert_eq!(scene.machine.phase(), Phase::Backoff);
        scene.after(LONGEST_DELAY);
    }
    assert_eq!(scene.machine.refused, None);
    assert_eq!(scene.ready().machine.problem, None);
}

#[test]
fn what_the_agent_cannot_start_gives_way_to_the_good_one() {
    let mut scene = settled();
    scene.on(Event::Run(target("b", 2))).exit();
    for _ in 1..TRIAL_CRASHES {
        scene.spawn_fails().after(TRIAL_DELAY);
        assert_eq!(scene.spawned(), Some(&target("b", 2)));
    }
    scene.spawn_fails();
    assert_eq!(scene.spawned(), Some(&target("a", 1)));
    let refused = scene.machine.refused.as_ref().unwrap();
    assert_eq!(refused.reason, "cannot bind 127.0.0.1:8888, 3 times");
    // The good one has no better one behind it.
    for _ in 0..5 {
        scene.spawn_fails().after(LONGEST_DELAY);
    }
    assert_eq!(scene.ready().machine.settled, 2);
}

#[test]
fn a_number_keeps_its_meaning_over_a_stop_by_hand() {
    let with = |strategy| {
        let mut target = gated("c", 1);
        target.settings.strategy = strategy;
        target
    };
    let mut scene = Scene::new(None);
    scene.on(Event::Run(with(Strategy::Gated))).ready();
    scene.on(Event::Stop { seq: 1 }).exit();
    assert_eq!(scene.machine.good, Some(with(Strategy::Gated)));
    // Were it started and refused, the good one would be refused with it.
    scene.on(Event::Run(with(Strategy::Auto)));
    assert_eq!(scene.spawned(), None);
    scene.after(20 * SECOND);
    assert_eq!(scene.machine.refused, None);
    scene.on(Event::Run(with(Strategy::Gated)));
    assert_eq!(scene.spawned(), Some(&with(Strategy::Gated)));
}

#[test]
fn a_refused_build_is_not_tried_again_after_stops_by_hand() {
    let mut scene = Scene::new(None);
    scene.on(Event::Run(target("a", 1))).crash_three_times();
    // Another one's refusal would take the place of this one's.
    scene
        .on(Event::Stop { seq: 1 })
        .on(Event::Run(target("b", 1)));
    assert_eq!(scene.spawned(), None);
    scene
        .on(Event::Stop { seq: 1 })
        .on(Event::Run(target("a", 1)));
    assert_eq!(scene.spawned(), None);
    assert_eq!(
        scene.machine.refused.as_ref().unwrap().build.as_str(),
        "a".repeat(12)
    );
}
