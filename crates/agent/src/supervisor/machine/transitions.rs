//! The transitions: one function for each state, one arm for each event.

mod changes;
mod wanted;

use std::mem;
use std::time::Instant;

use lockgate_model::BuildId;

use super::{Action, Event, Machine, Run, Start, State, Then, Wish};

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
                self.cannot_start(start, run, reason)
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
                        until: self.after(delay),
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
