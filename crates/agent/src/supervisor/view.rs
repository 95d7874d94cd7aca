//! The machine's state and the driver's facts as callers see them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lockgate_model::{Change, Refusal, Running, Timings};

use super::Snapshot;
use super::machine::{How, Machine, Wish};

/// What only the driver knows.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The log lines of the refused build.
    pub(super) refusal_log: Vec<String>,
    /// What went wrong beside the machine's own problem: a swap that failed.
    pub(super) problem: Option<String>,
    /// Where the first socket listens.
    pub(super) address: Option<SocketAddr>,
    /// The port of each socket and where it listens, or should.
    pub(super) sockets: Vec<(u16, SocketAddr)>,
    /// How long nothing answered because of the refused build.
    pub(super) refusal_unavailable_ms: Option<u64>,
    /// The newest change.
    pub(super) watch: Stopwatch,
    /// What it cost.
    pub(super) cost: Cost,
}

/// What a change cost.
#[derive(Debug, Default)]
pub(super) struct Cost {
    /// Requests that were cut.
    pub(super) cut: u64,
    /// Why more of them may be cut than are counted.
    pub(super) uncounted: Option<&'static str>,
    /// WebSockets that were closed.
    pub(super) websockets: u64,
    /// Processes that were left behind and killed.
    pub(super) left_behind: Vec<String>,
}

/// Times the steps of the newest change.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    drain_asked: Option<Instant>,
    end_asked: Option<Instant>,
    /// Since when nothing answers.
    down_since: Option<Instant>,
    /// How long nothing answered before that.
    down: Duration,
    timings: Timings,
}

impl Stopwatch {
    /// A change begins.
    pub(super) fn begin(&mut self) {
        *self = Self::default();
    }

    /// The next process is held at its gate.
    pub(super) fn at_gate(&mut self, started: Instant, now: Instant) {
        self.timings.boot_ms = Some(millis(now - started));
    }

    /// The old process was asked to drain.
    pub(super) fn drain_asked(&mut self, now: Instant) {
        self.drain_asked = Some(now);
    }

    /// From here on nobody answers.
    pub(super) fn down(&mut self, now: Instant) {
        self.down_since.get_or_insert(now);
    }

    /// The old process was asked to end.
    pub(super) fn end_asked(&mut self, now: Instant) {
        let drain = self.drain_asked.take();
        self.timings.drain_ms = drain.map(|asked| millis(now - asked));
        self.end_asked = Some(now);
        self.down(now);
    }

    /// The process has ended, by itself or not.
    pub(super) fn ended(&mut self, now: Instant) {
        if let Some(asked) = self.drain_asked.take() {
            self.timings.drain_ms = Some(millis(now - asked));
        }
        if let Some(asked) = self.end_asked.take() {
            self.timings.stop_ms = Some(millis(now - asked));
        }
        self.down(now);
    }

    /// The application answers.
    pub(super) fn ready(&mut self, started: Instant, now: Instant) {
        self.timings.start_ms = Some(millis(now - started));
        if let Some(since) = self.down_since.take() {
            self.down += now - since;
            self.timings.unavailable_ms = Some(millis(self.down));
        }
    }

    /// How long nothing answered, once something does again.
    pub(super) fn unavailable_ms(&self) -> Option<u64> {
        self.timings.unavailable_ms
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
        unavailable_ms: facts.refusal_unavailable_ms,
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
        change: machine.how.as_ref().map(|how| change(how, &facts.cost)),
        address: facts.address,
        sockets: facts.sockets.clone(),
    }
}

fn change(how: &How, cost: &Cost) -> Change {
    Change {
        gated: *how == How::Gated,
        why_cold: match how {
            How::Cold(why) => why.clone(),
            How::Gated => None,
        },
        cut: cost.cut,
        uncounted: cost.uncounted.map(|why| format!("the old process {why}")),
        websockets: cost.websockets,
        left_behind: cost.left_behind.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moments, in milliseconds from some beginning.
    struct Clock(Instant);

    impl Clock {
        #[expect(clippy::disallowed_methods, reason = "any beginning will do")]
        fn new() -> Self {
            Self(Instant::now())
        }

        fn at(&self, ms: u64) -> Instant {
            self.0 + Duration::from_millis(ms)
        }
    }

    #[test]
    fn nothing_answers_from_the_end_of_accepting_to_the_first_answer() {
        let (clock, mut watch) = (Clock::new(), Stopwatch::default());
        watch.begin();
        watch.at_gate(clock.at(0), clock.at(600));
        watch.drain_asked(clock.at(610));
        watch.down(clock.at(700));
        watch.end_asked(clock.at(900));
        watch.ended(clock.at(950));
        assert_eq!(watch.unavailable_ms(), None);
        watch.ready(clock.at(951), clock.at(1000));
        let expected = Timings {
            boot_ms: Some(600),
            drain_ms: Some(290),
            stop_ms: Some(50),
            start_ms: Some(49),
            unavailable_ms: Some(300),
            ..Timings::default()
        };
        assert_eq!(watch.timings, expected);
    }

    #[test]
    fn a_process_that_does_not_say_when_it_stops_accepting_does_so_when_it_is_told_to_end() {
        let (clock, mut watch) = (Clock::new(), Stopwatch::default());
        watch.begin();
        watch.drain_asked(clock.at(0));
        watch.end_asked(clock.at(1000));
        watch.ended(clock.at(1020));
        watch.ready(clock.at(1020), clock.at(1500));
        assert_eq!(watch.timings.drain_ms, Some(1000));
        assert_eq!(watch.unavailable_ms(), Some(500));
    }

    #[test]
    fn the_times_of_a_trial_in_which_nothing_answered_are_added() {
        let (clock, mut watch) = (Clock::new(), Stopwatch::default());
        watch.begin();
        watch.drain_asked(clock.at(0));
        watch.ended(clock.at(100));
        assert_eq!(watch.timings.drain_ms, Some(100));
        watch.ready(clock.at(100), clock.at(150));
        // It crashes, answers again, crashes, and the one before comes back.
        watch.ended(clock.at(1000));
        watch.ready(clock.at(1200), clock.at(1300));
        watch.ended(clock.at(2000));
        watch.ended(clock.at(2400));
        watch.ready(clock.at(2500), clock.at(3000));
        assert_eq!(watch.unavailable_ms(), Some(50 + 300 + 1000));
        // A change of its own begins at nothing.
        watch.begin();
        watch.ended(clock.at(5000));
        watch.ready(clock.at(5000), clock.at(5007));
        assert_eq!(watch.unavailable_ms(), Some(7));
    }
}
