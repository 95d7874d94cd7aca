//! The supervisor: one application process, kept running the build that is wanted.
//!
//! ```text
//!   Handle ──command──▶ driver ──event──▶ machine (pure)
//!      ▲                  │ ▲                │
//!      └──── Snapshot ────┘ └── actions ◀────┘
//! ```
//!
//! `machine` decides, `driver` does. Callers hold a [`Handle`], say what is wanted
//! and watch a [`Snapshot`]; they never see the state itself.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use lockgate_model::{AppSettings, BuildId, Change, Phase, Refusal, Running, Timings};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use self::environment::NODE_OPTIONS;
use crate::check::Check;
use crate::inspect::{self, Inspect};
use crate::process::Spawner;

mod compile_cache;
mod driver;
mod environment;
mod live;
mod machine;
mod view;

#[cfg(test)]
mod tests;

/// What shall run: a release, how to start it, and the number of the statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Target {
    /// The build.
    pub(crate) build: BuildId,
    /// The folder of the release; the application is started from below it.
    pub(crate) release: PathBuf,
    /// How it is started, checked and stopped.
    pub(crate) settings: AppSettings,
    /// The statement's number.
    pub(crate) seq: u64,
    /// The statement's restart counter; a restart when it changes.
    pub(crate) restart: u64,
}

impl Target {
    /// Why a process of this target cannot be held at its gate, whatever is asked
    /// for; `None` where it can. It inherits these `NODE_OPTIONS`.
    pub(crate) fn why_cold(&self, node_options: Option<&str>) -> Option<String> {
        let program = self.settings.command.first().map_or("", String::as_str);
        if !self.settings.is_node() {
            return Some(format!("`{program}` is not Node"));
        }
        if self.settings.socket.is_empty() {
            return Some("it has no socket that is held".to_owned());
        }
        (self.inspect(node_options) == Inspect::Break)
            .then(|| "it waits for a debugger before it runs".to_owned())
    }

    /// What its command and its `NODE_OPTIONS`, or those that it inherits, say about
    /// the inspector.
    pub(crate) fn inspect(&self, node_options: Option<&str>) -> Inspect {
        let own = self.settings.env.get(NODE_OPTIONS).map(String::as_str);
        inspect::take_out(&self.settings.command, own.or(node_options)).inspect
    }
}

/// Makes the gateway's root point at a target's release. Called while no process
/// is past its gate, before each start. A failure is reported and the
/// application starts all the same, since it runs from its real release path.
pub(crate) type Swap = Box<dyn FnMut(&Target) -> io::Result<()> + Send>;

/// What is supervised.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// A gateway's application: it gets the held sockets and waits at its gate.
    Application,
    /// A service of the host: it gets its variables and nothing else.
    Service(Check),
}

/// What a supervisor needs to know at its start.
pub(crate) struct SupervisorConfig {
    /// What is supervised.
    pub(crate) kind: Kind,
    /// Where crash logs and the preload are written.
    pub(crate) state_dir: PathBuf,
    /// The application's log.
    pub(crate) log_file: PathBuf,
    /// Whether log lines are also copied to the agent's stdout.
    pub(crate) copy_to_stdout: bool,
    /// The address of the application's first socket, `LOCKGATE_APP_ADDRESS`; by
    /// default `127.0.0.1` and the port that the settings name.
    pub(crate) app_address: Option<SocketAddr>,
    /// The application's environment: the agent's own, without what is secret of
    /// ours. `LOCKGATE_TOKEN…` is left out in any case.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// The certificate of the host's authority, for children to trust once it is there.
    pub(crate) authority: Option<PathBuf>,
    /// The program that holds `exec-step`: `/proc/self/exe`.
    pub(crate) exec_step: PathBuf,
    /// How many files the application may have open; `None`: as many as the agent.
    pub(crate) open_files: Option<u64>,
    /// Makes the gateway's root point at a release.
    pub(crate) swap: Swap,
    /// The last target that passed its trial, from an earlier run of the agent.
    pub(crate) good: Option<Target>,
    /// What an earlier run of the agent gave up on.
    pub(crate) refused: Option<Refusal>,
}

/// What the supervisor does at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// `Waiting` before the first command; else one of `Stopping`, `Starting`,
    /// `Ready`, `Backoff`, `Stopped`.
    pub(crate) phase: Phase,
    /// What was asked for last; `None` before that and after `stop`.
    pub(crate) wanted: Option<Target>,
    /// The process, when there is one.
    pub(crate) running: Option<Running>,
    /// Whether the running build is still on trial.
    pub(crate) on_trial: bool,
    /// The last target that passed its trial. To be kept across runs of the agent.
    pub(crate) good: Option<Target>,
    /// What was given up on last. To be kept across runs of the agent.
    pub(crate) refused: Option<Refusal>,
    /// The highest statement number that is done with: ready, refused or stopped.
    pub(crate) settled: u64,
    /// Starts after a crash, since the agent started.
    pub(crate) restarts: u64,
    /// The last thing that went wrong; gone when the application is ready again.
    pub(crate) problem: Option<String>,
    /// `stop_ms`, `start_ms` and `unavailable_ms` of the newest change.
    pub(crate) timings: Timings,
    /// How the newest change was made.
    pub(crate) change: Option<Change>,
    /// Where the application's first socket listens, when it is held.
    pub(crate) address: Option<SocketAddr>,
    /// The application's sockets, as long as it is wanted: the port in its own `listen` call,
    /// and where that is held or should be.
    pub(crate) sockets: Vec<(u16, SocketAddr)>,
}

impl Snapshot {
    /// The state before the first command.
    pub(crate) fn initial() -> Self {
        Self {
            phase: Phase::Waiting,
            wanted: None,
            running: None,
            on_trial: false,
            good: None,
            refused: None,
            settled: 0,
            restarts: 0,
            problem: None,
            timings: Timings::default(),
            change: None,
            address: None,
            sockets: Vec::new(),
        }
    }
}

impl Snapshot {
    /// Every build that runs, or may be started before the next snapshot: their
    /// releases stay.
    pub(crate) fn builds(&self) -> impl Iterator<Item = &BuildId> {
        let running = self.running.as_ref().map(|running| &running.build);
        let targets = [&self.wanted, &self.good].into_iter().flatten();
        running.into_iter().chain(targets.map(|it| &it.build))
    }
}

/// What callers ask of the driver.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// Run this.
    Run(Box<Target>),
    /// Run nothing; settled when the process is gone.
    Stop { seq: u64 },
    /// Start the same target again.
    Restart,
    /// End a backoff.
    Hurry,
    /// Stop and end the driver; the second time by KILL.
    Shutdown,
    /// Pass a signal on to the application's process.
    Forward(Signal),
}

/// Says to the supervisor what is wanted. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    commands: mpsc::Sender<Command>,
    snapshots: watch::Receiver<Snapshot>,
    /// The driver's own: what it has started ends with it.
    spawner: Weak<Spawner>,
}

impl Handle {
    /// Runs this target from now on. Where the same build, settings and restart
    /// counter run already, only the number is taken over. A target with a lower
    /// number than the last one is ignored, and so is another one under the same.
    pub(crate) async fn run(&self, target: Target) {
        self.send(Command::Run(Box::new(target))).await;
    }

    /// Ends the application and keeps it ended, by statement `seq`.
    pub(crate) async fn stop(&self, seq: u64) {
        self.send(Command::Stop { seq }).await;
    }

    /// Starts the wanted target again: at once also during a backoff.
    pub(crate) async fn restart(&self) {
        self.send(Command::Restart).await;
    }

    /// Starts the application at once where it waits after a crash; else nothing.
    /// For a reload that finds nothing new.
    pub(crate) async fn hurry(&self) {
        self.send(Command::Hurry).await;
    }

    /// Ends the application and then the supervisor; await its `JoinHandle`. Asked
    /// a second time, the application is killed at once.
    pub(crate) async fn shutdown(&self) {
        self.send(Command::Shutdown).await;
    }

    /// Passes a signal on to the process that serves, and to no other.
    pub(crate) async fn forward(&self, signal: Signal) {
        self.send(Command::Forward(signal)).await;
    }

    /// The snapshots, the newest at once.
    pub(crate) fn watch(&self) -> watch::Receiver<Snapshot> {
        self.snapshots.clone()
    }

    /// What starts the agent's processes, since there is one reaper and it is the
    /// driver's. `None` when the driver has ended; whoever holds it keeps processes
    /// alive that the driver would have taken along.
    pub(crate) fn spawner(&self) -> Option<Arc<Spawner>> {
        self.spawner.upgrade()
    }

    /// A supervisor that has ended needs no command any more.
    async fn send(&self, command: Command) {
        let _ = self.commands.send(command).await;
    }
}

/// Why a supervisor could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SupervisorError {
    /// A folder or file it needs.
    #[error("cannot prepare `{path}` for the supervisor")]
    Prepare {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Signals or threads.
    #[error("cannot start the supervisor")]
    Start(#[source] io::Error),
}

/// The supervisor itself.
#[derive(Debug)]
pub(crate) struct Supervisor;

impl Supervisor {
    /// Starts the supervisor on the current runtime; nothing runs until
    /// [`Handle::run`]. It ends after [`Handle::shutdown`], or when all handles are
    /// gone; the application ends with it.
    pub(crate) fn start(
        config: SupervisorConfig,
    ) -> Result<(Handle, JoinHandle<()>), SupervisorError> {
        let (commands, asked) = mpsc::channel(16);
        let (shown, snapshots) = watch::channel(Snapshot::initial());
        let driver = driver::Driver::prepare(config, asked, shown)?;
        let handle = Handle {
            commands,
            snapshots,
            spawner: Arc::downgrade(&driver.spawner()),
        };
        Ok((handle, tokio::spawn(driver.drive())))
    }
}
