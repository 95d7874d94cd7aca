//! What the machine decided is done here: to sockets, processes and logs.

use std::io;
use std::time::Instant;

use lockgate_model::BuildId;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::sync::mpsc;
use tracing::warn;

use super::super::environment::{self, Parts};
use super::super::live::Live;
use super::super::machine::{Action, Event, Start};
use super::super::{Target, compile_cache};
use super::{Driver, unix_millis, wall_clock};
use crate::listener::{DUPLICATES, HoldError};
use crate::logs::{Collector, Stream, keep_crash, shortened};
use crate::memory;
use crate::probe::{Probe, Where};
use crate::process::{Launch, Mark, SpawnError, sweep};

/// How many lines go with a refusal and into a crash log.
const REFUSAL_LINES: usize = 50;
const CRASH_LINES: usize = 100;

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Hold(#[from] HoldError),
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error("cannot hand over the sockets: {0}")]
    Sockets(io::Error),
    #[error("cannot read the pipes of process {0}: {1}")]
    Pipes(Pid, io::Error),
}

impl Driver {
    /// Does one thing that the machine decided; its failure is an event.
    pub(super) async fn act(&mut self, action: Action, now: Instant) -> Option<Event> {
        match action {
            Action::Swap(target) => {
                let swapped = (self.config.swap)(&target);
                self.facts.problem = swapped.err().map(|error| {
                    warn!(build = %target.build, %error, "cannot swap the gateway's root");
                    format!(
                        "cannot swap the gateway's root to build {}: {error}",
                        target.build
                    )
                });
            }
            Action::Spawn { start, target } => {
                if let Err(error) = self.spawn(start, &target, now).await {
                    let reason = error.to_string();
                    return Some(Event::SpawnFailed { start, reason });
                }
            }
            Action::Terminate(start) => {
                if let Some(live) = self.live.get_mut(&start) {
                    self.facts.watch.stopping(now);
                    live.terminate(now);
                }
            }
            Action::Kill(start) => {
                if let Some(live) = self.live.get_mut(&start) {
                    live.kill();
                    return live.gone().map(|how| Event::Exited { start, how });
                }
            }
            Action::Sweep(start) => {
                if let Some(live) = self.live.get(&start) {
                    let mark = live.mark.clone();
                    let swept = tokio::task::spawn_blocking(move || sweep(&mark)).await;
                    if let Ok(count @ 1..) = swept {
                        self.say(&format!("ended {count} processes that were left behind"));
                    }
                }
            }
            Action::KeepCrash(start) => self.keep_crash(start).await,
            Action::KeepRefusal(start) => {
                self.facts.refusal_log = match self.live.get_mut(&start) {
                    Some(live) => shortened(live.last_lines(REFUSAL_LINES).await),
                    // The agent could not start it.
                    None => Vec::new(),
                };
                if let Some(refused) = &self.machine.refused {
                    self.say(&format!(
                        "build {} is refused: {}",
                        refused.build, refused.reason
                    ));
                }
            }
            Action::CloseSockets => {
                self.sockets.close();
                self.facts.address = None;
            }
            Action::End => {}
        }
        None
    }

    async fn spawn(
        &mut self,
        start: Start,
        target: &Target,
        now: Instant,
    ) -> Result<(), StartError> {
        let settings = &target.settings;
        self.sockets
            .hold(&settings.socket, self.config.app_address)?;
        self.facts.address = self.sockets.first().map(|held| held.address);
        let mark = Mark::new(&self.config.state_dir, std::process::id(), start.0);
        let sockets: Vec<_> = self
            .sockets
            .iter()
            .map(|it| (it.port, it.address))
            .collect();
        let environment = environment::compose(&Parts {
            base: &self.config.environment,
            settings,
            sockets: &sockets,
            duplicates: DUPLICATES,
            preload: &self.preload,
            compile_cache: &compile_cache::folder(&self.config.state_dir, &target.build),
            mark: mark.variable(),
        });
        let asking = self.probe(target)?;
        let process = self
            .spawner
            .spawn(Launch {
                command: settings.command.clone(),
                cwd: target.release.join(&settings.cwd),
                environment,
                descriptors: self.sockets.duplicates().map_err(StartError::Sockets)?,
                oom_score_adj: memory::SERVING,
            })
            .await?;
        let pid = process.pid;
        self.say(&format!("starting build {} as process {pid}", target.build));
        let collector =
            Collector::start(process.stdout, process.stderr, &self.log).map_err(|error| {
                crate::process::signal(pid, Signal::SIGKILL);
                StartError::Pipes(pid, error)
            })?;
        let probe = self.tasks.spawn(probe(start, asking, self.found.clone()));
        let at = (now, unix_millis());
        let live = Live::new(target.build.clone(), pid, mark, collector, probe, at);
        self.live.insert(start, live);
        Ok(())
    }

    /// How the target is asked whether it is ready; `None` where it has no socket.
    fn probe(&self, target: &Target) -> Result<Option<Probe>, StartError> {
        let Some(held) = self.sockets.first() else {
            return Ok(None);
        };
        Ok(Some(Probe {
            at: Where::Public {
                address: held.address,
                inode: held.inode().map_err(StartError::Sockets)?,
            },
            port: held.port,
            readiness: target.settings.ready.clone(),
        }))
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
        let at = humantime::format_rfc3339_millis(wall_clock());
        let heading = format!("{at} build {}, process {}: {why}", live.build, live.pid);
        self.log.line(wall_clock(), Stream::Agent, heading.clone());
        if let Err(error) = keep_crash(&self.config.state_dir, &heading, &lines) {
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
    fn say(&self, text: &str) {
        self.log.line(wall_clock(), Stream::Agent, text.to_owned());
    }
}

/// Asks until the application is ready. Without a socket it is, once it is started.
async fn probe(start: Start, probe: Option<Probe>, found: mpsc::Sender<Event>) {
    if let Some(probe) = probe {
        // Where the driver is too busy to hear it, it is no news either.
        let not_ready = |reason| drop(found.try_send(Event::NotReady { start, reason }));
        probe.ready(not_ready).await;
    }
    // A driver that has ended does not care.
    let _ = found.send(Event::Ready { start }).await;
}
