//! What boots beside the process that serves, and how it takes over.

use std::time::{Duration, Instant};

use lockgate_model::{Act, Allowance, Strategy};

use super::super::super::Target;
use super::super::{
    Action, DRAIN_SLACK, Drain, Event, How, Next, Run, Stage, Start, State, TRIAL_CRASHES, Then,
};
use super::changes::{delay_after_failure, next_delay};
use super::{Serving, Turn};

impl Turn {
    /// A new wish, while a process serves and another one may boot beside it.
    pub(super) fn follow_wish(&mut self, mut serving: Serving, next: Option<Next>) -> State {
        let taken_over = self.taken_over(&serving.run);
        if let Some(next) = next {
            if self.is_wanted(next.run()) {
                return serving.with(Some(next));
            }
            if let Next::Booting {
                start,
                run,
                gate_by,
            } = &next
                && let Some(run) = self.taken_over(run)
            {
                let (start, gate_by) = (*start, *gate_by);
                return serving.with(Some(Next::Booting {
                    start,
                    run,
                    gate_by,
                }));
            }
            self.discard(Some(&next));
        }
        match taken_over {
            Some(run) => {
                self.settle(&run);
                serving.run = run;
                serving.with(None)
            }
            None => self.replace(serving),
        }
    }

    /// Replaces a process by what is wanted: gated where that can be, else cold.
    pub(super) fn replace(&mut self, serving: Serving) -> State {
        let Some(target) = self.wanted().cloned() else {
            return self.retire(serving, Then::Wanted);
        };
        if let Some(Obstacle(why)) = self.obstacle(&serving.run.target, &target) {
            return self.replace_cold(serving, why);
        }
        let run = self.fresh(target);
        self.boot(serving, run)
    }

    /// Why a start of this target must be cold; the reason is empty where it was
    /// asked for.
    fn obstacle(&self, serving: &Target, target: &Target) -> Option<Obstacle> {
        let settings = &target.settings;
        if settings.strategy == Strategy::Cold {
            return Some(Obstacle(None));
        }
        if let Some(why) = target.why_cold(self.machine.node_options.as_deref()) {
            return Some(Obstacle(Some(why)));
        }
        if settings.socket != serving.settings.socket {
            return Some(Obstacle(Some("its sockets are others".to_owned())));
        }
        match &self.machine.seen {
            Some((build, seen)) if *build == target.build => {
                disturbance(target, seen).map(|why| Obstacle(Some(why)))
            }
            Some(_) | None => None,
        }
    }

    /// Boots a run beside what serves; again after a crash before its gate, where a trial
    /// goes on as it was.
    pub(super) fn boot(&mut self, serving: Serving, run: Run) -> State {
        let start = self.next_start();
        self.actions.push(Action::SpawnBeside {
            start,
            target: run.target.clone(),
        });
        let gate_by = self.after(run.target.settings.limits.ready);
        serving.with(Some(Next::Booting {
            start,
            run,
            gate_by,
        }))
    }

    /// What happens to the process that boots beside the one that serves.
    pub(super) fn booting(
        &mut self,
        serving: Serving,
        (start, run, gate_by): (Start, Run, Instant),
        event: Event,
    ) -> State {
        match event {
            Event::AtGate { start: of, seen } if of == start => {
                self.remember(&run, seen.clone());
                if let Some(why) = disturbance(&run.target, &seen) {
                    self.actions.push(Action::Discard(start));
                    return self.replace_cold(serving, Some(why));
                }
                self.machine.how = Some(How::Gated);
                self.retire(serving, Then::Open { start, run })
            }
            Event::NoRoom { start: of, reason } if of == start => {
                self.replace_cold(serving, Some(reason))
            }
            Event::SpawnFailed { start: of, reason } if of == start => {
                self.fail_before_gate(serving, start, run, reason)
            }
            Event::Exited {
                start: of,
                how,
                killed,
            } if of == start => {
                self.actions.push(Action::Sweep(start));
                self.actions.push(Action::KeepCrash(start));
                if killed {
                    // Nobody but the kernel kills it: it had no room after all.
                    let why = format!("it {how} while it booted beside the other one");
                    return self.replace_cold(serving, Some(why));
                }
                self.fail_before_gate(serving, start, run, format!("{how} before it listened"))
            }
            _ => serving.with(Some(Next::Booting {
                start,
                run,
                gate_by,
            })),
        }
    }

    /// Time has passed for what comes next.
    pub(super) fn time_of_next(&mut self, serving: Serving, next: Next) -> State {
        match next {
            Next::Booting {
                start,
                mut run,
                gate_by,
            } if self.now >= gate_by => {
                let limit = humantime::format_duration(run.target.settings.limits.ready);
                let reason = format!("did not listen within {limit}");
                self.actions.push(Action::KeepCrash(start));
                if run.trial.is_some() && !serving.is_of(&run) {
                    return self.refuse_beside(serving, start, &run, reason);
                }
                self.actions.push(Action::Discard(start));
                self.machine.problem = Some(reason);
                let until = self.after(next_delay(&mut run));
                serving.with(Some(Next::Pause { run, until }))
            }
            Next::Pause { run, until } if self.now >= until => self.boot(serving, run),
            Next::Booting { .. } | Next::Pause { .. } => serving.with(Some(next)),
        }
    }

    /// It failed without having touched the process that serves.
    fn fail_before_gate(
        &mut self,
        serving: Serving,
        start: Start,
        mut run: Run,
        reason: String,
    ) -> State {
        if let Some(trial) = &mut run.trial {
            trial.crashes = trial.crashes.saturating_add(1);
            let crashes = trial.crashes;
            if crashes >= TRIAL_CRASHES && !serving.is_of(&run) {
                return self.refuse_beside(
                    serving,
                    start,
                    &run,
                    format!("{reason}, {crashes} times"),
                );
            }
        }
        self.machine.problem = Some(reason);
        let until = self.after(delay_after_failure(&mut run));
        serving.with(Some(Next::Pause { run, until }))
    }

    /// What comes next is refused; what serves goes on, and counts as good from now
    /// on: there is nothing else to go back to.
    fn refuse_beside(
        &mut self,
        mut serving: Serving,
        start: Start,
        run: &Run,
        reason: String,
    ) -> State {
        self.refuse(start, run, reason);
        self.actions.push(Action::Discard(start));
        self.machine.good = Some(serving.run.target.clone());
        serving.run.trial = None;
        serving.good_at = None;
        serving.with(None)
    }

    /// The process that serves has crashed.
    pub(super) fn crash_beside(
        &mut self,
        serving: Serving,
        next: Option<Next>,
        how: String,
    ) -> State {
        let Some(next) = next else {
            return self.crash(serving.start, serving.run, how);
        };
        self.actions.push(Action::Sweep(serving.start));
        self.actions.push(Action::KeepCrash(serving.start));
        match next {
            // It has a head start, and nobody to wait for.
            Next::Booting {
                start,
                run,
                gate_by,
            } => {
                self.actions.push(Action::Swap(run.target.clone()));
                State::Starting {
                    start,
                    run: self.proven(run),
                    ready_by: gate_by,
                    probe: None,
                }
            }
            Next::Pause { run, .. } => {
                let run = self.proven(run);
                self.start_again(run)
            }
        }
    }

    fn replace_cold(&mut self, serving: Serving, why: Option<String>) -> State {
        self.machine.how = Some(How::Cold(why));
        self.retire(serving, Then::Wanted)
    }

    /// Drains a run that served. On trial it counts as good when it never crashed,
    /// or when there is nothing better: should the next one fail, this one is what
    /// people saw working. Not where it is only started again.
    pub(super) fn retire(&mut self, serving: Serving, then: Then) -> State {
        let Serving { start, run, .. } = serving;
        if let Some(trial) = run.trial
            && !self.is_wanted(&run)
            && (trial.crashes == 0 || self.machine.good.is_none())
        {
            self.machine.good = Some(run.target.clone());
        }
        let limits = &run.target.settings.limits;
        let comes_back = matches!(then, Then::Open { .. }) || self.wanted().is_some();
        let how = Drain {
            // Where nothing comes after, clients need not be told.
            linger: if comes_back {
                limits.linger
            } else {
                Duration::ZERO
            },
            limit: limits.drain,
            comes_back,
        };
        self.actions.push(Action::Drain { start, how });
        // Whatever is longer is over first; what came last has the shorter one.
        let longest = how
            .linger
            .saturating_add(how.limit)
            .saturating_add(DRAIN_SLACK);
        State::Stopping {
            start,
            stage: Stage::Draining {
                until: self.after(longest),
            },
            run,
            then,
        }
    }

    /// The drained process is asked to end.
    pub(super) fn after_drain(&mut self, start: Start, run: &Run, stage: Stage) -> Stage {
        match stage {
            Stage::Draining { .. } => {
                self.actions.push(Action::Terminate(start));
                Stage::Ending {
                    kill_at: self.after(run.target.settings.limits.grace),
                }
            }
            Stage::Ending { .. } => stage,
        }
    }

    /// Time has passed for what stops.
    pub(super) fn time_of_stop(&mut self, start: Start, run: &Run, stage: Stage) -> Stage {
        match stage {
            Stage::Draining { until } if self.now >= until => self.after_drain(start, run, stage),
            Stage::Ending { kill_at } if self.now >= kill_at => self.kill(start),
            Stage::Draining { .. } | Stage::Ending { .. } => stage,
        }
    }

    /// The old process is gone: the held one takes over.
    pub(super) fn open(&mut self, start: Start, run: Run) -> State {
        self.actions.push(Action::Swap(run.target.clone()));
        self.actions.push(Action::Open(start));
        State::Starting {
            start,
            ready_by: self.after(run.target.settings.limits.ready),
            run: self.proven(run),
            probe: None,
        }
    }

    /// What comes after a stop, by a new wish.
    pub(super) fn then_by_wish(&mut self, then: Then) -> Then {
        match then {
            Then::Backoff { run, delay } if self.is_wanted(&run) => Then::Backoff { run, delay },
            Then::Open { start, run } => match self.taken_over(&run) {
                Some(run) => Then::Open { start, run },
                None => self.give_up(&Then::Open { start, run }),
            },
            Then::Backoff { .. } | Then::Wanted => Then::Wanted,
        }
    }

    /// Whatever is wanted then comes after the stop, and nothing held.
    pub(super) fn give_up(&mut self, then: &Then) -> Then {
        if let Then::Open { start, .. } = then {
            self.actions.push(Action::Discard(*start));
        }
        Then::Wanted
    }

    /// The held process is gone before its turn: it is started again, alone.
    pub(super) fn held_is_gone(&mut self, then: Then, of: Start, how: &str) -> Then {
        match then {
            Then::Open { start, .. } if start == of => {
                self.actions.push(Action::Sweep(start));
                self.actions.push(Action::KeepCrash(start));
                self.machine.problem = Some(format!("{how} while it was held"));
                self.machine.how = Some(How::Cold(Some(format!("it {how} while it was held"))));
                Then::Wanted
            }
            Then::Open { .. } | Then::Backoff { .. } | Then::Wanted => then,
        }
    }

    pub(super) fn discard(&mut self, next: Option<&Next>) {
        if let Some(Next::Booting { start, .. }) = next {
            self.actions.push(Action::Discard(*start));
        }
    }

    /// Notes what a build did before its gate.
    pub(super) fn remember(&mut self, run: &Run, seen: Vec<Act>) {
        self.machine.seen = Some((run.target.build.clone(), seen));
    }
}

impl Serving {
    /// Whether it runs what the same statement named: a build that serves is not
    /// refused because it did not boot once more.
    fn is_of(&self, run: &Run) -> bool {
        let (one, other) = (&self.run.target, &run.target);
        (&one.build, one.seq) == (&other.build, other.seq)
    }
}

struct Obstacle(Option<String>);

/// What of this may not happen beside another process; nothing where gated is forced.
fn disturbance(target: &Target, seen: &[Act]) -> Option<String> {
    if target.settings.strategy == Strategy::Gated {
        return None;
    }
    let allowed: Vec<Allowance> = target
        .settings
        .before_listen
        .iter()
        .filter_map(|entry| Allowance::parse(entry).ok())
        .collect();
    let mut acts = seen
        .iter()
        .filter(|act| !allowed.iter().any(|allowance| allowance.allows(act)));
    let first = acts.next()?;
    let more = match acts.count() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    Some(format!("it {first}{more} before it listened"))
}
