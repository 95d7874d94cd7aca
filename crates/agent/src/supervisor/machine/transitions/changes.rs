//! The changes that transitions are made of.

use std::time::{Duration, Instant};

use lockgate_model::Refusal;

use super::super::super::Target;
use super::super::{
    Action, CALM, KILL_AGAIN, LONGEST_DELAY, NEVER, Next, Run, SHORTEST_DELAY, Stage, Start, State,
    TRIAL_CRASHES, TRIAL_DELAY, TRIAL_MISSES, Then, Trial, Wish,
};
use super::wanted::same;
use super::{Serving, Turn};

impl Turn {
    /// While nothing runs: starts what is wanted, or comes to rest.
    pub(super) fn begin(&mut self) -> State {
        if let Some(target) = self.wanted().cloned() {
            let run = self.fresh(target);
            return self.spawn(run);
        }
        self.actions.push(Action::CloseSockets);
        match self.machine.wish {
            Wish::Nothing { seq, .. } => {
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

    /// A run of this target from its beginning.
    pub(super) fn fresh(&self, target: Target) -> Run {
        let good = self.machine.good.as_ref();
        let proven = good.is_some_and(|good| same(good, &target));
        Run {
            trial: (!proven).then(Trial::default),
            delay: first_delay(&target),
            target,
        }
    }

    /// The same run without its trial, where the one that serves has passed it.
    pub(super) fn proven(&self, run: Run) -> Run {
        let good = self.machine.good.as_ref();
        if good.is_some_and(|good| same(good, &run.target)) {
            return Run { trial: None, ..run };
        }
        run
    }

    /// The number of a new start.
    pub(super) fn next_start(&mut self) -> Start {
        let start = Start(self.machine.next_start);
        self.machine.next_start += 1;
        start
    }

    fn spawn(&mut self, run: Run) -> State {
        let start = self.next_start();
        self.actions.push(Action::Swap(run.target.clone()));
        self.actions.push(Action::Spawn {
            start,
            target: run.target.clone(),
        });
        State::Starting {
            start,
            ready_by: self.after(run.target.settings.limits.ready),
            run,
            probe: None,
        }
    }

    /// The same run after a crash; a trial goes on where it was.
    pub(super) fn start_again(&mut self, run: Run) -> State {
        self.machine.restarts += 1;
        self.spawn(run)
    }

    pub(super) fn become_ready(&mut self, start: Start, run: Run) -> State {
        self.machine.problem = None;
        self.settle(&run);
        let limits = &run.target.settings.limits;
        State::Ready {
            start,
            good_at: run.trial.map(|_| self.after(limits.trial)),
            calm_at: Some(self.now + CALM),
            misses: 0,
            run,
            next: None,
        }
    }

    /// The trial is passed, or crashes are forgotten.
    pub(super) fn time_of_ready(&mut self, serving: Serving) -> Serving {
        let Serving {
            start,
            mut run,
            good_at,
            calm_at,
            misses,
        } = serving;
        let now = self.now;
        let to_come = |at: Option<Instant>| at.filter(|at| *at > now);
        if good_at.is_some() && to_come(good_at).is_none() {
            run.trial = None;
            self.machine.good = Some(run.target.clone());
        }
        if calm_at.is_some() && to_come(calm_at).is_none() {
            run.delay = first_delay(&run.target);
        }
        Serving {
            start,
            run,
            good_at: to_come(good_at),
            calm_at: to_come(calm_at),
            misses,
        }
    }

    /// A question to a process on trial was not answered: the time that it must be
    /// ready without a break begins anew with its next answer, and enough of them in a
    /// row are a crash. Where another one boots already, that is what ends it.
    pub(super) fn miss(
        &mut self,
        mut serving: Serving,
        next: Option<Next>,
        reason: String,
    ) -> State {
        let Some(trial) = serving.run.trial else {
            return serving.with(next);
        };
        serving.misses = serving.misses.saturating_add(1);
        serving.good_at = None;
        if next.is_some() {
            return serving.with(next);
        }
        if serving.misses < TRIAL_MISSES {
            self.machine.problem = Some(reason);
            return serving.with(None);
        }
        let Serving { start, run, .. } = serving;
        self.stopped_answering(start, run, trial, &reason)
    }

    /// It answers again.
    pub(super) fn answered(&mut self, serving: &mut Serving, comes_next: bool) {
        if serving.misses == 0 {
            return;
        }
        serving.misses = 0;
        let limits = &serving.run.target.settings.limits;
        serving.good_at = serving.run.trial.map(|_| self.after(limits.trial));
        if !comes_next {
            self.machine.problem = None;
        }
    }

    fn stopped_answering(
        &mut self,
        start: Start,
        mut run: Run,
        mut trial: Trial,
        reason: &str,
    ) -> State {
        let reason = format!("stopped answering: {reason}");
        self.actions.push(Action::KeepCrash(start));
        trial.crashes = trial.crashes.saturating_add(1);
        if trial.crashes >= TRIAL_CRASHES {
            self.refuse(start, &run, format!("{reason}, {} times", trial.crashes));
            return self.terminate(start, run);
        }
        self.machine.problem = Some(reason);
        run.trial = Some(trial);
        let then = Then::Backoff {
            run: run.clone(),
            delay: TRIAL_DELAY,
        };
        self.terminate_then(start, run, then)
    }

    /// Ends a process that was not ready: there is nothing to drain.
    pub(super) fn terminate(&mut self, start: Start, run: Run) -> State {
        self.terminate_then(start, run, Then::Wanted)
    }

    fn terminate_then(&mut self, start: Start, run: Run, then: Then) -> State {
        self.actions.push(Action::Terminate(start));
        State::Stopping {
            start,
            stage: Stage::Ending {
                kill_at: self.after(run.target.settings.limits.grace),
            },
            run,
            then,
        }
    }

    /// Kills, and says when to do so again.
    pub(super) fn kill(&mut self, start: Start) -> Stage {
        self.actions.push(Action::Kill(start));
        Stage::Ending {
            kill_at: self.now + KILL_AGAIN,
        }
    }

    pub(super) fn crash(&mut self, start: Start, run: Run, reason: String) -> State {
        self.actions.push(Action::Sweep(start));
        self.actions.push(Action::KeepCrash(start));
        match run.trial {
            Some(trial) => self.fail_on_trial(start, run, trial, reason),
            None => self.pause_after_failure(run, reason),
        }
    }

    /// The agent could not start a process. On trial the good target shall not wait
    /// for that to get better.
    pub(super) fn cannot_start(&mut self, start: Start, run: Run, reason: String) -> State {
        let good = self.machine.good.as_ref();
        let falls_back = good.is_some_and(|good| !self.is_refused(good));
        match run.trial.filter(|_| falls_back) {
            Some(trial) => self.fail_on_trial(start, run, trial, reason),
            None => self.pause_after_failure(run, reason),
        }
    }

    fn fail_on_trial(
        &mut self,
        start: Start,
        mut run: Run,
        mut trial: Trial,
        reason: String,
    ) -> State {
        trial.crashes += 1;
        if trial.crashes >= TRIAL_CRASHES {
            self.refuse(start, &run, format!("{reason}, {} times", trial.crashes));
            return self.begin();
        }
        self.machine.problem = Some(reason);
        run.trial = Some(trial);
        State::Backoff {
            run,
            until: self.after(TRIAL_DELAY),
        }
    }

    pub(super) fn not_ready_in_time(
        &mut self,
        start: Start,
        mut run: Run,
        probe: Option<String>,
    ) -> State {
        let limit = humantime::format_duration(run.target.settings.limits.ready);
        let reason = match probe {
            Some(probe) => format!("was not ready within {limit}: {probe}"),
            None => format!("was not ready within {limit}"),
        };
        self.actions.push(Action::KeepCrash(start));
        if run.trial.is_some() {
            self.refuse(start, &run, reason);
            return self.terminate(start, run);
        }
        self.machine.problem = Some(reason);
        let delay = next_delay(&mut run);
        let then = Then::Backoff {
            run: run.clone(),
            delay,
        };
        self.terminate_then(start, run, then)
    }

    pub(super) fn refuse(&mut self, start: Start, run: &Run, reason: String) {
        self.actions.push(Action::KeepRefusal(start));
        self.machine.problem = None;
        self.machine.settled = self.machine.settled.max(run.target.seq);
        self.machine.refused = Some(Refusal {
            build: run.target.build.clone(),
            seq: run.target.seq,
            reason,
            log: Vec::new(),
            unavailable_ms: None,
        });
    }

    fn pause_after_failure(&mut self, mut run: Run, reason: String) -> State {
        self.machine.problem = Some(reason);
        let delay = next_delay(&mut run);
        State::Backoff {
            run,
            until: self.after(delay),
        }
    }
}

impl Turn {
    /// The moment when this time has passed.
    pub(super) fn after(&self, time: Duration) -> Instant {
        self.now + time.min(NEVER)
    }
}

fn first_delay(target: &Target) -> Duration {
    target.settings.limits.crash_delay.max(SHORTEST_DELAY)
}

/// The delay after a failure, on trial or not.
pub(super) fn delay_after_failure(run: &mut Run) -> Duration {
    if run.trial.is_some_and(|trial| trial.crashes < TRIAL_CRASHES) {
        TRIAL_DELAY
    } else {
        next_delay(run)
    }
}

/// The delay that is due, and twice as long the next time.
pub(super) fn next_delay(run: &mut Run) -> Duration {
    let delay = run.delay;
    let longest = LONGEST_DELAY.max(first_delay(&run.target));
    run.delay = delay.saturating_mul(2).min(longest);
    delay
}
