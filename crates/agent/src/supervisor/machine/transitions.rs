//! The transitions: one function for each state, one arm for each event.

mod changes;
mod next;
mod wanted;

use std::mem;
use std::time::Instant;

use super::{Action, Event, Machine, Next, Run, Stage, Start, State, Then, Wish};

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
            misses,
            next,
        } => {
            let serving = Serving {
                start,
                run,
                good_at,
                calm_at,
                misses,
            };
            turn.ready(serving, next, event)
        }
        State::Stopping {
            start,
            run,
            stage,
            then,
        } => turn.stopping(start, run, stage, then, event),
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

/// The process that serves: what `State::Ready` holds beside what comes next.
struct Serving {
    start: Start,
    run: Run,
    good_at: Option<Instant>,
    calm_at: Option<Instant>,
    misses: u32,
}

impl Serving {
    /// It goes on, with this beside it.
    fn with(self, next: Option<Next>) -> State {
        let Self {
            start,
            run,
            good_at,
            calm_at,
            misses,
        } = self;
        State::Ready {
            start,
            run,
            good_at,
            calm_at,
            misses,
            next,
        }
    }
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
            | Event::AtGate { .. }
            | Event::NoRoom { .. }
            | Event::Drained { .. }
            | Event::SpawnFailed { .. }
            | Event::NotReady { .. }
            | Event::Ready { .. }
            | Event::Missed { .. }
            | Event::Answered { .. }
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
                    None => self.terminate(start, run),
                }
            }
            Event::Stop { seq } => {
                if self.wish_nothing(seq) {
                    self.terminate(start, run)
                } else {
                    on(run, probe)
                }
            }
            Event::Restart => self.terminate(start, run),
            Event::Shutdown => {
                self.machine.wish = Wish::End;
                self.terminate(start, run)
            }
            Event::AtGate { start: of, seen } if of == start => {
                // Nothing else runs: whatever it did, it did alone.
                self.remember(&run, seen);
                self.actions.push(Action::Open(start));
                on(run, probe)
            }
            Event::SpawnFailed { start: of, reason } if of == start => {
                self.cannot_start(start, run, reason)
            }
            Event::NotReady { start: of, reason } if of == start => on(run, Some(reason)),
            Event::Ready { start: of } if of == start => self.become_ready(start, run),
            Event::Exited { start: of, how, .. } if of == start => {
                self.crash(start, run, format!("{how} before it was ready"))
            }
            Event::Tick if self.now >= ready_by => self.not_ready_in_time(start, run, probe),
            Event::Hurry
            | Event::Tick
            | Event::AtGate { .. }
            | Event::NoRoom { .. }
            | Event::Drained { .. }
            | Event::SpawnFailed { .. }
            | Event::NotReady { .. }
            | Event::Ready { .. }
            | Event::Missed { .. }
            | Event::Answered { .. }
            | Event::Exited { .. } => on(run, probe),
        }
    }

    fn ready(&mut self, mut serving: Serving, next: Option<Next>, event: Event) -> State {
        let start = serving.start;
        match event {
            Event::Run(target) => {
                self.wish_run(target);
                self.follow_wish(serving, next)
            }
            Event::Stop { seq } => {
                if self.wish_nothing(seq) {
                    self.discard(next.as_ref());
                    self.retire(serving, Then::Wanted)
                } else {
                    serving.with(next)
                }
            }
            Event::Restart => match next {
                Some(Next::Booting { .. }) => serving.with(next),
                Some(Next::Pause { run, .. }) => self.boot(serving, run),
                None => self.replace(serving),
            },
            Event::Hurry => match next {
                Some(Next::Pause { run, .. }) => self.boot(serving, run),
                Some(Next::Booting { .. }) | None => serving.with(next),
            },
            Event::Shutdown => {
                self.machine.wish = Wish::End;
                self.discard(next.as_ref());
                self.retire(serving, Then::Wanted)
            }
            Event::Exited { start: of, how, .. } if of == start => {
                self.crash_beside(serving, next, how)
            }
            Event::Missed { start: of, reason } if of == start => self.miss(serving, next, reason),
            Event::Answered { start: of } if of == start => {
                self.answered(&mut serving, next.is_some());
                serving.with(next)
            }
            Event::Tick => {
                let serving = self.time_of_ready(serving);
                match next {
                    Some(next) => self.time_of_next(serving, next),
                    None => serving.with(None),
                }
            }
            Event::AtGate { .. }
            | Event::NoRoom { .. }
            | Event::SpawnFailed { .. }
            | Event::Exited { .. } => match next {
                Some(Next::Booting {
                    start,
                    run,
                    gate_by,
                }) => self.booting(serving, (start, run, gate_by), event),
                Some(Next::Pause { .. }) | None => serving.with(next),
            },
            Event::Drained { .. }
            | Event::NotReady { .. }
            | Event::Ready { .. }
            | Event::Missed { .. }
            | Event::Answered { .. } => serving.with(next),
        }
    }

    fn stopping(
        &mut self,
        start: Start,
        run: Run,
        stage: Stage,
        then: Then,
        event: Event,
    ) -> State {
        let on = |run, stage, then| State::Stopping {
            start,
            run,
            stage,
            then,
        };
        match event {
            Event::Run(target) => {
                self.wish_run(target);
                let then = self.then_by_wish(then);
                on(run, stage, then)
            }
            Event::Stop { seq } => {
                let then = if self.wish_nothing(seq) {
                    self.give_up(&then)
                } else {
                    then
                };
                on(run, stage, then)
            }
            Event::Restart | Event::Hurry => {
                let then = match then {
                    Then::Open { .. } => then,
                    Then::Backoff { .. } | Then::Wanted => Then::Wanted,
                };
                on(run, stage, then)
            }
            Event::Shutdown => {
                let again = self.machine.wish == Wish::End;
                self.machine.wish = Wish::End;
                let then = self.give_up(&then);
                let stage = if again { self.kill(start) } else { stage };
                on(run, stage, then)
            }
            Event::Exited { start: of, .. } if of == start => {
                self.actions.push(Action::Sweep(start));
                match then {
                    Then::Wanted => self.begin(),
                    Then::Backoff { run, delay } => State::Backoff {
                        run,
                        until: self.after(delay),
                    },
                    Then::Open { start, run } => self.open(start, run),
                }
            }
            Event::Exited { start: of, how, .. } => {
                let then = self.held_is_gone(then, of, &how);
                on(run, stage, then)
            }
            Event::Drained { start: of } if of == start => {
                let stage = self.after_drain(start, &run, stage);
                on(run, stage, then)
            }
            Event::Tick => {
                let stage = self.time_of_stop(start, &run, stage);
                on(run, stage, then)
            }
            Event::AtGate { .. }
            | Event::NoRoom { .. }
            | Event::Drained { .. }
            | Event::SpawnFailed { .. }
            | Event::NotReady { .. }
            | Event::Ready { .. }
            | Event::Missed { .. }
            | Event::Answered { .. } => on(run, stage, then),
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
            | Event::AtGate { .. }
            | Event::NoRoom { .. }
            | Event::Drained { .. }
            | Event::SpawnFailed { .. }
            | Event::NotReady { .. }
            | Event::Ready { .. }
            | Event::Missed { .. }
            | Event::Answered { .. }
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
        | Event::AtGate { .. }
        | Event::NoRoom { .. }
        | Event::Drained { .. }
        | Event::SpawnFailed { .. }
        | Event::NotReady { .. }
        | Event::Ready { .. }
        | Event::Missed { .. }
        | Event::Answered { .. }
        | Event::Exited { .. }
        | Event::Tick => State::Ended,
    }
}
