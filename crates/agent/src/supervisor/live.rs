//! A process that the driver started, with all that belongs to it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lockgate_model::BuildId;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::task::AbortHandle;

use super::machine::{Drain, Event, Start};
use crate::gate::Gate;
use crate::logs::Collector;
use crate::probe::Probe;
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
    /// Its channel; `None` where it gets none.
    gate: Option<Gate>,
    /// How it is asked whether it is ready, once it listens.
    asking: Option<Probe>,
    /// Whether it has said anything: it is Node with the preload.
    pub(super) speaks: bool,
    /// Whether it has heard that it is to drain, where it was asked to and has not said
    /// yet what that cost.
    heard: Option<Arc<AtomicBool>>,
    /// What listens to it.
    tasks: Vec<AbortHandle>,
    /// What asks it whether it is ready.
    asks: Option<AbortHandle>,
    /// When it passed its gate, where it was held beside another one.
    pub(super) opened: Option<Instant>,
    /// When it was asked to end.
    pub(super) asked: Option<Instant>,
    killed: bool,
    /// Whether the process itself is gone.
    reaped: bool,
    /// How the process itself ended, and whether it was killed, while its group is
    /// waited for.
    ended: Option<(String, bool)>,
}

impl Live {
    pub(super) fn new(
        build: BuildId,
        pid: Pid,
        mark: Mark,
        (collector, gate): (Collector, Option<Gate>),
        asking: Option<Probe>,
        (started, since): (Instant, u64),
    ) -> Self {
        Self {
            build,
            pid,
            mark,
            started,
            since,
            collector,
            gate,
            asking,
            speaks: false,
            heard: None,
            tasks: Vec::new(),
            asks: None,
            opened: None,
            asked: None,
            killed: false,
            reaped: false,
            ended: None,
        }
    }

    /// Something that is done with the process.
    pub(super) fn keep(&mut self, task: AbortHandle) {
        self.tasks.push(task);
    }

    /// What asks it whether it is ready.
    pub(super) fn asked_by(&mut self, task: AbortHandle) {
        self.asks = Some(task);
    }

    /// Nobody wants to know any more.
    pub(super) fn stop_asking(&mut self) {
        if let Some(task) = self.asks.take() {
            task.abort();
        }
    }

    /// How it is asked whether it is ready; asked for once.
    pub(super) fn asking(&mut self) -> Option<Probe> {
        self.asking.take()
    }

    /// Lets it pass its gate.
    pub(super) fn open(&mut self, now: Instant) -> io::Result<()> {
        self.opened = Some(now);
        self.gate.as_ref().map_or(Ok(()), Gate::open)
    }

    /// Asks it to drain; tells by the returned value whether it has heard that,
    /// later. `None` where there is nobody to hear it.
    pub(super) fn drain(&mut self, how: Drain) -> Option<Arc<AtomicBool>> {
        let asked = (self.gate.as_ref()?).drain(how.linger, how.limit, how.comes_back);
        self.heard = (self.speaks && asked.is_ok()).then(Arc::default);
        self.heard.clone()
    }

    /// It has heard that it is to drain.
    pub(super) fn lingers(&self) {
        if let Some(heard) = &self.heard {
            heard.store(true, Ordering::Relaxed);
        }
    }

    /// It has said what its drain cost.
    pub(super) fn drained(&mut self) {
        self.heard = None;
    }

    /// What is to be said of it where it has not counted what it cuts.
    pub(super) fn uncounted(&self) -> Option<&'static str> {
        let heard = self.heard.as_ref()?;
        Some(if heard.load(Ordering::Relaxed) {
            "did not finish its drain in time; what it was answering may be cut"
        } else {
            "did not hear that it was to drain; what it was answering may be cut"
        })
    }

    fn leave_alone(&mut self) {
        self.stop_asking();
        for task in self.tasks.drain(..) {
            task.abort();
        }
    }

    /// Asks the process and its group to end.
    pub(super) fn terminate(&mut self, now: Instant) {
        self.asked = Some(now);
        process::signal(self.pid, Signal::SIGTERM);
    }

    /// Passes a signal on to the process alone.
    pub(super) fn forward(&self, signal: Signal) {
        if !self.reaped {
            process::signal_one(self.pid, signal);
        }
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

    /// The process itself has ended, `killed` by SIGKILL or otherwise.
    pub(super) fn reaped(&mut self, how: String, killed: bool) {
        self.leave_alone();
        self.reaped = true;
        self.ended = Some((how, killed));
    }

    /// Whether the process itself has ended and been taken in.
    pub(super) fn is_reaped(&self) -> bool {
        self.reaped
    }

    /// How it ended, once it has as a whole: where it was asked to, its group gets
    /// the same time as its head, since a wrapper may end before what it wraps.
    pub(super) fn gone(&mut self, start: Start) -> Option<Event> {
        let all = self.asked.is_none() || self.killed || !process::group_lives(self.pid);
        let (how, killed) = self.ended.take_if(|_| all)?;
        Some(Event::Exited { start, how, killed })
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
        self.leave_alone();
        self.collector.drained(LAST_LINES).await;
    }
}
