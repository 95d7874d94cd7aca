//! `lockgate-agent supervise`: keeps a service of the host running, with the machine that keeps
//! applications running.
//!
//! ```text
//!   service.json ──▶ supervisor ──▶ the service
//!   stdin ends ────▶     │
//!                        └─▶ stdout: a report, one JSON line whenever it changes
//! ```
//!
//! A service that answered and does so no more is told of, and left alone.
//!
//! What it shall run is in the file for its whole life: whoever wants something else, or a
//! restart, ends it and starts another one.

mod answering;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use lockgate_model::environment::LOCKGATE_CA_FILE;
use lockgate_model::{
    AppSettings, Digest, Limits, NotAnswering, Phase, ServiceDescription, ServiceReport, Strategy,
};
use nix::sys::signal::Signal;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{error, info, warn};

use super::asking::runtime;
use super::run::start_log;
use super::signals::{Asked, Askers};
use crate::check::Check;
use crate::error::CommandError;
use crate::state::State;
use crate::supervisor::{Handle, Kind, Snapshot, Supervisor, SupervisorConfig, Target};
use crate::{arenas, open_files};

/// Keep a service of the host running
#[derive(Debug, Args)]
pub(crate) struct SuperviseArgs {
    /// The file that describes the service
    description: PathBuf,
    /// Where crashes are kept
    #[arg(long, value_name = "FOLDER")]
    state: PathBuf,
    /// End when stdin ends: whoever holds its other end is gone then
    #[arg(long)]
    stop_on_stdin_eof: bool,
}

/// How long the last report may take to be read.
const FAREWELL: Duration = Duration::from_secs(1);

/// Runs until it is asked to end.
pub(crate) fn supervise(args: &SuperviseArgs) -> Result<(), CommandError> {
    arenas::keep_to_one();
    let log = start_log()
        .map_err(|error| CommandError::failed("cannot write to stderr").because(&error))?;
    let done = read(&args.description).and_then(|description| {
        let runtime = runtime()?;
        let done = runtime.block_on(keep(description, args));
        // A last report that nobody reads is no reason to stay.
        runtime.shutdown_timeout(FAREWELL);
        done
    });
    log.flush();
    done
}

/// The description. Its text may hold secrets, so a message names no more than the place.
fn read(path: &Path) -> Result<ServiceDescription, CommandError> {
    let cannot = || {
        CommandError::configuration(format!(
            "cannot read the service's file `{}`",
            path.display()
        ))
    };
    let text = std::fs::read(path).map_err(|error| cannot().because(&error))?;
    serde_json::from_slice(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        cannot().cause(format!("line {line}, column {column} is not as expected"))
    })
}

async fn keep(description: ServiceDescription, args: &SuperviseArgs) -> Result<(), CommandError> {
    let name = description.name.clone();
    let cannot = |error: &(dyn std::error::Error + 'static)| {
        CommandError::failed(format!("service `{name}` cannot be kept")).because(error)
    };
    let mut askers = Askers::listen(args.stop_on_stdin_eof).map_err(|error| cannot(&error))?;
    // Two keepers of one service would undo each other's work.
    let _state = State::open(&args.state).map_err(|error| cannot(&error))?;
    if let Some(folder) = description.log.parent() {
        std::fs::create_dir_all(folder).map_err(|error| cannot(&error))?;
    }
    let target = target(&description);
    let check = Check::new(description.ready);
    let started = Supervisor::start(SupervisorConfig {
        kind: Kind::Service(check.clone()),
        state_dir: args.state.clone(),
        log_file: description.log,
        copy_to_stdout: false,
        app_address: None,
        environment: environment(description.env.into_iter()),
        authority: authority(),
        exec_step: "/proc/self/exe".into(),
        open_files: open_files::raise(),
        swap: Box::new(|_| Ok(())),
        // Nothing came before it that could be gone back to: it is on no trial.
        good: Some(target.clone()),
        refused: None,
    });
    let (supervisor, mut supervising) = started.map_err(|error| cannot(&error))?;
    info!(service = %name, "keeper starts");
    let (silent, silence) = watch::channel(None);
    let asking = tokio::spawn(answering::ask(check, supervisor.watch(), silent));
    let telling = tokio::spawn(tell(supervisor.watch(), silence));
    supervisor.run(target).await;
    let by_itself = loop {
        tokio::select! {
            asked = askers.next() => match asked {
                Asked::Reload => supervisor.forward(Signal::SIGHUP).await,
                Asked::Forward(signal) => supervisor.forward(signal).await,
                Asked::End(signal) => {
                    info!(signal, "ending");
                    break false;
                }
                Asked::TerminalGone | Asked::ParentGone => {
                    info!("whoever started it is gone: ending");
                    break false;
                }
            },
            _ = &mut supervising => break true,
        }
    };
    if by_itself {
        error!("the supervisor ended by itself");
        return Err(CommandError::failed("the supervisor ended by itself"));
    }
    end(&supervisor, &mut supervising, &mut askers).await;
    telling.abort();
    asking.abort();
    info!(service = %name, "ended");
    Ok(())
}

/// Ends the service; asked a second time, it is killed.
async fn end(supervisor: &Handle, supervising: &mut JoinHandle<()>, askers: &mut Askers) {
    supervisor.shutdown().await;
    loop {
        tokio::select! {
            _ = &mut *supervising => return,
            asked = askers.next() => match asked {
                Asked::End(signal) => {
                    warn!(signal, "asked again: the service is killed");
                    supervisor.shutdown().await;
                }
                Asked::Forward(signal) => supervisor.forward(signal).await,
                Asked::Reload => supervisor.forward(Signal::SIGHUP).await,
                Asked::ParentGone | Asked::TerminalGone => {}
            },
        }
    }
}

/// What runs. Its variables are not among its settings, which are told where it is looked into
/// what the supervisor does.
fn target(description: &ServiceDescription) -> Target {
    Target {
        // There is one as long as this program runs.
        build: Digest::from_bytes([0; 32]).build_id(),
        release: description.cwd.clone(),
        settings: AppSettings {
            command: description.command.clone(),
            cwd: ".".to_owned(),
            socket: Vec::new(),
            strategy: Strategy::Cold,
            limits: Limits {
                ready: description.ready_timeout,
                grace: description.stop_timeout,
                crash_delay: description.crash_delay,
                ..Limits::default()
            },
            ..AppSettings::default()
        },
        seq: 0,
        restart: 0,
    }
}

/// This program's own variables, but for those that are ours, and over them the service's.
fn environment(own: impl Iterator<Item = (String, String)>) -> Vec<(OsString, OsString)> {
    let one_arena = arenas::are_ours();
    let is_ours = |name: &OsString| {
        name.as_encoded_bytes().starts_with(b"LOCKGATE_") || (one_arena && arenas::is_of_them(name))
    };
    let inherited = std::env::vars_os().filter(|(name, _)| !is_ours(name));
    inherited
        .chain(own.map(|(name, value)| (name.into(), value.into())))
        .collect()
}

/// The file of whom the service is to trust, where whoever started this names one.
fn authority() -> Option<PathBuf> {
    let mut all = std::env::vars_os();
    let (_, file) = all.find(|(name, _)| name == LOCKGATE_CA_FILE)?;
    Some(file.into())
}

/// Writes a report whenever it says something new, until nobody reads any more.
async fn tell(
    mut snapshots: watch::Receiver<Snapshot>,
    mut silence: watch::Receiver<Option<NotAnswering>>,
) {
    let mut told = None;
    loop {
        let not_answering = silence.borrow_and_update().clone();
        let report = report(&snapshots.borrow_and_update(), not_answering);
        if told.as_ref() != Some(&report) {
            // Words and numbers: there is nothing that could fail.
            let mut line = serde_json::to_vec(&report).unwrap_or_default();
            line.push(b'\n');
            // On another thread: a reader that is slow holds up nobody.
            let written = spawn_blocking(move || {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(&line).and_then(|()| stdout.flush())
            });
            if !matches!(written.await, Ok(Ok(()))) {
                return;
            }
            told = Some(report);
        }
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() { return },
            Ok(()) = silence.changed() => {}
        }
    }
}

fn report(snapshot: &Snapshot, not_answering: Option<NotAnswering>) -> ServiceReport {
    let running = snapshot.running.as_ref();
    ServiceReport {
        phase: snapshot.phase,
        pid: running.map(|running| running.pid),
        since: running.map(|running| running.since),
        restarts: snapshot.restarts,
        problem: snapshot.problem.clone(),
        // What is told of a process that is not ready any more is past.
        not_answering: not_answering.filter(|_| snapshot.phase == Phase::Ready),
    }
}
