//! The machine's state and the driver's facts as callers see them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lockgate_model::{Refusal, Running, Timings};

use super::Snapshot;
use super::machine::{Machine, Wish};

/// What only the driver knows.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The log lines of the refused build.
    pub(super) refusal_log: Vec<String>,
    /// What went wrong beside the machine's own problem: a swap that failed.
    pub(super) problem: Option<String>,
    /// Where the first socket listens.
    pub(super) address: Option<SocketAddr>,
    /// The newest change.
    pub(super) watch: Stopwatch,
}

/// Times the steps of the newest change.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    asked: Option<Instant>,
    timings: Timings,
}

impl Stopwatch {
    /// A process was asked to end: the change begins.
    pub(super) fn stopping(&mut self, now: Instant) {
        *self = Self {
            asked: Some(now),
            timings: Timings::default(),
        };
    }

    /// The process has ended, by itself or not.
    pub(super) fn stopped(&mut self, asked: Option<Instant>, now: Instant) {
        match asked {
            Some(asked) => self.timings.stop_ms = Some(millis(now - asked)),
            // A crash is no change, but from here on nobody answers.
            None => self.stopping(now),
        }
    }

    /// The application answers.
    pub(super) fn ready(&mut self, started: Instant, now: Instant) {
        self.timings.start_ms = Some(millis(now - started));
        self.timings.unavailable_ms = self.asked.take().map(|asked| millis(now - asked));
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Composes what callers see.
pub(super) fn snapshot(machine: &Machine, running: Option<Running>, facts: &Facts) -> Snapshot {
    let wanted = match &machine.wish {
        Wish::Run(target) => Some(target.clone()),
        Wish::Unknown | Wish::Nothing { .. } | Wish::End => None,
    };
    let refused = machine.refused.as_ref().map(|refused| Refusal {
        log: facts.refusal_log.clone(),
        ..refused.clone()
    });
    Snapshot {
        phase: machine.phase(),
        wanted,
        running,
        on_trial: machine.on_trial(),
        good: machine.good.clone(),
        refused,
        settled: machine.settled,
        restarts: machine.restarts,
        problem: machine.problem.clone().or_else(|| facts.problem.clone()),
        timings: facts.watch.timings.clone(),
        change: None,
        address: facts.address,
    }
}
