use proptest::prelude::*;

use super::*;

const DIGEST: &str = "new";
const SERVERS: &str = "http://172.17.0.1:8090\n";
const STATES: [State; 7] = [
    State::Created,
    State::Running,
    State::Restarting,
    State::Paused,
    State::Exited,
    State::Dead,
    State::Removing,
];

fn gateway(number: u32) -> GatewayName {
    GatewayName::new(&EnvName::parse("dev").unwrap(), number)
}

fn files() -> Files {
    Files {
        servers: SERVERS.into(),
        authority: None,
    }
}

fn trusting() -> Files {
    Files {
        authority: Some("pem".into()),
        ..files()
    }
}

fn running() -> Want {
    Want::Running {
        digest: DIGEST.into(),
        files: files(),
    }
}

fn ours(state: State) -> Seen {
    Seen {
        id: "id".into(),
        name: gateway(0).to_string(),
        ours: Some(gateway(0)),
        digest: Some(DIGEST.into()),
        files: Some(files()),
        state,
        misconfigured: false,
    }
}

/// The step for the one gateway, where there is one container.
fn planned(want: Option<Want>, again: bool, seen: Seen) -> Option<Step> {
    let wanted = want.map(|want| (gateway(0), want)).into_iter().collect();
    let again = again.then(|| gateway(0)).into_iter().collect();
    let known = [gateway(0).env()].into();
    let mut steps = plan(&wanted, &known, &again, &[seen]);
    assert!(steps.len() <= 1, "{steps:?}");
    steps.pop()
}

/// One row of the table: a word for each state, in the order of `STATES`.
#[expect(clippy::needless_pass_by_value, reason = "rows read better so")]
fn row(want: Option<Want>, change: fn(&mut Seen), again: bool, expected: [&str; 7]) {
    for (state, expected) in STATES.into_iter().zip(expected) {
        let mut seen = ours(state);
        change(&mut seen);
        let word = match planned(want.clone(), again, seen) {
            None => "-",
            Some(Step::Create(_)) => "create",
            Some(Step::Recreate(..)) => "recreate",
            Some(Step::Start(..)) => "start",
            Some(Step::Tell(..)) => "tell",
            Some(Step::Stop(..)) => "stop",
            Some(Step::GiveUp(..)) => "give up",
            Some(Step::Remove(..)) => "remove",
        };
        assert_eq!(word, expected, "{want:?} {state:?} again: {again}");
    }
}

#[test]
fn the_table_of_what_is_wanted_and_what_is() {
    let running = || Some(running());
    let as_it_is: fn(&mut Seen) = |_| {};
    let other_spec: fn(&mut Seen) = |seen| seen.digest = Some("old".into());
    let other_servers: fn(&mut Seen) = |seen| seen.files = Some(Files::default());
    let other_authority: fn(&mut Seen) = |seen| seen.files = Some(trusting());
    let nobody_knows: fn(&mut Seen) = |seen| seen.files = None;
    let ended_with_78: fn(&mut Seen) = |seen| seen.misconfigured = true;
    let somebody_elses: fn(&mut Seen) = |seen| seen.ours = None;
    let none = ["-"; 7];
    // Created, running, restarting, paused, exited, dead, removing.
    row(
        running(),
        as_it_is,
        false,
        ["recreate", "-", "-", "-", "start", "recreate", "-"],
    );
    row(
        running(),
        other_spec,
        false,
        [
            "recreate", "recreate", "recreate", "recreate", "recreate", "recreate", "-",
        ],
    );
    for change in [other_servers, other_authority, nobody_knows] {
        row(
            running(),
            change,
            false,
            ["recreate", "tell", "-", "-", "start", "recreate", "-"],
        );
    }
    row(
        running(),
        ended_with_78,
        false,
        ["recreate", "give up", "give up", "-", "-", "recreate", "-"],
    );
    row(
        running(),
        ended_with_78,
        true,
        ["recreate", "-", "-", "-", "start", "recreate", "-"],
    );
    row(
        Some(Want::Stopped),
        as_it_is,
        false,
        ["-", "stop", "stop", "stop", "-", "-", "-"],
    );
    row(
        None,
        as_it_is,
        false,
        [
            "remove", "remove", "remove", "remove", "remove", "remove", "-",
        ],
    );
    row(Some(Want::Unclear), other_spec, false, none);
    for want in [running(), Some(Want::Stopped), None] {
        row(want, somebody_elses, true, none);
    }
}

#[test]
fn what_is_missing_is_created_only_where_it_should_run() {
    let none = BTreeSet::new();
    let steps = |want| {
        let wanted = [(gateway(0), want)].into();
        plan(&wanted, &[gateway(0).env()].into(), &none, &[])
    };
    assert_eq!(steps(running()), [Step::Create(gateway(0))]);
    assert_eq!(steps(Want::Stopped), []);
    assert_eq!(steps(Want::Unclear), []);
}

#[test]
fn containers_of_environments_nobody_asked_about_stay() {
    let steps = plan(
        &Wanted::new(),
        &BTreeSet::new(),
        &BTreeSet::new(),
        &[ours(State::Running)],
    );
    assert_eq!(steps, []);
}

#[test]
fn a_container_of_ours_under_another_name_is_removed_and_its_gateway_made() {
    let renamed = Seen {
        name: "aside".into(),
        ..ours(State::Running)
    };
    let wanted = [(gateway(0), running())].into();
    let steps = plan(
        &wanted,
        &[gateway(0).env()].into(),
        &BTreeSet::new(),
        &[renamed],
    );
    assert_eq!(
        steps,
        [
            Step::Remove(gateway(0), "id".into()),
            Step::Create(gateway(0))
        ]
    );
}

#[test]
fn a_foreign_container_is_named() {
    let other = Seen {
        ours: None,
        ..ours(State::Running)
    };
    let wanted = [(gateway(0), running()), (gateway(1), Want::Stopped)].into();
    let seen = [other];
    let found: Vec<_> = foreign(&wanted, &seen)
        .map(|(gateway, seen)| (gateway.number(), seen.id.as_str()))
        .collect();
    assert_eq!(found, [(0, "id")]);
}

/// What an engine makes of a step.
fn act(step: &Step, seen: &mut Vec<Seen>, next_id: &mut u32) {
    let mut create = |seen: &mut Vec<Seen>, gateway: &GatewayName| {
        assert!(
            seen.iter().all(|one| one.name != gateway.as_str()),
            "the name {gateway} is taken"
        );
        *next_id += 1;
        seen.push(Seen {
            id: format!("new-{next_id}"),
            name: gateway.to_string(),
            ours: Some(gateway.clone()),
            digest: Some(DIGEST.into()),
            files: None,
            state: State::Running,
            misconfigured: false,
        });
    };
    let set = |seen: &mut Vec<Seen>, id: &str, state| {
        for one in seen.iter_mut().filter(|one| one.id == id) {
            one.state = state;
        }
    };
    match step {
        Step::Create(gateway) => create(seen, gateway),
        Step::Recreate(gateway, id) => {
            seen.retain(|one| one.id != *id);
            create(seen, gateway);
        }
        Step::Start(_, id) => set(seen, id, State::Running),
        Step::Tell(_, id) => {
            for one in seen.iter_mut().filter(|one| one.id == *id) {
                one.files = Some(files());
            }
        }
        Step::Stop(_, id) | Step::GiveUp(_, id) => set(seen, id, State::Exited),
        Step::Remove(_, id) => seen.retain(|one| one.id != *id),
    }
}

prop_compose! {
    fn any_container()(
        slot in 0u32..4,
        named in 0u32..4,
        is_ours in any::<bool>(),
        same in any::<bool>(),
        told in any::<bool>(),
        state in 0usize..6,
        misconfigured in any::<bool>(),
    ) -> Seen {
        Seen {
            id: String::new(),
            name: gateway(named).to_string(),
            ours: is_ours.then(|| gateway(slot)),
            digest: Some(if same { DIGEST } else { "old" }.into()),
            files: told.then(files),
            state: STATES[state],
            misconfigured,
        }
    }
}

proptest! {
    #[test]
    fn steps_lead_to_what_is_wanted_and_touch_nothing_else(
        containers in proptest::collection::vec(any_container(), 0..5),
        wants in proptest::collection::vec(0u8..3, 4),
        done_each_time in 1usize..4,
    ) {
        let mut names = BTreeSet::new();
        let mut seen: Vec<Seen> = containers
            .into_iter()
            .filter(|one| names.insert(one.name.clone()))
            .enumerate()
            .map(|(at, one)| Seen { id: format!("old-{at}"), ..one })
            .collect();
        let others: Vec<Seen> = seen.iter().filter(|one| one.ours.is_none()).cloned().collect();
        let wanted: Wanted = (0..)
            .zip(&wants)
            .filter_map(|(number, want)| {
                let want = match want {
                    0 => return None,
                    1 => Want::Stopped,
                    _ => running(),
                };
                Some((gateway(number), want))
            })
            .collect();
        let known = [gateway(0).env()].into();
        let (mut next_id, mut rounds) = (0, 0);
        loop {
            let mut steps = plan(&wanted, &known, &BTreeSet::new(), &seen);
            if steps.is_empty() {
                break;
            }
            // One step a gateway at a time, and not all of them: what is planned again is the same.
            let mut busy = BTreeSet::new();
            steps.retain(|step| busy.insert(step.gateway().clone()));
            for step in steps.iter().take(done_each_time) {
                if let Step::Create(gateway) = step
                    && seen.iter().any(|one| one.name == gateway.as_str())
                {
                    continue;
                }
                act(step, &mut seen, &mut next_id);
            }
            rounds += 1;
            prop_assert!(rounds < 40, "it goes on and on: {steps:?}");
        }
        for other in &others {
            prop_assert!(seen.contains(other), "{other:?} was touched");
        }
        for one in seen.iter().filter(|one| one.ours.is_some()) {
            let gateway = one.ours.as_ref().unwrap();
            prop_assert!(wanted.contains_key(gateway) && one.name == gateway.as_str(), "{one:?} is left");
        }
        for (gateway, want) in &wanted {
            let found = seen.iter().find(|one| one.name == gateway.as_str());
            match (want, found) {
                (Want::Running { .. }, Some(found)) if found.ours.is_some() => {
                    prop_assert_eq!(found.digest.as_deref(), Some(DIGEST));
                    let told = found.files == Some(files());
                    prop_assert!(told || found.state != State::Running, "{found:?}");
                    let ran_or_cannot = found.state == State::Running
                        || found.state == State::Paused
                        || found.state == State::Restarting
                        || (found.misconfigured && found.state == State::Exited);
                    prop_assert!(ran_or_cannot, "{found:?}");
                }
                (Want::Running { .. }, found) => prop_assert!(found.is_some(), "{gateway} is missing"),
                (_, Some(found)) if found.ours.is_some() => {
                    prop_assert!(
                        !matches!(found.state, State::Running | State::Restarting | State::Paused),
                        "{found:?} runs"
                    );
                }
                _ => {}
            }
        }
    }
}
