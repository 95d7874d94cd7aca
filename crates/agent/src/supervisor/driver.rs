//! The driver: owns the one `select!` and does what the machine decides.
//!
//! ```text
//!   commands ─┐
//!   SIGCHLD  ─┤            ┌─▶ sockets, process, probe
//!   probes   ─┼▶ step ─────┼─▶ logs
//!   deadline ─┘            └─▶ Snapshot
//! ```
//!
//! It holds no policy.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lockgate_model::{BuildId, Phase, Running};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};
use tracing::{debug, info, warn};

use super::environment::{self, Parts};
use super::live::Live;
use super::machine::{Action, Event, Machine, Start, State, step};
use super::view::{Facts, snapshot};
use super::{Command, Snapshot, SupervisorConfig, SupervisorError, Target, compile_cache};
use crate::listener::{DUPLICATES, HoldError, Sockets};
use crate::logs::{Collector, Log, Stream, WriterOptions, keep_crash};
use crate::probe::Probe;
use crate::process::{Launch, Mark, SpawnError, SpawnLock, Spawner, sweep};
use crate::reaper::Reaper;

/// What every started Node loads before the application.
const PRELOAD: &str = include_str!("../preload.cjs");

/// How many lines go with a refusal and into a crash log.
const REFUSAL_LINES: usize = 50;
const CRASH_LINES: usize = 100;

/// A log of 10 MiB is put aside, and five of them are kept.
const ROTATE_BYTES: u64 = 10 * 1024 * 1024;
const KEEP_LOGS: u32 = 5;

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
    spawner: Spawner,
    reaper: Reaper,
    sockets: Sockets,
    log: Log,
    /// Resolves when the log is written, after `log` is dropped.
    written: oneshot::Receiver<()>,
    preload: PathBuf,
    live: BTreeMap<Start, Live>,
    /// Probes, and readers of what ended processes have left in their pipes.
    tasks: JoinSet<()>,
    facts: Facts,
}

/// Why a process could not be started; never the build's fault.
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
    /// Opens everything; nothing runs yet. Ends what an agent that was killed has
    /// left behind.
    pub(super) fn prepare(
        config: SupervisorConfig,
        commands: mpsc::Receiver<Command>,
        shown: watch::Sender<Snapshot>,
    ) -> Result<Self, SupervisorError> {
        let preload = config.state_dir.join("preload.cjs");
        write_preload(&config.state_dir, &preload).map_err(|source| {
            let path = preload.clone();
            SupervisorError::Prepare { path, source }
        })?;
        let (log, written) = Log::open(WriterOptions {
            file: config.log_file.clone(),
            copy_to_stdout: config.copy_to_stdout,
            rotate_bytes: ROTATE_BYTES,
            keep: KEEP_LOGS,
        })
        .map_err(|source| SupervisorError::Prepare {
            path: config.log_file.clone(),
            source,
        })?;
        let left = sweep(&Mark::of_state(&config.state_dir));
        if left > 0 {
            warn!(
                left,
                "ended processes that an earlier agent had left behind"
            );
        }
        let lock = SpawnLock::default();
        let (found, findings) = mpsc::channel(16);
        let refusal_log = config.refused.iter().flat_map(|it| it.log.clone());
        let driver = Self {
            machine: Machine::new(config.good.clone(), config.refused.clone()),
            commands,
            shown,
            found,
            findings,
            reaper: Reaper::start(SpawnLock::clone(&lock)).map_err(SupervisorError::Start)?,
            spawner: Spawner::start(config.exec_step.clone(), lock)
                .map_err(SupervisorError::Start)?,
            sockets: Sockets::default(),
            log,
            written,
            preload,
            live: BTreeMap::new(),
            tasks: JoinSet::new(),
            facts: Facts {
                refusal_log: refusal_log.collect(),
                ..Facts::default()
            },
            config,
        };
        driver.show();
        Ok(driver)
    }

    /// Runs until the machine has ended.
    pub(super) async fn drive(mut self) {
        let mut handles_left = true;
        while self.machine.state != State::Ended {
            let deadline = self.machine.deadline();
            let due = deadline.unwrap_or_else(now).into();
            let events = tokio::select! {
                command = self.commands.recv(), if handles_left => {
                    handles_left = command.is_some();
                    // Without a handle nobody could ask for the end any more.
                    vec![command.map_or(Event::Shutdown, event)]
                }
                Some(found) = self.findings.recv() => vec![found],
                () = self.reaper.wait() => self.reap(),
                () = sleep_until(due), if deadline.is_some() => vec![Event::Tick],
                // Tasks that are done need no more than to be taken away.
                Some(_) = self.tasks.join_next() => Vec::new(),
            };
            self.happen(events.into()).await;
        }
        while self.tasks.join_next().await.is_some() {}
        drop(self.log);
        // A disk or a terminal that hangs must not hold up the end of the agent.
        let _ = timeout(LAST_LINES, self.written).await;
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
                    self.facts.watch.ready(live.started, now);
                    self.sockets.deepen();
                }
            }
            Event::Exited { start, .. } => {
                if let Some(live) = self.live.get(start) {
                    self.facts.watch.stopped(live.asked, now);
                }
            }
            Event::Run(_)
            | Event::Stop { .. }
            | Event::Restart
            | Event::Hurry
            | Event::Shutdown
            | Event::SpawnFailed { .. }
            | Event::NotReady { .. }
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

    async fn act(&mut self, action: Action, now: Instant) -> Option<Event> {
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
                if let Some(live) = self.live.get_mut(&start) {
                    self.facts.refusal_log = live.last_lines(REFUSAL_LINES).await;
                }
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
            address: held.address,
            port: held.port,
            inode: held.inode().map_err(StartError::Sockets)?,
            readiness: target.settings.ready.clone(),
        }))
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
                live.reaped(gone.how);
            } else {
                debug!(pid = %gone.pid, how = gone.how, "an orphan ended");
            }
        }
        // Also where only a member of a group has ended: it may have been the last.
        let all = self.live.iter_mut();
        all.filter_map(|(start, live)| {
            let how = live.gone()?;
            Some(Event::Exited { start: *start, how })
        })
        .collect()
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

    /// Forgets processes that the machine knows no more.
    fn let_go_of_the_dead(&mut self) {
        let known = self.machine.process().map(|(start, _)| start);
        let dead: Vec<Start> = self
            .live
            .keys()
            .filter(|it| Some(**it) != known)
            .copied()
            .collect();
        for start in dead {
            if let Some(live) = self.live.remove(&start) {
                self.tasks.spawn(live.finish());
            }
        }
    }

    /// Removes what Node compiled for builds that are not run any more.
    fn prune_compile_cache(&mut self) {
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

fn event(command: Command) -> Event {
    match command {
        Command::Run(target) => Event::Run(*target),
        Command::Stop { seq } => Event::Stop { seq },
        Command::Restart => Event::Restart,
        Command::Hurry => Event::Hurry,
        Command::Shutdown => Event::Shutdown,
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

/// Readable by the application, whoever it runs as.
fn write_preload(folder: &Path, path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(folder)?;
    let new = path.with_extension("cjs.new");
    std::fs::write(&new, PRELOAD)?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o644))?;
    std::fs::rename(&new, path)
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
