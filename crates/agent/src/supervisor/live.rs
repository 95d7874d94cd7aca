//! A process that the driver started, with all that belongs to it.

use std::time::{Duration, Instant};

use lockgate_model::BuildId;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::task::AbortHandle;

use crate::logs::Collector;
use crate::process::{self, Mark};

/// How long the last lines of a process that is gone may take to arrive.
const LAST_LINES: Duration = Duration::from_millis(200);

/// A started process.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) build: BuildId,
    pub(super) pid: Pid,
    pub(super) mark: Mark,
    pub(super) started: Instant,
    /// UNIX milliseconds.
    pub(super) since: u64,
    collector: Collector,
    probe: AbortHandle,
    /// When it was asked to end.
    pub(super) asked: Option<Instant>,
    killed: bool,
    /// Whether the process itself is gone.
    reaped: bool,
    /// How the process itself ended, while its group is waited for.
    ended: Option<String>,
}

impl Live {
    pub(super) fn new(
        build: BuildId,
        pid: Pid,
        mark: Mark,
        collector: Collector,
        probe: AbortHandle,
        (started, since): (Instant, u64),
    ) -> Self {
        Self {
            build,
            pid,
            mark,
            started,
            since,
            collector,
            probe,
            asked: None,
            killed: false,
            reaped: false,
            ended: None,
        }
    }

    /// Asks the process and its group to end.
    pub(super) fn terminate(&mut self, now: Instant) {
        self.asked = Some(now);
        self.probe.abort();
        process::signal(self.pid, Signal::SIGTERM);
    }

    /// Ends the process and its group.
    pub(super) fn kill(&mut self) {
        self.killed = true;
        if self.reaped {
            process::signal_rest(self.pid, Signal::SIGKILL);
        } else {
            process::signal(self.pid, Signal::SIGKILL);
        }
    }

    /// The process itself is about to be taken in. A group that was not asked to
    /// end has lost its head, and ends now, while its number is still its own.
    pub(super) fn before_reaped(&self) {
        if self.asked.is_none() {
            process::signal_rest(self.pid, Signal::SIGKILL);
        }
    }

    /// The process itself has ended.
    pub(super) fn reaped(&mut self, how: String) {
        self.probe.abort();
        self.reaped = true;
        self.ended = Some(how);
    }

    /// How it ended, once it has as a whole: where it was asked to, its group gets
    /// the same time as its head, since a wrapper may end before what it wraps.
    pub(super) fn gone(&mut self) -> Option<String> {
        let all = self.asked.is_none() || self.killed || !process::group_lives(self.pid);
        self.ended.take_if(|_| all)
    }

    /// The last lines it wrote; waits a moment for them where it has ended.
    pub(super) async fn last_lines(&mut self, count: usize) -> Vec<String> {
        if self.reaped {
            self.collector.drained(LAST_LINES).await;
        }
        self.collector.last(count)
    }

    /// Reads what the process has left in its pipes, then lets go of them.
    pub(super) async fn finish(mut self) {
        self.probe.abort();
        self.collector.drained(LAST_LINES).await;
    }
}
