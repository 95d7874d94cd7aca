//! The transitions: one function for each state, one arm for each event.

use std::mem;
use std::time::{Duration, Instant};

use lockgate_model::{BuildId, Refusal};

use super::super::Target;
use super::{
    Action, CALM, Event, KILL_AGAIN, LONGEST_DELAY, Machine, Run, SHORTEST_DELAY, Start, State,
    TRIAL_CRASHES, TRIAL_DELAY, Then, Trial, Wish,
};

/// See [`super::step`].
pub(super) fn step(mut machine: Machine, event: Event, now: Instant) -> (Machine, Vec<Action>) {
    let state = mem::replace(&mut machine.state, State::Idle);
    let mut turn = Turn {
        machine,
        now,
        actions: Vec::new(),
    };
    let next = match state {
        State::Idle => turn.idle(event),
        State::Starting {
            start,
            run,
            ready_by,
            probe,
        } => turn.starting(start, run, ready_by, probe, event),
        State::Ready {
            start,
            run,
            good_at,
            calm_at,
        } => turn.ready(start, run, good_at, calm_at, event),
        State::Stopping {
            start,
            build,
            kill_at,
            then,
        } => turn.stopping(start, build, kill_at, then, event),
        State::Backoff { run, until } => turn.backoff(run, until, event),
        State::Ended => ended(&event),
    };
    turn.machine.state = next;
    (turn.machine, turn.actions)
}

/// One step in the making: what is remembered, the time, and what to do.
struct Turn {
    machine: Machine,
    now: Instant,
    actions: Vec<Action>,
}

// The states. Every event is written out in each.
impl Turn {
    fn idle(&mut self, event: Event) -> State {
        match event {
            Event::Run(target) => {
                if self.wish_run(target) {
                    self.begin()
                } else {
                    State::Idle
                }
            }
            Event::Stop { seq } => {
                if self.wish_nothing(seq) {
                    self.begin()
                } else {
                    State::Idle
                }
            }
            Event::Shutdown => {
                self.machine.wish = Wish::End;
                self.begin()
            }
            // What is wanted and may run, runs: there is nothing to restart, and no
            // process that anything could be heard of.
            Event::Restart
            | Event::Hurry
            | Event::Tick
            | Event::SpawnFailed { .. }
            | Event::NotReady { .. }
            | Event::Ready { .. }
            | Event::Exited { .. } => State::Idle,
        }
    }

    fn starting(
        &mut self,
        start: Start,
        run: Run,
        ready_by: Instant,
        probe: Option<String>,
        event: Event,
    ) -> State {
        let on = |run, probe| State::Starting {
            start,
            run,
            ready_by,
            probe,
        };
        match event {
            Event::Run(target) => {
                self.wish_run(target);
                match self.taken_over(&run) {
                    Some(run) => on(run, probe),
                    None => self.stop(start, &run),
                }
            }
            Event::Stop { seq } => {
                if self.wish_nothing(seq) {
                    self.stop(start, &run)
                } else {
                    on(run, probe)
                }
            }
            Event::Restart => self.stop(start, &run),
            Event::Shutdown => {
                self.machine.wish = Wish::End;
                self.stop(start, &run)
            }
            Event::SpawnFailed { start: of, reason } if of == start => {
                self.machine.problem = Some(reason);
                self.pause_after_failure(run)
            }
            Event::NotReady { start: of, reason } if of == start => on(run, Some(reason)),
            Event::Ready { start: of } if of == start => self.become_ready(start, run),
            Event::Exited { start: of, how } if of == start => {
                self.crash(start, run, format!("{how} before it was ready"))
            }
            Event::Tick if self.now >= ready_by => self.not_ready_in_time(start, run, probe),
            Event::Hurry
            | Event::Tick
            | Event::SpawnFailed { .. }
            | Event::NotReady { .. }
            | Event::Ready { .. }
            | Event::Exited { .. } => on(run, probe),
        }
    }

    fn ready(
        &mut self,
        start: Start,
        run: Run,
        good_at: Option<Instant>,
        calm_at: Option<Instant>,
        event: Event,
    ) -> State {
        let on = |run, good_at, calm_at| State::Ready {
            start,
            run,
            good_at,
            calm_at,
        };
        match event {
            Event::Run(target) => {
                self.wish_run(target);
                match self.taken_over(&run) {
                    Some(run) => {
                        self.settle(&run);
                        on(run, good_at, calm_at)
                    }
                    None => self.replace(start, &run),
                }
            }
            Event::Stop { seq } => {
                if self.wish_nothing(seq) {
                    self.replace(start, &run)
                } else {
                    on(run, good_at, calm_at)
                }
            }
            Event::Restart => self.stop(start, &run),
            Event::Shutdown => {
                self.machine.wish = Wish::End;
                self.stop(start, &run)
            }
            Event::Exited { start: of, how } if of == start => self.crash(start, run, how),
            Event::Tick => self.time_of_ready(start, run, good_at, calm_at),
            Event::Hurry
            | Event::SpawnFailed { .. }
            | Event::NotReady { .. }
            | Event::Ready { .. }
            | Event::Exited { .. } => on(run, good_at, calm_at),
        }
    }

    fn stopping(
        &mut self,
        start: Start,
        build: BuildId,
        kill_at: Instant,
        then: Then,
        event: Event,
    ) -> State {
        let on = |kill_at, then| State::Stopping {
            start,
            build,
            kill_at,
            then,
        };
        match event {
            Event::Run(target) => {
                self.wish_run(target);
                let then = match then {
                    Then::Backoff { run, delay } if self.is_wanted(&run) => {
                        Then::Backoff { run, delay }
                    }
                    Then::Backoff { .. } | Then::Wanted => Then::Wanted,
                };
                on(kill_at, then)
            }
            Event::Stop { seq } => {
                if self.wish_nothing(seq) {
                    on(kill_at, Then::Wanted)
                } else {
                    on(kill_at, then)
                }
            }
            Event::Restart | Event::Hurry => on(kill_at, Then::Wanted),
            Event::Shutdown => {
                let again = self.machine.wish == Wish::End;
                self.machine.wish = Wish::End;
                if again {
                    on(self.kill(start), Then::Wanted)
                } else {
                    on(kill_at, Then::Wanted)
                }
            }
            Event::Exited { start: of, .. } if of == start => {
                self.actions.push(Action::Sweep(start));
                match then {
                    Then::Wanted => self.begin(),
                    Then::Backoff { run, delay } => State::Backoff {
                        run,
                        until: self.now + delay,
                    },
                }
            }
            Event::Tick if self.now >= kill_at => on(self.kill(start), then),
            Event::Tick
            | Event::SpawnFailed { .. }
            | Event::NotReady { .. }
            | Event::Ready { .. }
            | Event::Exited { .. } => on(kill_at, then),
        }
    }

    fn backoff(&mut self, run: Run, until: Instant, event: Event) -> State {
        match event {
            Event::Run(target) => {
                self.wish_run(target);
                if self.is_wanted(&run) {
                    State::Backoff { run, until }
                } else {
                    self.begin()
                }
            }
            Event::Stop { seq } => {
                if self.wish_nothing(seq) {
                    self.begin()
                } else {
                    State::Backoff { run, until }
                }
            }
            Event::Restart => self.begin(),
            Event::Hurry => self.start_again(run),
            Event::Shutdown => {
                self.machine.wish = Wish::End;
                self.begin()
            }
            Event::Tick if self.now >= until => self.start_again(run),
            Event::Tick
            | Event::SpawnFailed { .. }
            | Event::NotReady { .. }
            | Event::Ready { .. }
            | Event::Exited { .. } => State::Backoff { run, until },
        }
    }
}

fn ended(event: &Event) -> State {
    match event {
        Event::Run(_)
        | Event::Stop { .. }
        | Event::Restart
        | Event::Hurry
        | Event::Shutdown
        | Event::SpawnFailed { .. }
        | Event::NotReady { .. }
        | Event::Ready { .. }
        | Event::Exited { .. }
        | Event::Tick => State::Ended,
    }
}

// What is wanted.
impl Turn {
    /// Takes a target as what is wanted, unless it is stale. A number has one
    /// meaning: another target under the same number is stale too.
    fn wish_run(&mut self, target: Target) -> bool {
        let fresh = match &self.machine.wish {
            Wish::Unknown => true,
            Wish::Run(last) => {
                last.seq < target.seq || (last.seq == target.seq && same(last, &target))
            }
            Wish::Nothing { seq: last } => *last < target.seq,
            Wish::End => false,
        };
        if !fresh {
            return false;
        }
        match &self.machine.refused {
            Some(refused) if refused.build == target.build && refused.seq == target.seq => {
                self.machine.settled = self.machine.settled.max(target.seq);
            }
            Some(refused) if refused.seq < target.seq => self.machine.refused = None,
            Some(_) | None => {}
        }
        self.machine.wish = Wish::Run(target);
        true
    }

    /// Takes that nothing shall run, unless it is stale.
    fn wish_nothing(&mut self, seq: u64) -> bool {
        let fresh = match &self.machine.wish {
            Wish::Unknown => true,
            Wish::Run(last) => last.seq < seq,
            Wish::Nothing { seq: last } => *last <= seq,
            Wish::End => false,
        };
        if fresh {
            self.machine.wish = Wish::Nothing { seq };
        }
        fresh
    }

    /// What shall run now: the wished target, or the good one where that is refused.
    fn wanted(&self) -> Option<&Target> {
        let Wish::Run(target) = &self.machine.wish else {
            return None;
        };
        if self.is_refused(target) {
            self.machine
                .good
                .as_ref()
                .filter(|good| !self.is_refused(good))
        } else {
            Some(target)
        }
    }

    fn is_refused(&self, target: &Target) -> bool {
        self.machine
            .refused
            .as_ref()
            .is_some_and(|refused| refused.build == target.build && refused.seq == target.seq)
    }

    /// The run with the wanted target's number, where it runs what is wanted.
    fn taken_over(&self, run: &Run) -> Option<Run> {
        let wanted = self.wanted().filter(|wanted| same(wanted, &run.target))?;
        Some(Run {
            target: wanted.clone(),
            ..run.clone()
        })
    }

    /// Whether this run is what is wanted, down to the number.
    fn is_wanted(&self, run: &Run) -> bool {
        self.wanted()
            .is_some_and(|wanted| same(wanted, &run.target) && wanted.seq == run.target.seq)
    }

    /// What runs is what the newest statement says: its number is done with.
    fn settle(&mut self, run: &Run) {
        if let Wish::Run(target) = &self.machine.wish
            && target.seq == run.target.seq
        {
            self.machine.settled = self.machine.settled.max(target.seq);
        }
        if run.trial.is_none() {
            self.machine.good = Some(run.target.clone());
        }
    }
}

/// Whether two targets ask for the same process; their numbers do not matter.
fn same(one: &Target, other: &Target) -> bool {
    one.build == other.build && one.settings == other.settings && one.restart == other.restart
}

// The changes.
impl Turn {
    /// While nothing runs: starts what is wanted, or comes to rest.
    fn begin(&mut self) -> State {
        if let Some(target) = self.wanted().cloned() {
            let proven = self
                .machine
                .good
                .as_ref()
                .is_some_and(|good| same(good, &target));
            let delay = first_delay(&target);
            return self.spawn(Run {
                target,
                trial: (!proven).then(Trial::default),
                delay,
            });
        }
        self.actions.push(Action::CloseSockets);
        match self.machine.wish {
            Wish::Nothing { seq } => {
                self.machine.settled = self.machine.settled.max(seq);
                self.machine.problem = None;
                State::Idle
            }
            Wish::End => {
                self.actions.push(Action::End);
                State::Ended
            }
            Wish::Unknown | Wish::Run(_) => State::Idle,
        }
    }

    fn spawn(&mut self, run: Run) -> State {
        let start = Start(self.machine.next_start);
        self.machine.next_start += 1;
        if self.machine.swapped.as_ref() != Some(&run.target.build) {
            self.machine.swapped = Some(run.target.build.clone());
            self.actions.push(Action::Swap(run.target.clone()));
        }
        self.actions.push(Action::Spawn {
            start,
            target: run.target.clone(),
        });
        State::Starting {
            start,
            ready_by: self.now + run.target.settings.limits.ready,
            run,
            probe: None,
        }
    }

    /// The same run after a crash; a trial goes on where it was.
    fn start_again(&mut self, run: Run) -> State {
        self.machine.restarts += 1;
        self.spawn(run)
    }

    fn become_ready(&mut self, start: Start, run: Run) -> State {
        self.machine.problem = None;
        self.settle(&run);
        let limits = &run.target.settings.limits;
        State::Ready {
            start,
            good_at: run.trial.map(|_| self.now + limits.trial),
            calm_at: Some(self.now + CALM),
            run,
        }
    }

    /// The trial is passed, or crashes are forgotten.
    fn time_of_ready(
        &mut self,
        start: Start,
        mut run: Run,
        good_at: Option<Instant>,
        calm_at: Option<Instant>,
    ) -> State {
        let now = self.now;
        let to_come = |at: Option<Instant>| at.filter(|at| *at > now);
        if good_at.is_some() && to_come(good_at).is_none() {
            run.trial = None;
            self.machine.good = Some(run.target.clone());
        }
        if calm_at.is_some() && to_come(calm_at).is_none() {
            run.delay = first_delay(&run.target);
        }
        State::Ready {
            start,
            run,
            good_at: to_come(good_at),
            calm_at: to_come(calm_at),
        }
    }

    /// Stops a run that served. On trial it counts as good when it never crashed,
    /// or when there is nothing better: should the next one fail, this one is what
    /// people saw working.
    fn replace(&mut self, start: Start, run: &Run) -> State {
        if let Some(trial) = run.trial
            && (trial.crashes == 0 || self.machine.good.is_none())
        {
            self.machine.good = Some(run.target.clone());
        }
        self.stop(start, run)
    }

    fn stop(&mut self, start: Start, run: &Run) -> State {
        self.stop_then(start, run, Then::Wanted)
    }

    fn stop_then(&mut self, start: Start, run: &Run, then: Then) -> State {
        self.actions.push(Action::Terminate(start));
        State::Stopping {
            start,
            build: run.target.build.clone(),
            kill_at: self.now + run.target.settings.limits.grace,
            then,
        }
    }

    /// Kills, and says when to do so again.
    fn kill(&mut self, start: Start) -> Instant {
        self.actions.push(Action::Kill(start));
        self.now + KILL_AGAIN
    }

    fn crash(&mut self, start: Start, mut run: Run, reason: String) -> State {
        self.actions.push(Action::Sweep(start));
        self.actions.push(Action::KeepCrash(start));
        let Some(mut trial) = run.trial else {
            self.machine.problem = Some(reason);
            return self.pause_after_failure(run);
        };
        trial.crashes += 1;
        if trial.crashes >= TRIAL_CRASHES {
            self.refuse(start, &run, format!("{reason}, {} times", trial.crashes));
            return self.begin();
        }
        self.machine.problem = Some(reason);
        run.trial = Some(trial);
        State::Backoff {
            run,
            until: self.now + TRIAL_DELAY,
        }
    }

    fn not_ready_in_time(&mut self, start: Start, mut run: Run, probe: Option<String>) -> State {
        let limit = humantime::format_duration(run.target.settings.limits.ready);
        let reason = match probe {
            Some(probe) => format!("was not ready within {limit}: {probe}"),
            None => format!("was not ready within {limit}"),
        };
        self.actions.push(Action::KeepCrash(start));
        if run.trial.is_some() {
            self.refuse(start, &run, reason);
            return self.stop(start, &run);
        }
        self.machine.problem = Some(reason);
        let delay = next_delay(&mut run);
        let then = Then::Backoff {
            run: run.clone(),
            delay,
        };
        self.stop_then(start, &run, then)
    }

    fn refuse(&mut self, start: Start, run: &Run, reason: String) {
        self.actions.push(Action::KeepRefusal(start));
        self.machine.problem = None;
        self.machine.settled = self.machine.settled.max(run.target.seq);
        self.machine.refused = Some(Refusal {
            build: run.target.build.clone(),
            seq: run.target.seq,
            reason,
            log: Vec::new(),
        });
    }

    fn pause_after_failure(&mut self, mut run: Run) -> State {
        let delay = next_delay(&mut run);
        State::Backoff {
            run,
            until: self.now + delay,
        }
    }
}

fn first_delay(target: &Target) -> Duration {
    target.settings.limits.crash_delay.max(SHORTEST_DELAY)
}

/// The delay that is due, and twice as long the next time.
fn next_delay(run: &mut Run) -> Duration {
    let delay = run.delay;
    let longest = LONGEST_DELAY.max(first_delay(&run.target));
    run.delay = delay.saturating_mul(2).min(longest);
    delay
}
