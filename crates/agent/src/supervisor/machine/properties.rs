//! Any sequence of events keeps the promises.

use std::collections::{BTreeSet, HashSet};

use proptest::prelude::*;

use super::tests::{Scene, target};
use super::*;

/// What may happen next, before it is known which processes there are.
#[derive(Debug, Clone)]
enum Happening {
    Run { build: u8, newer: u64, counter: u64 },
    Stop { newer: u64 },
    Restart,
    Hurry,
    Shutdown,
    SpawnFailed,
    NotReady,
    Ready { stale: bool },
    Exited { stale: bool },
    Time { millis: u64 },
    Deadline,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0..3u8, 0..3u64, 0..2u64).prop_map(|(build, newer, counter)| Happening::Run { build, newer, counter }),
        1 => (0..3u64).prop_map(|newer| Happening::Stop { newer }),
        1 => Just(Happening::Restart),
        1 => Just(Happening::Hurry),
        1 => Just(Happening::SpawnFailed),
        1 => Just(Happening::NotReady),
        4 => prop::bool::weighted(0.1).prop_map(|stale| Happening::Ready { stale }),
        6 => prop::bool::weighted(0.1).prop_map(|stale| Happening::Exited { stale }),
        2 => (0..40_000u64).prop_map(|millis| Happening::Time { millis }),
        6 => Just(Happening::Deadline),
    ]
}

/// The world beside the machine: which processes live, what was refused.
struct World {
    scene: Scene,
    seq: u64,
    alive: BTreeSet<Start>,
    refused: HashSet<(BuildId, u64)>,
    root: Option<BuildId>,
}

impl World {
    fn new() -> Self {
        Self {
            scene: Scene::new(None),
            seq: 1,
            alive: BTreeSet::new(),
            refused: HashSet::new(),
            root: None,
        }
    }

    fn happen(&mut self, happening: &Happening) -> Result<(), TestCaseError> {
        let one = self.alive.first().copied();
        let of = |stale: bool| if stale { Some(Start(0)) } else { one };
        let event = match happening {
            Happening::Run {
                build,
                newer,
                counter,
            } => {
                self.seq += newer;
                let mut target = target(["a", "b", "c"][usize::from(*build)], self.seq);
                target.restart = *counter;
                Some(Event::Run(target))
            }
            Happening::Stop { newer } => {
                self.seq += newer;
                Some(Event::Stop { seq: self.seq })
            }
            Happening::Restart => Some(Event::Restart),
            Happening::Hurry => Some(Event::Hurry),
            Happening::Shutdown => Some(Event::Shutdown),
            Happening::SpawnFailed => one
                .filter(|_| self.scene.machine.phase() == Phase::Starting)
                .map(|start| Event::SpawnFailed {
                    start,
                    reason: String::new(),
                }),
            Happening::NotReady => one.map(|start| Event::NotReady {
                start,
                reason: String::new(),
            }),
            Happening::Ready { stale } => of(*stale).map(|start| Event::Ready { start }),
            Happening::Exited { stale } => of(*stale).map(|start| Event::Exited {
                start,
                how: "exited".to_owned(),
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
        };
        match event {
            Some(event) => self.play(&event),
            None => Ok(()),
        }
    }

    fn play(&mut self, event: &Event) -> Result<(), TestCaseError> {
        let before = self.scene.machine.clone();
        if let Event::Exited { start, .. } | Event::SpawnFailed { start, .. } = event {
            self.alive.remove(start);
        }
        self.scene.on(event.clone());
        for action in self.scene.last.clone() {
            self.act(&action)?;
        }
        let machine = &self.scene.machine;
        if let Some(refusal) = &machine.refused {
            self.refused.insert((refusal.build.clone(), refusal.seq));
        }
        let alive: Vec<Start> = self.alive.iter().copied().collect();
        let known: Vec<Start> = machine.process().iter().map(|(start, _)| *start).collect();
        prop_assert_eq!(&alive, &known, "what lives is what the machine knows");
        prop_assert!(machine.settled >= before.settled, "settled never shrinks");
        if *event == Event::Tick {
            let due = machine.deadline().is_none_or(|at| at > self.scene.now);
            prop_assert!(due, "a tick leaves nothing due: {:?}", machine.state);
        }
        let reload = matches!(event, Event::Restart | Event::Hurry);
        if reload && before.phase() == Phase::Backoff {
            prop_assert!(self.scene.spawned().is_some(), "a reload ends a backoff");
        }
        if let State::Stopping { kill_at, .. } = &machine.state {
            let grace = self.scene.now + Duration::from_secs(10);
            prop_assert!(*kill_at <= grace, "every stop ends");
        }
        Ok(())
    }

    fn act(&mut self, action: &Action) -> Result<(), TestCaseError> {
        match action {
            Action::Swap(target) => {
                prop_assert!(self.alive.is_empty(), "swap only while nothing runs");
                self.root = Some(target.build.clone());
            }
            Action::Spawn { start, target } => {
                prop_assert!(self.alive.is_empty(), "never two processes");
                prop_assert!(self.alive.insert(*start), "a start is used once");
                prop_assert_eq!(self.root.as_ref(), Some(&target.build), "swap before spawn");
                let refused = self.refused.contains(&(target.build.clone(), target.seq));
                prop_assert!(!refused, "what was refused is never started again");
            }
            Action::Terminate(start) | Action::Kill(start) => {
                prop_assert!(self.alive.contains(start), "signals only to the living");
            }
            Action::Sweep(start) => {
                prop_assert!(!self.alive.contains(start), "sweep only after the end");
            }
            Action::CloseSockets | Action::End => {
                prop_assert!(self.alive.is_empty(), "rest only when nothing runs");
            }
            Action::KeepCrash(_) | Action::KeepRefusal(_) => {}
        }
        Ok(())
    }

    /// From now on all goes well: processes end when told and get ready.
    fn all_goes_well(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..20 {
            match self.scene.machine.phase() {
                Phase::Stopping => self.happen(&Happening::Exited { stale: false })?,
                Phase::Starting => self.happen(&Happening::Ready { stale: false })?,
                Phase::Backoff => self.happen(&Happening::Deadline)?,
                _ => return Ok(()),
            }
        }
        prop_assert!(false, "it does not come to rest");
        Ok(())
    }
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
            Wish::Nothing { seq } => {
                prop_assert_eq!(machine.phase(), Phase::Stopped);
                prop_assert_eq!(machine.settled, *seq);
            }
            Wish::Unknown => prop_assert_eq!(machine.phase(), Phase::Waiting),
            Wish::End => prop_assert!(false, "nobody asked"),
        }
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
