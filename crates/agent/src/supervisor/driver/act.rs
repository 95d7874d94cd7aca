//! What the machine decided is done here: to sockets, processes and logs.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use lockgate_model::{BuildId, Phase};
use nix::sys::signal::Signal;
use tokio::time::sleep;
use tracing::warn;

use super::super::live::Live;
use super::super::machine::{Action, Drain, Event, Start};
use super::super::view::Cost;
use super::super::{Kind, Target, compile_cache};
use super::{Driver, wall_clock};
use crate::logs::{Stream, keep_crash, shortened};
use crate::memory::{self, SERVING};
use crate::probe::nothing_listens;
use crate::process::{in_words, sweep};

/// How long a process may take to hear that it is to drain. A second: an event loop
/// that is stuck for longer serves nobody.
const HEARD_WITHIN: Duration = Duration::from_secs(1);

/// How many processes a report names that were left behind.
const MOST_LEFT_BEHIND: usize = 20;

/// How many lines go with a refusal and into a crash log.
const REFUSAL_LINES: usize = 50;
const CRASH_LINES: usize = 100;

impl Driver {
    /// Does one thing that the machine decided; its failure is an event.
    pub(super) async fn act(&mut self, action: Action, now: Instant) -> Option<Event> {
        match action {
            Action::Swap(target) => self.swap(&target),
            Action::Spawn { start, target } => {
                if let Err(error) = self.start(start, &target, SERVING, now).await {
                    let reason = error.to_string();
                    return Some(Event::SpawnFailed { start, reason });
                }
            }
            Action::SpawnBeside { start, target } => {
                return self.start_beside(start, &target, now).await;
            }
            Action::Open(start) => return self.open(start, now),
            Action::Discard(start) => {
                if let Some(live) = self.live.remove(&start) {
                    self.discard(live);
                }
            }
            Action::Drain { start, how } => return self.drain(start, how, now),
            Action::Terminate(start) => {
                if let Some(live) = self.live.get_mut(&start) {
                    self.facts.watch.end_asked(now);
                    live.terminate(now);
                    let (pid, uncounted) = (live.pid, live.uncounted());
                    if let Some(why) = uncounted {
                        self.facts.cost.uncounted = uncounted;
                        self.say(&format!("process {pid} {why}"));
                    }
                }
            }
            Action::Kill(start) => {
                if let Some(live) = self.live.get_mut(&start) {
                    live.kill();
                    return live.gone(start);
                }
            }
            Action::Sweep(start) => {
                if let Some(live) = self.live.get(&start) {
                    let mark = live.mark.clone();
                    let swept = tokio::task::spawn_blocking(move || sweep(&mark)).await;
                    if let Ok(swept) = swept
                        && !swept.is_empty()
                    {
                        let words = in_words(&swept);
                        self.say(&format!(
                            "killed what was left behind: {}",
                            words.join(", ")
                        ));
                        self.facts.cost.left_behind = words;
                    }
                }
            }
            Action::KeepCrash(start) => self.keep_crash(start).await,
            Action::KeepRefusal(start) => self.keep_refusal(start).await,
            Action::CloseSockets => {
                self.sockets.close();
                self.facts.address = None;
                self.facts.sockets.clear();
            }
            Action::End => {}
        }
        None
    }

    /// Points the gateway's root at a release.
    fn swap(&mut self, target: &Target) {
        let swapped = (self.config.swap)(target);
        self.facts.problem = swapped.err().map(|error| {
            warn!(build = %target.build, %error, "cannot swap the gateway's root");
            format!(
                "cannot swap the gateway's root to build {}: {error}",
                target.build
            )
        });
    }

    async fn keep_refusal(&mut self, start: Start) {
        self.facts.refusal_log = match self.live.get_mut(&start) {
            Some(live) => shortened(live.last_lines(REFUSAL_LINES).await),
            // The agent could not start it.
            None => Vec::new(),
        };
        // What serves beside it goes on.
        let serves = self.machine.phase() == Phase::Ready;
        self.facts.refusal_unavailable_ms = serves.then_some(0);
        if let Some(refused) = &self.machine.refused {
            self.say(&format!(
                "build {} is refused: {}",
                refused.build, refused.reason
            ));
        }
    }

    /// Asks a process to finish what it serves. Where it has nobody to hear that, it
    /// is asked to end.
    fn drain(&mut self, start: Start, how: Drain, now: Instant) -> Option<Event> {
        if self.machine.held().is_none() {
            self.facts.watch.begin();
        }
        self.facts.cost = Cost::default();
        self.facts.watch.drain_asked(now);
        let heard = self.live.get_mut(&start).and_then(|live| live.drain(how));
        let Some(heard) = heard else {
            return Some(Event::Drained { start });
        };
        let found = self.found.clone();
        let waiting = self.tasks.spawn(async move {
            sleep(HEARD_WITHIN).await;
            if !heard.load(Ordering::Relaxed) {
                // Its event loop is stuck: it serves nobody, and will count nothing.
                let _ = found.send(Event::Drained { start }).await;
            }
        });
        if let Some(live) = self.live.get_mut(&start) {
            live.keep(waiting);
        }
        None
    }

    fn discard(&mut self, mut live: Live) {
        if live.is_reaped() {
            self.tasks.spawn(live.finish());
            return;
        }
        live.kill();
        self.say(&format!("process {} is discarded", live.pid));
        self.discarded.push(live);
    }

    /// Lets a process pass its gate.
    fn open(&mut self, start: Start, now: Instant) -> Option<Event> {
        let live = self.live.get_mut(&start)?;
        memory::settle(live.pid);
        if let Err(error) = live.open(now) {
            // It has just ended, and will be reaped.
            warn!(pid = %live.pid, %error, "cannot open the gate");
        }
        let port = self.sockets.first()?.port;
        let reason = nothing_listens(port);
        Some(Event::NotReady { start, reason })
    }

    /// Passes a signal on to the process that serves.
    pub(super) fn forward(&self, signal: Signal) {
        let process = self.machine.process();
        if let Some(live) = process.and_then(|(start, _)| self.live.get(&start)) {
            live.forward(signal);
        }
    }

    /// Ends what a discarded process has left behind.
    pub(super) fn sweep_behind(&mut self, live: &Live) {
        let (mark, swept) = (live.mark.clone(), self.swept.clone());
        self.tasks.spawn_blocking(move || {
            // Nobody hears of it where the driver has ended.
            let _ = swept.blocking_send(in_words(&sweep(&mark)));
        });
    }

    /// What was left behind by a discarded process is ended: for log and report.
    pub(super) fn note_swept(&mut self, words: Vec<String>) {
        if words.is_empty() {
            return;
        }
        self.say(&format!(
            "killed what a discarded process had left behind: {}",
            words.join(", ")
        ));
        let left = &mut self.facts.cost.left_behind;
        left.extend(words);
        left.truncate(MOST_LEFT_BEHIND);
    }

    async fn keep_crash(&mut self, start: Start) {
        let Some(live) = self.live.get_mut(&start) else {
            return;
        };
        let lines = live.last_lines(CRASH_LINES).await;
        let refused = self.machine.refused.as_ref().map(|it| it.reason.as_str());
        let why = self
            .machine
            .problem
            .as_deref()
            .or(refused)
            .unwrap_or("ended");
        let what = match self.config.kind {
            Kind::Application => format!("build {}, process {}: {why}", live.build, live.pid),
            Kind::Service(_) => format!("process {}: {why}", live.pid),
        };
        self.say(&what);
        let at = humantime::format_rfc3339_millis(wall_clock());
        if let Err(error) = keep_crash(&self.config.state_dir, &format!("{at} {what}"), &lines) {
            warn!(%error, folder = %self.config.state_dir.display(), "cannot keep the crash");
        }
    }

    /// Removes what Node compiled for builds that are not run any more.
    pub(super) fn prune_compile_cache(&mut self) {
        let mut keep: Vec<BuildId> = self.live.values().map(|live| live.build.clone()).collect();
        keep.extend(self.machine.good.iter().map(|good| good.build.clone()));
        let state_dir = self.config.state_dir.clone();
        self.tasks
            .spawn_blocking(move || compile_cache::prune(&state_dir, &keep));
    }

    /// Writes a line of the agent's own into the application's log.
    pub(super) fn say(&self, text: &str) {
        self.log.line(wall_clock(), Stream::Agent, text.to_owned());
    }
}
