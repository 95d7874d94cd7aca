//! The driver: owns the one `select!` and does what the machine decides.
//!
//! ```text
//!   commands ─┐
//!   SIGCHLD  ─┤            ┌─▶ sockets, process, probe
//!   probes   ─┤
//!   preloads ─┼▶ step ─────┼─▶ logs
//!   deadline ─┘            └─▶ Snapshot
//! ```
//!
//! It holds no policy. `prepare` opens what it needs, `act` does what was decided,
//! `start` starts processes, `hear` listens to them.

mod act;
mod hear;
mod prepare;
mod start;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lockgate_model::{Phase, Running};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};
use tracing::{debug, info, warn};

use super::live::Live;
use super::machine::{Event, Machine, Start, State, step};
use super::view::{Facts, snapshot};
use super::{Command, Snapshot, SupervisorConfig};
use crate::gate::Message;
use crate::listener::Sockets;
use crate::logs::Log;
use crate::process::Spawner;
use crate::reaper::Reaper;

/// How long the last log lines may take to be written at the agent's end.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The supervisor's working parts.
pub(super) struct Driver {
    config: SupervisorConfig,
    machine: Machine,
    commands: mpsc::Receiver<Command>,
    shown: watch::Sender<Snapshot>,
    /// What probes find out.
    found: mpsc::Sender<Event>,
    findings: mpsc::Receiver<Event>,
    /// What processes say over their channels.
    says: mpsc::Sender<(Start, Message)>,
    said: mpsc::Receiver<(Start, Message)>,
    /// What discarded processes had left behind.
    swept: mpsc::Sender<Vec<String>>,
    sweepings: mpsc::Receiver<Vec<String>>,
    spawner: Arc<Spawner>,
    reaper: Reaper,
    sockets: Sockets,
    log: Log,
    /// Resolves when the log is written, after `log` is dropped.
    written: oneshot::Receiver<()>,
    /// `None` where what is supervised gets no sockets.
    preload: Option<PathBuf>,
    live: BTreeMap<Start, Live>,
    /// Killed before they passed their gates, and not gone yet.
    discarded: Vec<Live>,
    /// Probes, and readers of what ended processes have left in their pipes.
    tasks: JoinSet<()>,
    facts: Facts,
}

impl Driver {
    /// What starts processes, also for others.
    pub(super) fn spawner(&self) -> Arc<Spawner> {
        Arc::clone(&self.spawner)
    }

    /// Runs until the machine has ended.
    pub(super) async fn drive(mut self) {
        let mut handles_left = true;
        // Children from before the agent's program: their signal came too early.
        self.reap();
        while self.machine.state != State::Ended {
            let deadline = self.machine.deadline();
            let due = deadline.unwrap_or_else(now).into();
            let events = tokio::select! {
                command = self.commands.recv(), if handles_left => {
                    handles_left = command.is_some();
                    match command {
                        Some(Command::Forward(signal)) => {
                            self.forward(signal);
                            Vec::new()
                        }
                        Some(Command::Run(target)) => vec![Event::Run(*target)],
                        Some(Command::Stop { seq }) => vec![Event::Stop { seq }],
                        Some(Command::Restart) => vec![Event::Restart],
                        Some(Command::Hurry) => vec![Event::Hurry],
                        // Without a handle nobody could ask for the end any more.
                        Some(Command::Shutdown) | None => vec![Event::Shutdown],
                    }
                }
                Some(found) = self.findings.recv() => vec![found],
                Some((start, message)) = self.said.recv() => {
                    self.hear(start, message).into_iter().collect()
                }
                Some(words) = self.sweepings.recv() => {
                    self.note_swept(words);
                    Vec::new()
                }
                () = self.reaper.wait() => self.reap(),
                () = sleep_until(due), if deadline.is_some() => vec![Event::Tick],
                // Tasks that are done need no more than to be taken away.
                Some(_) = self.tasks.join_next() => Vec::new(),
            };
            self.happen(events.into()).await;
        }
        // They were killed and cannot take long.
        let _ = timeout(LAST_LINES, self.reap_discarded()).await;
        for live in self.discarded.drain(..) {
            self.tasks.spawn(live.finish());
        }
        while self.tasks.join_next().await.is_some() {
            while let Ok(words) = self.sweepings.try_recv() {
                self.note_swept(words);
            }
        }
        drop(self.log);
        // A disk or a terminal that hangs must not hold up the end of the agent.
        let _ = timeout(LAST_LINES, self.written).await;
    }

    async fn reap_discarded(&mut self) {
        while !self.discarded.is_empty() {
            self.reaper.wait().await;
            self.reap();
        }
    }

    /// Takes in events, and those that come of them.
    async fn happen(&mut self, mut events: VecDeque<Event>) {
        while let Some(event) = events.pop_front() {
            let now = now();
            let before = self.machine.phase();
            debug!(?event, "event");
            self.time(&event, now);
            let (machine, actions) = step(self.machine.clone(), event, now);
            self.machine = machine;
            self.tell(before);
            for action in actions {
                events.extend(self.act(action, now).await);
            }
            self.let_go_of_the_dead();
            let asked = |start: &Start| self.machine.is_asked(*start);
            for (_, live) in self.live.iter_mut().filter(|(start, _)| !asked(start)) {
                live.stop_asking();
            }
            if self.machine.phase() == Phase::Ready && before != Phase::Ready {
                self.prune_compile_cache();
            }
        }
        self.show();
    }

    /// Notes the times that are the driver's to know.
    fn time(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Ready { start } => {
                if let Some(live) = self.live.get(start).filter(|it| it.asked.is_none()) {
                    let since = live.opened.unwrap_or(live.started);
                    self.facts.watch.ready(since, now);
                    let refused = self.machine.refused.is_some();
                    if refused && self.facts.refusal_unavailable_ms.is_none() {
                        self.facts.refusal_unavailable_ms = self.facts.watch.unavailable_ms();
                    }
                    self.sockets.deepen();
                }
            }
            Event::Exited { start, .. } => {
                // What boots beside another one was never missed.
                if self.machine.process().is_some_and(|(it, _)| it == *start) {
                    let asked = self.live.get(start).is_some_and(|it| it.asked.is_some());
                    // One that ends while it drains ends within a change that has begun.
                    let drains = self.machine.phase() == Phase::Draining;
                    if !asked && !drains && !self.machine.on_trial() {
                        self.facts.watch.begin();
                    }
                    self.facts.watch.ended(now);
                }
            }
            Event::AtGate { start, .. } => {
                if let Some(live) = self.live.get(start) {
                    self.facts.watch.at_gate(live.started, now);
                }
            }
            Event::Run(_)
            | Event::Stop { .. }
            | Event::Restart
            | Event::Hurry
            | Event::Shutdown
            | Event::NoRoom { .. }
            | Event::Drained { .. }
            | Event::SpawnFailed { .. }
            | Event::NotReady { .. }
            | Event::Missed { .. }
            | Event::Answered { .. }
            | Event::Tick => {}
        }
    }

    /// Logs a transition.
    fn tell(&self, before: Phase) {
        let after = self.machine.phase();
        if before == after {
            return;
        }
        let build = self.machine.process().map(|(_, build)| build.as_str());
        let (before, after) = (before.as_str(), after.as_str());
        if let Some(problem) = &self.machine.problem {
            warn!(build, before, after, problem, "application");
        } else {
            info!(build, before, after, "application");
        }
    }

    /// Takes in processes that have ended.
    fn reap(&mut self) -> Vec<Event> {
        let live = &self.live;
        let gone = self.reaper.reap(|pid| {
            if let Some(live) = live.values().find(|live| live.pid == pid) {
                live.before_reaped();
            }
        });
        for gone in gone {
            let ours = self.live.values_mut().find(|live| live.pid == gone.pid);
            if let Some(live) = ours {
                live.reaped(gone.how, gone.killed);
            } else if let Some(place) = self.discarded.iter().position(|it| it.pid == gone.pid) {
                let live = self.discarded.swap_remove(place);
                self.sweep_behind(&live);
                self.tasks.spawn(live.finish());
            } else {
                debug!(pid = %gone.pid, how = gone.how, "an orphan ended");
            }
        }
        // Also where only a member of a group has ended: it may have been the last.
        let all = self.live.iter_mut();
        all.filter_map(|(start, live)| live.gone(*start)).collect()
    }

    /// Forgets processes that the machine knows no more.
    fn let_go_of_the_dead(&mut self) {
        let process = self.machine.process().map(|(start, _)| start);
        let held = self.machine.held().map(|(start, _)| start);
        let known = [process, held];
        let dead: Vec<Start> = self
            .live
            .keys()
            .filter(|it| !known.contains(&Some(**it)))
            .copied()
            .collect();
        for start in dead {
            if let Some(live) = self.live.remove(&start) {
                self.tasks.spawn(live.finish());
            }
        }
    }

    /// Shows the newest snapshot, when it says something new.
    fn show(&self) {
        let process = self.machine.process();
        let live = process.and_then(|(start, _)| self.live.get(&start));
        let running = live.map(|live| Running {
            build: live.build.clone(),
            pid: live.pid.as_raw().unsigned_abs(),
            since: live.since,
        });
        let new = snapshot(&self.machine, running, &self.facts);
        self.shown.send_if_modified(|old| {
            let modified = *old != new;
            *old = new;
            modified
        });
    }
}

#[expect(clippy::disallowed_methods, reason = "the driver has the clock")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the driver has the clock")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

fn unix_millis() -> u64 {
    let since = wall_clock().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
