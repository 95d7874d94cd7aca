//! The pure machine: what was asked and what happened go in, what to do comes out.
//!
//! ```text
//!            wanted: swap, spawn                     at its gate, or cold: drain
//!   ┌──────┐             ┌──────────┐  ready  ┌─────────────────┐     ┌──────────┐
//!   │ Idle │────────────▶│ Starting │────────▶│ Ready           │────▶│ Stopping │
//!   └───▲──┘             └▲──▲───┬──┘         │   + next, which │     │ draining │
//!       │                 │  │   │ crash      │   boots beside  │     │ ending   │
//!       │       delay over│  │   ▼            └──────┬──────────┘     └──┬──┬──┬─┘
//!       │              ┌──┴──┴───┐     crash         │                   │  │  │
//!       │              │ Backoff │◀──────────────────┘     did not get   │  │  │
//!       │              └─────────┘◀──────────────────────────────────────┘  │  │
//!       │                    │                              ready in time   │  │
//!       │                 Starting ◀── gone: swap, open the next one's gate ┘  │
//!       │                             or swap, spawn                           │
//!       └──────────────────────────────────────────────── nothing wanted ──────┘
//! ```
//!
//! A change is *gated* where it can be: the next process boots beside the one that
//! serves and is held at its first `listen`; only then is the old one drained and
//! ended, and the gate opened. What fails before the gate never touches the old
//! process. A change is *cold* where the target says so, where the next process did
//! something before its gate that is not allowed beside another one, or where memory
//! does not suffice: the old process is gone before the new one is started, and
//! connections wait in the held socket. At most one process is past its gate.
//!
//! A target that is not known to be good is *on trial*, from its first start until
//! it was ready for `limits.trial` without a break: it is asked again and again, and an
//! answer that does not come begins that time anew. Three in a row are a crash. On trial, the third crash or a
//! start that is not ready in time *refuses* it: what still serves goes on, or the
//! good target is started again, or nothing where there is none. A refused (build,
//! number) is never started again.
//!
//! Left out: pids, sockets, files, clocks. They are the driver's.

mod transitions;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use lockgate_model::{Act, BuildId, Phase, Refusal};

use super::Target;

/// A start of a process. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Start(pub(crate) u64);

/// How many crashes on trial refuse a build. As many starts that the agent could not
/// make do so too where there is a good target: a port that is taken shall not keep
/// the gateway down.
pub(crate) const TRIAL_CRASHES: u32 = 3;

/// How many questions in a row go unanswered before a build on trial has stopped
/// answering: three, so that one long pause of its event loop is none.
pub(crate) const TRIAL_MISSES: u32 = 3;

/// The pause before the next start on trial: long enough for a log line to be read
/// by nobody, short enough that three starts of a broken build take about a second.
pub(crate) const TRIAL_DELAY: Duration = Duration::from_millis(200);

/// The longest pause after a crash.
pub(crate) const LONGEST_DELAY: Duration = Duration::from_mins(1);

/// The shortest pause after a crash: a build that dies at once must not take a core.
pub(crate) const SHORTEST_DELAY: Duration = Duration::from_millis(100);

/// Ready for so long, the next crash counts as the first again.
pub(crate) const CALM: Duration = Duration::from_secs(30);

/// As good as never, where a limit is longer than a clock can tell: a year.
pub(crate) const NEVER: Duration = Duration::from_hours(365 * 24);

/// What a drain may take beyond its limits: for an event loop that is busy.
pub(crate) const DRAIN_SLACK: Duration = Duration::from_secs(1);

/// When KILL is sent again to a process that is still there.
pub(crate) const KILL_AGAIN: Duration = Duration::from_secs(1);

/// What is asked of the supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nobody has asked yet.
    Unknown,
    /// This target runs.
    Run(Target),
    /// Nothing runs, by this statement; or, where its number asked for a target, by hand.
    Nothing { seq: u64, stopped: Option<Target> },
    /// Nothing runs, and the supervisor ends.
    End,
}

/// Something that was asked or that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one machine, and one event at a time"
)]
pub(crate) enum Event {
    /// Run this.
    Run(Target),
    /// Run nothing.
    Stop { seq: u64 },
    /// Start the same again, now.
    Restart,
    /// End a pause after a crash, if there is one.
    Hurry,
    /// Stop and end; asked again, kill.
    Shutdown,
    /// The process is held at its gate; before, it did this.
    AtGate { start: Start, seen: Vec<Act> },
    /// There is not memory enough to start this process beside the running one.
    NoRoom { start: Start, reason: String },
    /// The process has finished what it served.
    Drained { start: Start },
    /// The agent could not start a process: no fault of the build.
    SpawnFailed { start: Start, reason: String },
    /// The readiness probe was answered badly or not at all, and goes on.
    NotReady { start: Start, reason: String },
    /// The application is ready.
    Ready { start: Start },
    /// It was ready, is on trial, and a question was answered badly or not at all.
    Missed { start: Start, reason: String },
    /// It answers again.
    Answered { start: Start },
    /// The process is gone: `exited with code 1`. `killed`: by SIGKILL.
    Exited {
        start: Start,
        how: String,
        killed: bool,
    },
    /// Time has passed.
    Tick,
}

/// What the driver has to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Point the gateway's root at this target's release.
    Swap(Target),
    /// Start a process; its failure is an event. It stops at its gate.
    Spawn { start: Start, target: Target },
    /// The same beside a running one, if there is memory enough.
    SpawnBeside { start: Start, target: Target },
    /// Let the process pass its gate.
    Open(Start),
    /// End a process that has not passed its gate, and forget it.
    Discard(Start),
    /// Ask the process to finish what it serves and to accept nothing more.
    Drain { start: Start, how: Drain },
    /// Ask the process and its group to end.
    Terminate(Start),
    /// End the process and its group.
    Kill(Start),
    /// End what the process left behind when it went.
    Sweep(Start),
    /// Keep the last lines of its log as a crash.
    KeepCrash(Start),
    /// Keep the last lines of its log with the refusal.
    KeepRefusal(Start),
    /// Nothing runs and nothing will: clients shall be refused instead of waiting.
    CloseSockets,
    /// The supervisor is done.
    End,
}

/// How a process is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Drain {
    /// How long it still accepts and waits for idle connections.
    pub(crate) linger: Duration,
    /// How long requests in flight may take.
    pub(crate) limit: Duration,
    /// Whether another process comes after it.
    pub(crate) comes_back: bool,
}

/// How a process was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum How {
    /// The next one booted beside it.
    Gated,
    /// It was gone before; why, where it could have been otherwise.
    Cold(Option<String>),
}

/// A target that is being run, over several starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    /// What is run.
    pub(crate) target: Target,
    /// `None` when it is known to be good.
    pub(crate) trial: Option<Trial>,
    /// How long to pause after the next crash.
    pub(crate) delay: Duration,
}

/// How a trial goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Trial {
    /// Crashes so far.
    pub(crate) crashes: u32,
}

/// What boots, or will, beside the process that serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// It boots.
    Booting {
        start: Start,
        run: Run,
        gate_by: Instant,
    },
    /// It crashed and is started again later.
    Pause { run: Run, until: Instant },
}

impl Next {
    /// What is to be run.
    pub(crate) fn run(&self) -> &Run {
        match self {
            Self::Booting { run, .. } | Self::Pause { run, .. } => run,
        }
    }
}

/// How far a stop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It finishes what it serves, and is asked to end then.
    Draining { until: Instant },
    /// It was asked to end.
    Ending { kill_at: Instant },
}

/// What comes after a stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Then {
    /// Whatever is wanted then.
    Wanted,
    /// A pause and the same again: it was stopped since it did not get ready.
    Backoff { run: Run, delay: Duration },
    /// The process that is held at its gate.
    Open { start: Start, run: Run },
}

/// What the process does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// There is no process, and none is due.
    Idle,
    /// The process boots, or has passed its gate and is not ready yet.
    Starting {
        start: Start,
        run: Run,
        ready_by: Instant,
        /// What the probe said last.
        probe: Option<String>,
    },
    /// The application answers.
    Ready {
        start: Start,
        run: Run,
        /// When the trial is passed.
        good_at: Option<Instant>,
        /// When crashes are forgotten.
        calm_at: Option<Instant>,
        /// How many questions were not answered since it answered last.
        misses: u32,
        /// What will replace it.
        next: Option<Next>,
    },
    /// The process is to end.
    Stopping {
        start: Start,
        /// What it runs.
        run: Run,
        stage: Stage,
        then: Then,
    },
    /// There is no process; the next start is due later.
    Backoff { run: Run, until: Instant },
    /// The supervisor is done.
    Ended,
}

/// The state with what is remembered across states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    /// What the process does.
    pub(crate) state: State,
    /// What is asked.
    pub(crate) wish: Wish,
    /// The last target that passed its trial.
    pub(crate) good: Option<Target>,
    /// What was given up on last, without log lines.
    pub(crate) refused: Option<Refusal>,
    /// The highest number that is done with.
    pub(crate) settled: u64,
    /// Starts after a crash.
    pub(crate) restarts: u64,
    /// How the newest change was made.
    pub(crate) how: Option<How>,
    /// What a build did before its gate, where it did something.
    pub(crate) seen: Option<(BuildId, Vec<Act>)>,
    /// What went wrong last.
    pub(crate) problem: Option<String>,
    /// The agent's own `NODE_OPTIONS`, which processes inherit.
    pub(crate) node_options: Option<String>,
    /// The number of the next start.
    pub(crate) next_start: u64,
}

impl Machine {
    /// A machine at rest that knows what an earlier run of the agent learned, and the
    /// `NODE_OPTIONS` that processes inherit.
    pub(crate) fn new(
        good: Option<Target>,
        refused: Option<Refusal>,
        node_options: Option<String>,
    ) -> Self {
        Self {
            state: State::Idle,
            wish: Wish::Unknown,
            good,
            refused,
            settled: 0,
            restarts: 0,
            how: None,
            seen: None,
            problem: None,
            node_options,
            next_start: 1,
        }
    }

    /// When to come back with a `Tick`, if nothing else happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Idle | State::Ended => None,
            State::Starting { ready_by, .. } => Some(*ready_by),
            State::Ready {
                good_at,
                calm_at,
                next,
                ..
            } => {
                let next = next.as_ref().map(|next| match next {
                    Next::Booting { gate_by, .. } => *gate_by,
                    Next::Pause { until, .. } => *until,
                });
                [*good_at, *calm_at, next].into_iter().flatten().min()
            }
            State::Stopping { stage, .. } => Some(match stage {
                Stage::Draining { until } => *until,
                Stage::Ending { kill_at } => *kill_at,
            }),
            State::Backoff { until, .. } => Some(*until),
        }
    }

    /// The process that serves, or will as the next one, with the build it runs.
    pub(crate) fn process(&self) -> Option<(Start, &BuildId)> {
        match &self.state {
            State::Starting { start, run, .. }
            | State::Ready { start, run, .. }
            | State::Stopping { start, run, .. } => Some((*start, &run.target.build)),
            State::Idle | State::Backoff { .. } | State::Ended => None,
        }
    }

    /// The process beside it, which has not passed its gate.
    pub(crate) fn held(&self) -> Option<(Start, &BuildId)> {
        let (start, run) = match &self.state {
            State::Ready {
                next: Some(Next::Booting { start, run, .. }),
                ..
            }
            | State::Stopping {
                then: Then::Open { start, run },
                ..
            } => (start, run),
            State::Idle
            | State::Starting { .. }
            | State::Ready { .. }
            | State::Stopping { .. }
            | State::Backoff { .. }
            | State::Ended => return None,
        };
        Some((*start, &run.target.build))
    }

    /// Whether what runs, or is about to, is on trial.
    pub(crate) fn on_trial(&self) -> bool {
        match &self.state {
            State::Starting { run, .. } | State::Ready { run, .. } | State::Backoff { run, .. } => {
                run.trial.is_some()
            }
            State::Idle | State::Stopping { .. } | State::Ended => false,
        }
    }

    /// Whether it matters what this process answers when it is asked if it is ready.
    pub(crate) fn is_asked(&self, process: Start) -> bool {
        match &self.state {
            State::Starting { start, .. } => *start == process,
            State::Ready { start, run, .. } => *start == process && run.trial.is_some(),
            State::Idle | State::Stopping { .. } | State::Backoff { .. } | State::Ended => false,
        }
    }

    /// The state in the words of a report.
    pub(crate) fn phase(&self) -> Phase {
        match &self.state {
            State::Idle if self.wish == Wish::Unknown => Phase::Waiting,
            State::Idle | State::Ended => Phase::Stopped,
            State::Starting { .. } => Phase::Starting,
            State::Ready { next: None, .. } => Phase::Ready,
            State::Ready { next: Some(_), .. } => Phase::Booting,
            State::Stopping {
                stage: Stage::Draining { .. },
                ..
            } => Phase::Draining,
            State::Stopping { .. } => Phase::Stopping,
            State::Backoff { .. } => Phase::Backoff,
        }
    }
}

/// One step: from a state and an event to the next state and what to do.
pub(crate) fn step(machine: Machine, event: Event, now: Instant) -> (Machine, Vec<Action>) {
    transitions::step(machine, event, now)
}
