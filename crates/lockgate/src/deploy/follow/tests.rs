use super::*;
use lockgate_model::{Change, Refusal, Running};

const SEQ: u64 = 100;

fn build(digit: char) -> BuildId {
    BuildId::parse(&digit.to_string().repeat(12)).unwrap()
}

fn gateway(number: u32) -> GatewayName {
    GatewayName::parse(&format!("gw-pool-dev-{number}")).unwrap()
}

fn report(seq: u64, settled: u64, phase: Phase, running: Option<(char, u32)>) -> Report {
    Report {
        seq,
        settled,
        phase,
        running: running.map(|(digit, pid)| Running {
            build: build(digit),
            pid,
            since: 0,
        }),
        ..Report::of_new_agent(gateway(0), "0", 1)
    }
}

/// Ready with this statement, and the build may yet be refused.
fn on_trial(running: (char, u32)) -> Report {
    Report {
        on_trial: true,
        ..report(SEQ, SEQ, Phase::Ready, Some(running))
    }
}

fn refused(seq: u64, report: Report) -> Report {
    let refusal = Refusal {
        unavailable_ms: Some(40),
        build: build('b'),
        seq,
        reason: "it threw".to_owned(),
        log: vec!["x".to_owned()],
    };
    Report {
        refused: Some(refusal),
        ..report
    }
}

fn kept(runs: Option<char>) -> Verdict {
    let runs = runs.map(build);
    Verdict::Kept {
        settings_only: runs == Some(build('b')),
        runs,
        reason: "it threw".to_owned(),
        unavailable_ms: Some(40),
        log: vec!["x".to_owned()],
    }
}

/// The gateways with these numbers, each with its report.
fn view(reports: &[(u32, Option<Report>)]) -> GatewaysView {
    let one = |(number, report): &(u32, Option<Report>)| GatewayView {
        name: gateway(*number),
        http_port: 7100,
        vpn_port: 49100,
        enabled: true,
        agent_pid: Some(1),
        agent_problem: None,
        agent_stuck: false,
        container: None,
        reach: crate::runtime::Reach::default(),
        last_contact: None,
        report: report.clone(),
    };
    GatewaysView {
        services: Vec::new(),
        version: 1,
        gateways: reports.iter().map(one).collect(),
    }
}

fn published(number: u32, run: bool) -> Published {
    let said = Said {
        gateway: gateway(number),
        build: build('b'),
        changed: true,
        again: false,
        run,
    };
    Published {
        seq: SEQ,
        gateways: vec![said],
        renewed: Vec::new(),
    }
}

/// One gateway, told to run `b`, waited for so far.
fn told(until: Until, before: Option<Report>) -> Follow {
    let mut follow = Follow::new(SEQ);
    let before = view(&[(0, before)]);
    follow.told(&published(0, true), until, &before, Duration::ZERO);
    follow
}

/// What became of the only gateway.
fn only(follow: Follow, ended: Ended) -> GatewayOutcome {
    let outcomes = follow.outcomes(ended, Duration::from_secs(9));
    outcomes.into_iter().next().unwrap()
}

fn verdict(run: bool, before: Option<Report>, now: Option<Report>) -> Option<Verdict> {
    let mut follow = Follow::new(SEQ);
    let before = view(&[(0, before)]);
    follow.told(&published(0, run), Until::Good, &before, Duration::ZERO);
    follow.see(&view(&[(0, now)]), Duration::ZERO);
    let done = follow.is_done();
    let verdict = only(follow, Ended::TimeUp).verdict;
    let open = matches!(verdict, Verdict::NotDone { .. } | Verdict::OnTrial);
    assert_eq!(done, !open);
    done.then_some(verdict)
}

#[test]
fn a_gateway_is_done_when_the_build_answers_and_is_good() {
    let old = || Some(report(50, 50, Phase::Ready, Some(('a', 7))));
    for (now, expected) in [
        (None, None),
        (old(), None),
        (Some(report(SEQ, 50, Phase::Fetching, Some(('a', 7)))), None),
        (Some(report(SEQ, 50, Phase::Booting, Some(('a', 7)))), None),
        (Some(report(SEQ, 50, Phase::Starting, Some(('b', 8)))), None),
        (Some(report(SEQ, SEQ, Phase::Backoff, None)), None),
        (Some(on_trial(('b', 8))), None),
        (
            Some(report(SEQ, SEQ, Phase::Ready, Some(('b', 8)))),
            Some(Verdict::Runs),
        ),
        (
            Some(report(SEQ + 1, SEQ + 1, Phase::Ready, Some(('b', 8)))),
            Some(Verdict::Runs),
        ),
    ] {
        assert_eq!(verdict(true, old(), now.clone()), expected, "{now:?}");
    }
}

#[test]
fn a_process_that_was_left_alone_already_ran_the_build() {
    let before = Some(report(50, 50, Phase::Ready, Some(('b', 7))));
    let same = Some(report(SEQ, SEQ, Phase::Ready, Some(('b', 7))));
    let other = Some(report(SEQ, SEQ, Phase::Ready, Some(('b', 8))));
    assert_eq!(
        verdict(true, before.clone(), same),
        Some(Verdict::AlreadyRan)
    );
    assert_eq!(verdict(true, before, other), Some(Verdict::Runs));
}

#[test]
fn a_refused_build_is_told_when_the_old_one_is_back() {
    for (phase, running) in [
        (Phase::Starting, None),
        (Phase::Starting, Some(('a', 9))),
        (Phase::Stopping, Some(('b', 8))),
        (Phase::Waiting, Some(('b', 8))),
    ] {
        let not_yet = refused(SEQ, report(SEQ, SEQ, phase, running));
        assert_eq!(verdict(true, None, Some(not_yet)), None, "{phase:?}");
    }
    let ready = |digit| {
        Some(refused(
            SEQ,
            report(SEQ, SEQ, Phase::Ready, Some((digit, 9))),
        ))
    };
    assert_eq!(verdict(true, None, ready('a')), Some(kept(Some('a'))));
    // Only its settings were given up.
    assert_eq!(verdict(true, None, ready('b')), Some(kept(Some('b'))));
    let nothing = refused(SEQ, report(SEQ, SEQ, Phase::Stopped, None));
    assert_eq!(verdict(true, None, Some(nothing)), Some(kept(None)));
}

#[test]
fn an_older_refusal_says_nothing_about_this_statement() {
    let tried_again = refused(50, report(SEQ, 50, Phase::Starting, Some(('b', 9))));
    assert_eq!(verdict(true, None, Some(tried_again)), None);
}

#[test]
fn a_stopped_gateway_is_not_waited_for() {
    assert_eq!(verdict(false, None, None), Some(Verdict::Stopped));
}

#[test]
fn ready_is_told_with_its_time_and_good_when_the_trial_is_passed() {
    let mut follow = told(Until::Good, None);
    let mut see = |report: Report, secs| -> Vec<GatewayProgress> {
        let events = follow.see(&view(&[(0, Some(report))]), Duration::from_secs(secs));
        let progress = |event| match event {
            Event::Gateway(progress) => progress,
            other => panic!("{other:?}"),
        };
        events.into_iter().map(progress).collect()
    };
    let ready = see(on_trial(('b', 8)), 2).pop().unwrap();
    assert_eq!((ready.ready_ms, ready.on_trial), (Some(2_000), true));
    assert_eq!(ready.verdict, None);
    assert_eq!(see(on_trial(('b', 8)), 20), []);
    let good = report(SEQ, SEQ, Phase::Ready, Some(('b', 8)));
    let good = see(good, 32).pop().unwrap();
    assert_eq!((good.ready_ms, good.on_trial), (Some(2_000), false));
    assert_eq!(good.verdict, Some(Verdict::Runs));
    let outcome = only(follow, Ended::Reached);
    assert_eq!((outcome.ready_ms, outcome.good), (Some(2_000), true));
    assert_eq!(outcome.took_ms, 32_000);
}

#[test]
fn a_build_that_crashes_on_trial_is_waited_for_until_it_is_refused() {
    let mut follow = told(Until::Good, None);
    let mut see = |report: Report| {
        follow.see(&view(&[(0, Some(report))]), Duration::from_secs(2));
        (follow.is_ready(), follow.is_done(), follow.has_failed())
    };
    assert_eq!(see(on_trial(('b', 8))), (true, false, false));
    let crashed = Report {
        on_trial: true,
        ..report(SEQ, SEQ, Phase::Backoff, None)
    };
    assert_eq!(see(crashed), (false, false, false));
    let back = refused(SEQ, report(SEQ, SEQ, Phase::Ready, Some(('a', 9))));
    assert_eq!(see(back), (true, true, true));
    let outcome = only(follow, Ended::Reached);
    assert_eq!(outcome.verdict, kept(Some('a')));
    assert_eq!((outcome.good, outcome.ready_ms), (false, Some(2_000)));
}

#[test]
fn who_waits_for_ready_alone_still_sees_a_later_refusal() {
    let mut follow = told(Until::Ready, None);
    follow.see(&view(&[(0, Some(on_trial(('b', 8))))]), Duration::ZERO);
    assert!(follow.is_done() && !follow.has_failed());
    let back = refused(SEQ, report(SEQ, SEQ, Phase::Ready, Some(('a', 9))));
    follow.see(&view(&[(0, Some(back))]), Duration::ZERO);
    assert!(follow.is_done() && follow.has_failed());
}

#[test]
fn a_restart_of_a_good_build_is_done_when_it_is_ready() {
    let restarted = |before: Report, again| {
        let mut published = published(0, true);
        published.gateways[0].again = again;
        let mut follow = Follow::new(SEQ);
        let before = view(&[(0, Some(before))]);
        follow.told(&published, Until::Good, &before, Duration::ZERO);
        follow.see(&view(&[(0, Some(on_trial(('b', 8))))]), Duration::ZERO);
        follow.is_done()
    };
    let good = |running| report(50, 50, Phase::Ready, Some(running));
    assert!(restarted(good(('b', 7)), true));
    // Other settings, another build, or one that was on trial itself.
    assert!(!restarted(good(('b', 7)), false));
    assert!(!restarted(good(('a', 7)), true));
    assert!(!restarted(on_trial(('b', 7)), true));
}

#[test]
fn what_a_refused_build_cost_is_told_where_it_had_taken_over() {
    let cost = || Change {
        gated: true,
        cut: 2,
        websockets: 1,
        ..Change::default()
    };
    // Refused beside the old process, after its gate, with nothing to go back to.
    for (unavailable_ms, expected) in [
        (Some(0), None),
        (Some(40), Some(cost())),
        (None, Some(cost())),
    ] {
        let old = report(50, 50, Phase::Ready, Some(('a', 7)));
        let mut follow = told(Until::Good, Some(old));
        let mut now = refused(SEQ, report(SEQ, SEQ, Phase::Ready, Some(('a', 9))));
        now.change = Some(cost());
        if let Some(refused) = &mut now.refused {
            refused.unavailable_ms = unavailable_ms;
        }
        follow.see(&view(&[(0, Some(now))]), Duration::ZERO);
        assert_eq!(
            only(follow, Ended::Reached).change,
            expected,
            "{unavailable_ms:?}"
        );
    }
}

#[test]
fn a_good_build_is_not_looked_at_again() {
    let mut follow = told(Until::Ready, None);
    let good = report(SEQ, SEQ, Phase::Ready, Some(('b', 8)));
    follow.see(&view(&[(0, Some(good))]), Duration::ZERO);
    let crashed = report(SEQ, SEQ, Phase::Backoff, None);
    assert!(
        follow
            .see(&view(&[(0, Some(crashed))]), Duration::ZERO)
            .is_empty()
    );
    assert!(only(follow, Ended::Reached).good);
}

#[test]
fn what_is_on_trial_when_nobody_waits_any_longer_depends_on_why() {
    for (ended, expected) in [
        (Ended::TimeUp, Verdict::OnTrial),
        (Ended::Interrupted, Verdict::Runs),
    ] {
        let mut follow = told(Until::Good, None);
        follow.see(&view(&[(0, Some(on_trial(('b', 8))))]), Duration::ZERO);
        let outcome = only(follow, ended);
        assert_eq!((outcome.verdict, outcome.good), (expected, false));
    }
    let mut follow = told(Until::Good, None);
    let starting = report(SEQ, 50, Phase::Starting, Some(('b', 8)));
    follow.see(&view(&[(0, Some(starting))]), Duration::ZERO);
    let verdict = only(follow, Ended::Interrupted).verdict;
    assert!(matches!(verdict, Verdict::NotDone { .. }), "{verdict:?}");
}

#[test]
fn a_gateway_that_is_told_later_has_a_time_of_its_own() {
    let mut follow = Follow::new(SEQ);
    let before = view(&[(0, None), (1, None)]);
    follow.told(&published(0, true), Until::Good, &before, Duration::ZERO);
    let good = |number| {
        let good = report(SEQ, SEQ, Phase::Ready, Some(('b', 8)));
        (number, Some(good))
    };
    follow.see(&view(&[good(0), (1, None)]), Duration::from_secs(2));
    assert!(follow.is_done());
    let second = Duration::from_secs(2);
    follow.told(&published(1, true), Until::Good, &before, second);
    assert!(!follow.is_done());
    follow.see(&view(&[good(0), good(1)]), Duration::from_secs(5));
    let outcomes = follow.outcomes(Ended::Reached, Duration::from_secs(5));
    let times: Vec<_> = outcomes.iter().map(|one| one.ready_ms).collect();
    assert_eq!(times, [Some(2_000), Some(3_000)]);
}

/// One gateway whose agent does not run, and the same that somebody has to mend.
fn without_agent(agent_stuck: bool) -> GatewaysView {
    let mut view = view(&[(0, None)]);
    for gateway in &mut view.gateways {
        gateway.agent_pid = None;
        gateway.agent_problem = Some("no image".to_owned());
        gateway.agent_stuck = agent_stuck;
    }
    view
}

#[test]
fn a_gateway_that_cannot_start_is_given_up_once_that_has_lasted() {
    let mut follow = told(Until::Good, None);
    let mut see = |stuck, ms| {
        follow.see(&without_agent(stuck), Duration::from_millis(ms));
        (follow.is_done(), follow.due())
    };
    let due = |ms| Some(Duration::from_millis(ms));
    // An agent that is starting again is waited for.
    assert_eq!(see(false, 0), (false, None));
    assert_eq!(see(true, 500), (false, due(2_500)));
    assert_eq!(see(false, 2_400), (false, None));
    assert_eq!(see(true, 2_450), (false, due(4_450)));
    assert_eq!(see(true, 4_449), (false, due(4_450)));
    assert_eq!(see(true, 4_450), (true, None));
    assert!(follow.is_ready() && follow.has_failed());
    let outcome = only(follow, Ended::Reached);
    let expected = Verdict::NotDone {
        phase: None,
        problem: Some("no image".to_owned()),
        stuck: true,
    };
    assert_eq!((outcome.verdict, outcome.took_ms), (expected, 4_450));
}

#[test]
fn what_is_mended_while_others_are_waited_for_is_followed_again() {
    let mut follow = told(Until::Ready, None);
    for secs in [0, 3] {
        follow.see(&without_agent(true), Duration::from_secs(secs));
    }
    assert!(follow.is_done());
    let starting = report(SEQ, 50, Phase::Starting, Some(('b', 8)));
    follow.see(&view(&[(0, Some(starting))]), Duration::from_secs(4));
    assert!(!follow.is_done());
    let ready = report(SEQ, SEQ, Phase::Ready, Some(('b', 8)));
    follow.see(&view(&[(0, Some(ready))]), Duration::from_secs(5));
    assert_eq!(only(follow, Ended::Reached).verdict, Verdict::Runs);
}
