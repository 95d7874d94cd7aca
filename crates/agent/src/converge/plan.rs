//! What to do next: decided from what is wanted, what is there and what was done.
//!
//! Pure: no file is looked at and nothing is asked. The loop in `converge` observes,
//! lets [`plan`] decide and does the steps.

use lockgate_model::{Refusal, Statement};

/// What the loop knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Observed<'a> {
    /// The newest accepted statement.
    pub(crate) wanted: Option<&'a Statement>,
    /// Whether its release is whole on disk.
    pub(crate) wanted_present: bool,
    /// The statement whose target passed its trial last.
    pub(crate) good: Option<&'a Statement>,
    /// Whether that one's release is whole on disk.
    pub(crate) good_present: bool,
    /// What was given up on last.
    pub(crate) refused: Option<&'a Refusal>,
    /// What the supervisor was told last.
    pub(crate) told: Option<Told>,
}

/// What the supervisor was told, by the statement's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// To run.
    Run(u64),
    /// To run nothing.
    Stop(u64),
}

/// Which statement a step is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// The newest one.
    Wanted,
    /// The last good one.
    Good,
}

/// Something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Tell the supervisor to run it.
    Run(Which),
    /// Bring its release here.
    Fetch(Which),
    /// Tell the supervisor to run nothing, by this number.
    Stop(u64),
}

/// The steps that bring the gateway to its statement, in order; none when there is
/// nothing left to do.
pub(crate) fn plan(observed: &Observed<'_>) -> Vec<Step> {
    let Some(wanted) = observed.wanted else {
        return Vec::new();
    };
    if !wanted.run {
        return if observed.told == Some(Told::Stop(wanted.seq)) {
            Vec::new()
        } else {
            vec![Step::Stop(wanted.seq)]
        };
    }
    let given_up = observed
        .refused
        .is_some_and(|refused| refused.build == wanted.build && refused.seq == wanted.seq);
    // The last good one is another statement's; a statement that is its own last
    // good one was ready once and is simply run.
    let good = observed.good.filter(|good| good.seq != wanted.seq);

    if given_up && observed.told == Some(Told::Run(wanted.seq)) {
        // The supervisor gave it up itself and rolled back itself, in vain where the
        // good release has been removed meanwhile.
        return match good {
            Some(_) if !observed.good_present => vec![Step::Fetch(Which::Good)],
            Some(_) | None => Vec::new(),
        };
    }
    if given_up && observed.told.is_none() {
        // Given up in an earlier run of the agent.
        return match good {
            None => Vec::new(),
            Some(_) if observed.good_present => vec![Step::Run(Which::Good)],
            Some(_) => vec![Step::Fetch(Which::Good)],
        };
    }
    if given_up || observed.told == Some(Told::Run(wanted.seq)) {
        return Vec::new();
    }
    if observed.wanted_present {
        return vec![Step::Run(Which::Wanted)];
    }
    // Rather the last good build than none while the wanted one is on its way.
    let meanwhile = observed.told.is_none() && good.is_some() && observed.good_present;
    let run_good = meanwhile.then_some(Step::Run(Which::Good));
    run_good
        .into_iter()
        .chain([Step::Fetch(Which::Wanted)])
        .collect()
}

/// What a statement from the server is to the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Newer than what was accepted: it counts from now on.
    New,
    /// The one that was accepted.
    Known,
    /// Older: a replay, or a server that was set back. Never followed.
    Older,
}

/// Compares a verified statement with the accepted one. The caller keeps only
/// statements of the environment's one key, so numbers can be compared.
pub(crate) fn judge(accepted: Option<&Statement>, offered: &Statement) -> Judgement {
    match accepted {
        Some(known) if known.key_id == offered.key_id && offered.seq < known.seq => {
            Judgement::Older
        }
        Some(known) if known.key_id == offered.key_id && offered.seq == known.seq => {
            Judgement::Known
        }
        Some(_) | None => Judgement::New,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::{AppSettings, BuildId, Digest, EnvName, GatewayName, KeyId};
    use proptest::prelude::*;

    fn build(n: u64) -> BuildId {
        BuildId::parse(&format!("{n:012x}")).unwrap()
    }

    fn statement(seq: u64) -> Statement {
        let env = EnvName::parse("dev-001").unwrap();
        Statement {
            gateway: GatewayName::new(&env, 0),
            env,
            build: build(seq),
            manifest: Digest::from_bytes([0; 32]),
            run: true,
            restart: 0,
            organization: None,
            vpn_allow: Vec::new(),
            settings: AppSettings::default(),
            previous: None,
            key_id: KeyId::parse("0123456789abcdef").unwrap(),
            seq,
            issued_at: 0,
        }
    }

    fn refusal(seq: u64) -> Refusal {
        Refusal {
            unavailable_ms: None,
            build: build(seq),
            seq,
            reason: String::new(),
            log: Vec::new(),
        }
    }

    /// `wanted` is statement 2, `good` statement 1.
    fn check(
        (wanted_present, good, good_present): (bool, bool, bool),
        refused: Option<u64>,
        told: Option<Told>,
        expected: &[Step],
    ) {
        let (wanted, good_statement) = (statement(2), statement(1));
        let refused = refused.map(refusal);
        let steps = plan(&Observed {
            wanted: Some(&wanted),
            wanted_present,
            good: good.then_some(&good_statement),
            good_present,
            refused: refused.as_ref(),
            told,
        });
        assert_eq!(
            steps, expected,
            "present {wanted_present}, good {good}/{good_present}, refused {refused:?}, told {told:?}"
        );
    }

    const RUN: Step = Step::Run(Which::Wanted);
    const FETCH: Step = Step::Fetch(Which::Wanted);
    const RUN_GOOD: Step = Step::Run(Which::Good);

    #[test]
    fn a_release_that_is_there_is_run_without_a_fetch() {
        check((true, false, false), None, None, &[RUN]);
        check((true, true, true), None, Some(Told::Run(1)), &[RUN]);
        check((true, true, true), None, Some(Told::Stop(1)), &[RUN]);
    }

    #[test]
    fn what_the_supervisor_was_told_is_not_told_again() {
        check((true, true, true), None, Some(Told::Run(2)), &[]);
        check((false, true, true), None, Some(Told::Run(2)), &[]);
    }

    #[test]
    fn a_missing_release_is_fetched_while_the_good_one_serves() {
        check((false, false, false), None, None, &[FETCH]);
        check((false, true, false), None, None, &[FETCH]);
        check((false, true, true), None, None, &[RUN_GOOD, FETCH]);
        check((false, true, true), None, Some(Told::Run(1)), &[FETCH]);
    }

    #[test]
    fn a_refused_build_is_not_tried_again() {
        check((true, true, true), Some(2), Some(Told::Run(2)), &[]);
        check((false, true, true), Some(2), Some(Told::Run(1)), &[]);
        check((true, true, true), Some(2), None, &[RUN_GOOD]);
        check(
            (true, true, false),
            Some(2),
            None,
            &[Step::Fetch(Which::Good)],
        );
        check((true, false, false), Some(2), None, &[]);
    }

    #[test]
    fn a_good_release_that_is_missing_after_a_rollback_is_fetched() {
        let told = Some(Told::Run(2));
        check(
            (true, true, false),
            Some(2),
            told,
            &[Step::Fetch(Which::Good)],
        );
        check((true, false, false), Some(2), told, &[]);
        check((true, true, false), None, told, &[]);
    }

    #[test]
    fn a_refusal_of_another_number_does_not_count() {
        check((true, true, true), Some(1), None, &[RUN]);
        check((true, true, true), Some(1), Some(Told::Run(1)), &[RUN]);
    }

    #[test]
    fn a_gateway_that_shall_not_run_is_stopped_once() {
        let mut wanted = statement(5);
        wanted.run = false;
        let mut observed = Observed {
            wanted: Some(&wanted),
            wanted_present: false,
            good: None,
            good_present: false,
            refused: None,
            told: None,
        };
        assert_eq!(plan(&observed), [Step::Stop(5)]);
        observed.told = Some(Told::Stop(5));
        assert_eq!(plan(&observed), []);
        observed.wanted = None;
        assert_eq!(plan(&observed), []);
    }

    #[test]
    fn only_higher_numbers_of_the_same_key_are_new() {
        let known = statement(7);
        for (seq, expected) in [
            (8, Judgement::New),
            (7, Judgement::Known),
            (6, Judgement::Older),
        ] {
            assert_eq!(judge(Some(&known), &statement(seq)), expected, "{seq}");
        }
        assert_eq!(judge(None, &statement(1)), Judgement::New);
        let mut other_key = statement(1);
        other_key.key_id = KeyId::parse("fedcba9876543210").unwrap();
        assert_eq!(judge(Some(&known), &other_key), Judgement::New);
    }

    fn told() -> impl Strategy<Value = Option<Told>> {
        prop_oneof![
            Just(None),
            (1_u64..4).prop_map(|seq| Some(Told::Run(seq))),
            (1_u64..4).prop_map(|seq| Some(Told::Stop(seq))),
        ]
    }

    proptest! {
        #[test]
        fn doing_the_steps_leaves_nothing_to_do(
            wanted_present: bool, good_present: bool, good: bool,
            refused in proptest::option::of(1_u64..4), told in told(), run: bool,
        ) {
            let (mut wanted, good_statement) = (statement(3), statement(2));
            wanted.run = run;
            let refused = refused.map(refusal);
            let mut observed = Observed {
                wanted: Some(&wanted), wanted_present,
                good: good.then_some(&good_statement), good_present,
                refused: refused.as_ref(), told,
            };
            let mut rounds = 0;
            loop {
                let steps = plan(&observed);
                if steps.is_empty() { break; }
                rounds += 1;
                prop_assert!(rounds < 4, "{observed:?}");
                for step in steps {
                    match step {
                        Step::Run(Which::Wanted) => {
                            prop_assert!(observed.wanted_present && wanted.run);
                            prop_assert!(refused.as_ref().is_none_or(|r| r.seq != wanted.seq));
                            observed.told = Some(Told::Run(3));
                        }
                        Step::Run(Which::Good) => {
                            prop_assert!(observed.good_present && good && wanted.run);
                            observed.told = Some(Told::Run(2));
                        }
                        Step::Fetch(Which::Wanted) => observed.wanted_present = true,
                        Step::Fetch(Which::Good) => observed.good_present = true,
                        Step::Stop(seq) => observed.told = Some(Told::Stop(seq)),
                    }
                }
            }
        }
    }
}
