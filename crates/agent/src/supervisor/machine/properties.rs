//! Any sequence of events keeps the promises.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use lockgate_model::{ActKind, Running, Strategy};
use proptest::prelude::{Strategy as Strategize, *};

use super::super::view::{Facts, snapshot};
use super::tests::{Scene, gated};
use super::*;

/// What may happen next, before it is known which processes there are.
#[derive(Debug, Clone)]
enum Happening {
    Run {
        build: u8,
        newer: u64,
        counter: u64,
        strategy: Strategy,
    },
    Stop {
        newer: u64,
    },
    Restart,
    Hurry,
    Shutdown,
    /// The agent ends at once and is started again; its processes end with it.
    AgentRestarts,
    SpawnFailed,
    NotReady,
    Missed,
    Answered,
    AtGate {
        disturbs: bool,
    },
    NoRoom,
    Drained,
    HeldExited {
        killed: bool,
    },
    Ready {
        stale: bool,
    },
    Exited {
        stale: bool,
    },
    Time {
        millis: u64,
    },
    Deadline,
}

fn strategy() -> impl Strategize<Value = Strategy> {
    prop_oneof![
        2 => Just(Strategy::Auto),
        1 => Just(Strategy::Gated),
        1 => Just(Strategy::Cold),
    ]
}

fn happening() -> impl Strategize<Value = Happening> {
    prop_oneof![
        4 => (0..3u8, 0..3u64, 0..2u64, strategy()).prop_map(|(build, newer, counter, strategy)| Happening::Run { build, newer, counter, strategy }),
        6 => prop::bool::weighted(0.2).prop_map(|disturbs| Happening::AtGate { disturbs }),
        1 => Just(Happening::NoRoom),
        4 => Just(Happening::Drained),
        2 => any::<bool>().prop_map(|killed| Happening::HeldExited { killed }),
        1 => (0..3u64).prop_map(|newer| Happening::Stop { newer }),
        1 => Just(Happening::Restart),
        1 => Just(Happening::Hurry),
        1 => Just(Happening::AgentRestarts),
        1 => Just(Happening::SpawnFailed),
        1 => Just(Happening::NotReady),
        3 => Just(Happening::Missed),
        1 => Just(Happening::Answered),
        4 => prop::bool::weighted(0.1).prop_map(|stale| Happening::Ready { stale }),
        6 => prop::bool::weighted(0.1).prop_map(|stale| Happening::Exited { stale }),
        2 => (0..40_000u64).prop_map(|millis| Happening::Time { millis }),
        6 => Just(Happening::Deadline),
    ]
}

/// A process in the world beside the machine.
#[derive(Debug)]
struct Life {
    build: BuildId,
    past_gate: bool,
}

/// The world beside the machine: which processes live, what was refused.
struct World {
    scene: Scene,
    seq: u64,
    alive: BTreeMap<Start, Life>,
    refused: HashSet<(BuildId, u64)>,
    root: Option<BuildId>,
}

impl World {
    fn new() -> Self {
        Self {
            scene: Scene::new(None),
            seq: 1,
            alive: BTreeMap::new(),
            refused: HashSet::new(),
            root: None,
        }
    }

    fn past_gate(&self) -> Option<Start> {
        self.find(|life| life.past_gate)
    }

    fn before_gate(&self) -> Option<Start> {
        self.find(|life| !life.past_gate)
    }

    fn find(&self, is_it: impl Fn(&Life) -> bool) -> Option<Start> {
        let found = self.alive.iter().find(|(_, life)| is_it(life));
        found.map(|(start, _)| *start)
    }

    fn happen(&mut self, happening: &Happening) -> Result<(), TestCaseError> {
        match self.event(happening) {
            Some(event) => self.play(&event),
            None => Ok(()),
        }
    }

    /// A new agent that remembers what it was given to keep, and learns again what is
    /// asked.
    fn agent_restarts(&mut self) -> Option<Event> {
        let before = self.scene.machine.clone();
        let again = match before.wish {
            // A stop by hand is not remembered: the statement still asks for a target.
            Wish::Run(target)
            | Wish::Nothing {
                stopped: Some(target),
                ..
            } => Some(Event::Run(target)),
            Wish::Nothing { seq, stopped: None } => Some(Event::Stop { seq }),
            Wish::Unknown => None,
            Wish::End => return None,
        };
        self.alive.clear();
        self.scene.machine = Machine::new(before.good, before.refused, None);
        again
    }

    /// The builds whose releases stay.
    fn builds(&self) -> BTreeSet<BuildId> {
        let running = self.scene.machine.process().map(|(_, build)| Running {
            build: build.clone(),
            pid: 1,
            since: 0,
        });
        let facts = Facts::default();
        let snapshot = snapshot(&self.scene.machine, running, &facts);
        snapshot.builds().cloned().collect()
    }

    /// What is asked, of a machine that may be a new one.
    fn asked(&mut self, happening: &Happening) -> Option<Event> {
        match happening {
            Happening::Run {
                build,
                newer,
                counter,
                strategy,
            } => {
                self.seq += newer;
                let mut target = gated(["a", "b", "c"][usize::from(*build)], self.seq);
                target.restart = *counter;
                target.settings.strategy = *strategy;
                Some(Event::Run(target))
            }
            Happening::Stop { newer } => {
                self.seq += newer;
                Some(Event::Stop { seq: self.seq })
            }
            Happening::Restart => Some(Event::Restart),
            Happening::Hurry => Some(Event::Hurry),
            Happening::Shutdown => Some(Event::Shutdown),
            Happening::AgentRestarts => self.agent_restarts(),
            _ => None,
        }
    }

    fn event(&mut self, happening: &Happening) -> Option<Event> {
        let machine = &self.scene.machine;
        let process = machine.process().map(|(start, _)| start);
        let held = machine.held().map(|(start, _)| start);
        // These come of the action itself, before anything else happens.
        let boots = matches!(machine.phase(), Phase::Starting | Phase::Booting);
        let stale_or = |stale: bool, start| if stale { Some(Start(0)) } else { start };
        let none = String::new;
        match happening {
            Happening::Run { .. }
            | Happening::Stop { .. }
            | Happening::Restart
            | Happening::Hurry
            | Happening::Shutdown
            | Happening::AgentRestarts => self.asked(happening),
            Happening::SpawnFailed => {
                self.before_gate()
                    .filter(|_| boots)
                    .map(|start| Event::SpawnFailed {
                        start,
                        reason: none(),
                    })
            }
            Happening::NotReady => process.map(|start| Event::NotReady {
                start,
                reason: none(),
            }),
            Happening::Missed => process.map(|start| Event::Missed {
                start,
                reason: none(),
            }),
            Happening::Answered => process.map(|start| Event::Answered { start }),
            Happening::AtGate { disturbs } => self.before_gate().map(|start| Event::AtGate {
                start,
                seen: Vec::from_iter(disturbs.then(|| Act {
                    kind: ActKind::Read,
                    what: "/data/counter".to_owned(),
                })),
            }),
            Happening::NoRoom => held.filter(|_| boots).map(|start| Event::NoRoom {
                start,
                reason: none(),
            }),
            Happening::Drained => process.map(|start| Event::Drained { start }),
            Happening::HeldExited { killed } => held.map(|start| Event::Exited {
                start,
                how: none(),
                killed: *killed,
            }),
            Happening::Ready { stale } => {
                stale_or(*stale, self.past_gate()).map(|start| Event::Ready { start })
            }
            Happening::Exited { stale } => stale_or(*stale, process).map(|start| Event::Exited {
                start,
                how: "exited".to_owned(),
                killed: false,
            }),
            Happening::Time { millis } => {
                self.scene.now += Duration::from_millis(*millis);
                Some(Event::Tick)
            }
            Happening::Deadline => {
                if let Some(at) = self.scene.machine.deadline() {
                    self.scene.now = self.scene.now.max(at);
                }
                Some(Event::Tick)
            }
        }
    }

    fn play(&mut self, event: &Event) -> Result<(), TestCaseError> {
        let before = self.scene.machine.clone();
        if let Event::Exited { start, .. }
        | Event::SpawnFailed { start, .. }
        | Event::NoRoom { start, .. } = event
        {
            self.alive.remove(start);
        }
        let kept = self.builds();
        self.scene.on(event.clone());
        if let Some(refusal) = &self.scene.machine.refused {
            self.refused.insert((refusal.build.clone(), refusal.seq));
        }
        if let Some(target) = self.scene.spawned() {
            let known = matches!(event, Event::Run(_)) || kept.contains(&target.build);
            prop_assert!(known, "what is started was never removed");
        }
        for action in self.scene.last.clone() {
            self.act(&action)?;
        }
        let machine = &self.scene.machine;
        let kept = self.builds();
        let lost = self.alive.values().find(|life| !kept.contains(&life.build));
        prop_assert!(
            lost.is_none(),
            "the release of what lives stays: {:?}",
            lost
        );
        let alive: BTreeSet<Start> = self.alive.keys().copied().collect();
        let known: BTreeSet<Start> = [machine.process(), machine.held()]
            .into_iter()
            .flatten()
            .map(|(start, _)| start)
            .collect();
        prop_assert_eq!(&alive, &known, "what lives is what the machine knows");
        prop_assert!(machine.settled >= before.settled, "settled never shrinks");
        if *event == Event::Tick {
            let due = machine.deadline().is_none_or(|at| at > self.scene.now);
            prop_assert!(due, "a tick leaves nothing due: {:?}", machine.state);
        }
        let reload = match event {
            Event::Restart | Event::Hurry => true,
            Event::Run(target) => machine.wish != before.wish && !self.is_refused(target),
            _ => false,
        };
        if reload && pauses(&before.state) {
            prop_assert!(!pauses(&machine.state), "a reload ends a pause");
            let waits = matches!(before.state, State::Backoff { .. });
            prop_assert!(
                !waits || self.scene.spawned().is_some(),
                "and starts at once"
            );
        }
        if let State::Stopping { stage, .. } = &machine.state {
            let (end, within) = match stage {
                Stage::Draining { until } => (until, 7),
                Stage::Ending { kill_at } => (kill_at, 10),
            };
            let latest = self.scene.now + Duration::from_secs(within);
            prop_assert!(*end <= latest, "every stop ends");
        }
        Ok(())
    }

    fn act(&mut self, action: &Action) -> Result<(), TestCaseError> {
        match action {
            Action::Swap(target) => {
                prop_assert_eq!(self.past_gate(), None, "swap only while nothing serves");
                self.root = Some(target.build.clone());
            }
            Action::Spawn { start, target } => {
                prop_assert!(self.alive.is_empty(), "never two processes when cold");
                self.born(*start, target)?;
            }
            Action::SpawnBeside { start, target } => {
                prop_assert_eq!(self.alive.len(), 1, "beside one that serves");
                prop_assert!(self.past_gate().is_some(), "beside one that serves");
                self.born(*start, target)?;
            }
            Action::Open(start) => {
                prop_assert_eq!(self.past_gate(), None, "one process past its gate");
                let life = self.alive.get_mut(start);
                prop_assert!(life.is_some(), "a gate is opened to the living");
                if let Some(life) = life {
                    life.past_gate = true;
                    prop_assert_eq!(self.root.as_ref(), Some(&life.build), "swap before");
                }
            }
            Action::Discard(start) => {
                let life = self.alive.remove(start);
                let held = life.is_none_or(|life| !life.past_gate);
                prop_assert!(held, "only what is held is discarded");
            }
            Action::Drain { start, .. } => {
                prop_assert_eq!(self.past_gate(), Some(*start), "what serves is drained");
            }
            Action::Terminate(start) | Action::Kill(start) => {
                prop_assert!(self.alive.contains_key(start), "signals only to the living");
            }
            Action::Sweep(start) => {
                prop_assert!(!self.alive.contains_key(start), "sweep only after the end");
            }
            Action::CloseSockets | Action::End => {
                prop_assert!(self.alive.is_empty(), "rest only when nothing runs");
            }
            Action::KeepCrash(_) | Action::KeepRefusal(_) => {}
        }
        Ok(())
    }

    fn is_refused(&self, target: &Target) -> bool {
        self.refused.contains(&(target.build.clone(), target.seq))
    }

    fn born(&mut self, start: Start, target: &Target) -> Result<(), TestCaseError> {
        let refused = self.is_refused(target);
        prop_assert!(!refused, "what was refused is never started again");
        let life = Life {
            build: target.build.clone(),
            past_gate: false,
        };
        let used = self.alive.insert(start, life);
        prop_assert!(used.is_none(), "a start is used once");
        Ok(())
    }

    /// From now on all goes well: processes boot, get ready, and end when told.
    fn all_goes_well(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..30 {
            let next = match self.scene.machine.phase() {
                Phase::Booting | Phase::Starting if self.before_gate().is_some() => {
                    Happening::AtGate { disturbs: false }
                }
                Phase::Booting | Phase::Backoff => Happening::Deadline,
                Phase::Starting => Happening::Ready { stale: false },
                Phase::Draining => Happening::Drained,
                Phase::Stopping => Happening::Exited { stale: false },
                _ => return Ok(()),
            };
            self.happen(&next)?;
        }
        prop_assert!(false, "it does not come to rest");
        Ok(())
    }
}

/// Whether a start waits for a pause to end, or will.
fn pauses(state: &State) -> bool {
    matches!(
        state,
        State::Backoff { .. }
            | State::Ready {
                next: Some(Next::Pause { .. }),
                ..
            }
            | State::Stopping {
                then: Then::Backoff { .. },
                ..
            }
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn promises_are_kept_and_what_is_wanted_comes_true(
        happenings in prop::collection::vec(happening(), 0..60),
    ) {
        let mut world = World::new();
        for happening in &happenings {
            world.happen(happening)?;
        }
        world.all_goes_well()?;
        let machine = &world.scene.machine;
        match &machine.wish {
            Wish::Run(wanted) => {
                let refused = world.refused.contains(&(wanted.build.clone(), wanted.seq));
                prop_assert_eq!(machine.settled, wanted.seq, "the number is done with");
                match machine.process() {
                    Some((_, build)) if !refused => prop_assert_eq!(build, &wanted.build),
                    Some((_, build)) => {
                        prop_assert_eq!(Some(build), machine.good.as_ref().map(|it| &it.build));
                    }
                    None => prop_assert!(refused && machine.good.is_none()),
                }
            }
            Wish::Nothing { seq, .. } => {
                prop_assert_eq!(machine.phase(), Phase::Stopped);
                prop_assert_eq!(machine.settled, *seq);
            }
            Wish::Unknown => prop_assert_eq!(machine.phase(), Phase::Waiting),
            Wish::End => prop_assert!(false, "nobody asked"),
        }
    }

    #[test]
    fn a_process_that_does_not_end_is_killed_and_killed_again(
        happenings in prop::collection::vec(happening(), 0..40),
    ) {
        let mut world = World::new();
        for happening in &happenings {
            world.happen(happening)?;
        }
        world.happen(&Happening::Shutdown)?;
        let Some((start, _)) = world.scene.machine.process() else {
            prop_assert_eq!(&world.scene.machine.state, &State::Ended);
            return Ok(());
        };
        // Drained, asked to end, killed; nothing of it helps.
        let mut killed = 0;
        for _ in 0..6 {
            world.happen(&Happening::Deadline)?;
            killed += u32::from(world.scene.last.contains(&Action::Kill(start)));
            prop_assert!(world.alive.contains_key(&start));
        }
        prop_assert!(killed >= 4, "{} of 6", killed);
    }

    #[test]
    fn a_shutdown_ends_from_everywhere(
        happenings in prop::collection::vec(happening(), 0..40),
    ) {
        let mut world = World::new();
        for happening in &happenings {
            world.happen(happening)?;
        }
        world.happen(&Happening::Shutdown)?;
        world.all_goes_well()?;
        prop_assert_eq!(&world.scene.machine.state, &State::Ended);
    }
}
