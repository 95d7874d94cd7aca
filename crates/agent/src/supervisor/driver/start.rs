//! Starts processes.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::time::Instant;

use lockgate_model::AppSocket;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::sync::mpsc;

use super::super::environment::{self, Composed, Parts};
use super::super::live::Live;
use super::super::machine::{Event, Start};
use super::super::{Kind, Target, compile_cache};
use super::{Driver, unix_millis};
use crate::check::{Answered, Check};
use crate::config_conf;
use crate::gate::{Gate, Message, Messages};
use crate::inspect::Inspect;
use crate::listener::{DUPLICATES, HoldError, addresses};
use crate::listeners::who_has;
use crate::logs::Collector;
use crate::memory::{self, HELD};
use crate::probe::{Probe, Where};
use crate::process::{Launch, Mark, SpawnError};
use crate::trust;

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("{error}{holder}")]
    Hold {
        error: HoldError,
        /// Who has the address, after a semicolon, where that is known.
        holder: String,
    },
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error("cannot hand over the sockets: {0}")]
    Sockets(io::Error),
    #[error("cannot make a channel to the process: {0}")]
    Channel(io::Error),
    #[error(transparent)]
    Answered(#[from] Answered),
    #[error("cannot read the pipes of process {0}: {1}")]
    Pipes(Pid, io::Error),
}

/// What a process is started with.
struct Equipped {
    composed: Composed,
    descriptors: Vec<OwnedFd>,
    /// Its channel, where it gets one.
    channel: Option<(Gate, Messages)>,
    asking: Asking,
}

/// How it is asked whether it is ready.
enum Asking {
    /// From its start on.
    Now(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// Once it has said that it listens.
    OnceItListens(Probe),
}

impl Driver {
    /// Starts a process beside the one that serves, where memory suffices for both.
    pub(super) async fn start_beside(
        &mut self,
        start: Start,
        target: &Target,
        now: Instant,
    ) -> Option<Event> {
        self.facts.watch.begin();
        let process = self.machine.process();
        if let Some(serving) = process.and_then(|(start, _)| self.live.get(&start))
            && let Err(too_little) = memory::room_for_second(serving.pid).await
        {
            let reason = too_little.to_string();
            return Some(Event::NoRoom { start, reason });
        }
        let started = self.start(start, target, HELD, now).await;
        started.err().map(|error| Event::SpawnFailed {
            start,
            reason: error.to_string(),
        })
    }

    pub(super) async fn start(
        &mut self,
        start: Start,
        target: &Target,
        oom_score_adj: i32,
        now: Instant,
    ) -> Result<(), StartError> {
        let mark = Mark::new(&self.config.state_dir, std::process::id(), start.0);
        let equipped = match self.config.kind.clone() {
            Kind::Application => self.equip(start, target, &mark)?,
            Kind::Service(check) => {
                // Where somebody else answers in its place, it is not started: it would be
                // taken for ready until it ends.
                check.is_free().await?;
                self.equip_service(start, target, &mark, check)
            }
        };
        let process = self
            .spawner
            .spawn(Launch {
                command: equipped.composed.command,
                cwd: target.release.join(&target.settings.cwd),
                environment: equipped.composed.variables,
                descriptors: equipped.descriptors,
                oom_score_adj,
            })
            .await?;
        let pid = process.pid;
        self.say(&match self.config.kind {
            Kind::Application => format!("starting build {} as process {pid}", target.build),
            Kind::Service(_) => format!("starting as process {pid}"),
        });
        let collector =
            Collector::start(process.stdout, process.stderr, &self.log).map_err(|error| {
                crate::process::signal(pid, Signal::SIGKILL);
                StartError::Pipes(pid, error)
            })?;
        let at = (now, unix_millis());
        let (gate, messages) = equipped.channel.unzip();
        let (asking_now, asking) = match equipped.asking {
            Asking::Now(probe) => (Some(self.tasks.spawn(probe)), None),
            Asking::OnceItListens(probe) => (None, Some(probe)),
        };
        let build = target.build.clone();
        let mut live = Live::new(build, pid, mark, (collector, gate), asking, at);
        if let Some(messages) = messages {
            let listening = self.tasks.spawn(listen(start, messages, self.says.clone()));
            live.keep(listening);
        }
        if let Some(asking) = asking_now {
            live.asked_by(asking);
        }
        self.live.insert(start, live);
        Ok(())
    }

    /// What an application gets: the held sockets, its gate, the preload.
    fn equip(
        &mut self,
        start: Start,
        target: &Target,
        mark: &Mark,
    ) -> Result<Equipped, StartError> {
        let settings = &target.settings;
        let sockets = self.hold(&settings.socket)?;
        let exported = config_conf::read(&target.release);
        for (line, why) in &exported.skipped {
            self.say(&format!(
                "app/config.conf: line {line} is skipped: it {why}"
            ));
        }
        let composed = environment::compose(&Parts {
            base: &self.config.environment,
            exported: &exported.variables,
            settings,
            sockets: &sockets,
            duplicates: DUPLICATES,
            release: &target.release,
            preload: self.preload.as_deref(),
            compile_cache: Some(&compile_cache::folder(
                &self.config.state_dir,
                &target.build,
            )),
            trust: &trust::of_application(self.config.authority.as_deref(), &self.config.state_dir),
            mark: mark.variable(),
        });
        let (gate, messages, handover) =
            Gate::new(&self.config.state_dir, start.0).map_err(StartError::Channel)?;
        let mut descriptors = self.sockets.duplicates().map_err(StartError::Sockets)?;
        descriptors.extend([handover.channel, handover.private]);
        let asking = match self.probe(target, &gate)? {
            Some(asking) if settings.is_node() => Asking::OnceItListens(asking),
            asking => Asking::Now(Box::pin(probe(start, asking, self.found.clone()))),
        };
        Ok(Equipped {
            composed,
            descriptors,
            channel: Some((gate, messages)),
            asking,
        })
    }

    /// Holds the application's sockets: each with the port that it asks for.
    fn hold(&mut self, sockets: &[AppSocket]) -> Result<Vec<(u16, SocketAddr)>, StartError> {
        // What should listen is known also where it cannot.
        let asked = addresses(sockets, self.config.app_address);
        let known = asked.into_iter().filter(|(_, address)| address.port() != 0);
        self.facts.sockets = known.collect();
        let held = self.sockets.hold(sockets, self.config.app_address);
        held.map_err(|error| {
            let holder = error
                .taken()
                .and_then(|address| who_has(address, &self.config.state_dir));
            StartError::Hold {
                error,
                holder: holder.map_or_else(String::new, |holder| format!("; {holder}")),
            }
        })?;
        self.facts.address = self.sockets.first().map(|held| held.address);
        let held = self.sockets.iter().map(|held| (held.port, held.address));
        self.facts.sockets = held.collect();
        Ok(self.facts.sockets.clone())
    }

    /// What a service gets: its variables.
    fn equip_service(&self, start: Start, target: &Target, mark: &Mark, check: Check) -> Equipped {
        let composed = environment::compose(&Parts {
            base: &self.config.environment,
            exported: &[],
            settings: &target.settings,
            sockets: &[],
            duplicates: DUPLICATES,
            release: &target.release,
            preload: None,
            compile_cache: None,
            trust: &trust::of_service(self.config.authority.as_deref()),
            mark: mark.variable(),
        });
        Equipped {
            composed,
            descriptors: Vec::new(),
            channel: None,
            asking: Asking::Now(Box::pin(check_service(start, check, self.found.clone()))),
        }
    }

    /// How the target is asked whether it is ready; `None` where it has no socket.
    /// Node is asked on its private socket, where no client waits before us.
    fn probe(&self, target: &Target, gate: &Gate) -> Result<Option<Probe>, StartError> {
        let Some(held) = self.sockets.first() else {
            return Ok(None);
        };
        let at = if target.settings.is_node() {
            Where::Private {
                path: gate.private().to_owned(),
            }
        } else {
            Where::Public {
                address: held.address,
                inode: held.inode().map_err(StartError::Sockets)?,
            }
        };
        Ok(Some(Probe {
            at,
            port: held.port,
            readiness: target.settings.ready.clone(),
            // What stands still at a breakpoint has not stopped answering.
            goes_on: target.inspect(self.machine.node_options.as_deref()) == Inspect::Off,
        }))
    }
}

/// Hands on what a process says, until it says no more.
async fn listen(start: Start, mut messages: Messages, says: mpsc::Sender<(Start, Message)>) {
    while let Some(message) = messages.next().await {
        // A driver that has ended does not care.
        if says.send((start, message)).await.is_err() {
            return;
        }
    }
}

/// Asks until the application is ready, and then whether it still is. Without a socket
/// it is, once it is started.
pub(super) async fn probe(start: Start, probe: Option<Probe>, found: mpsc::Sender<Event>) {
    if let Some(probe) = &probe {
        // Where the driver is too busy to hear it, it is no news either.
        let not_ready = |reason| drop(found.try_send(Event::NotReady { start, reason }));
        probe.ready(not_ready).await;
    }
    // A driver that has ended does not care, here and below.
    let _ = found.send(Event::Ready { start }).await;
    let Some(probe) = probe.filter(Probe::goes_on) else {
        return;
    };
    let mut missed = false;
    loop {
        let event = match probe.ask_again(missed).await {
            Ok(()) => Event::Answered { start },
            Err(reason) => Event::Missed { start, reason },
        };
        missed = matches!(event, Event::Missed { .. });
        let _ = found.send(event).await;
    }
}

/// Asks until the service is ready. Whether it answers later is its keeper's to ask.
async fn check_service(start: Start, check: Check, found: mpsc::Sender<Event>) {
    // Where the driver is too busy to hear it, it is no news either.
    let not_ready = |reason| drop(found.try_send(Event::NotReady { start, reason }));
    check.ready(not_ready).await;
    // A driver that has ended does not care.
    let _ = found.send(Event::Ready { start }).await;
}
