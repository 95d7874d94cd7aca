//! The server in the background: started, awaited, ended.
//!
//! ```text
//! serve --detach ── starts ──▶ serve --in-background   (its own session, log in server.log)
//!       └──◀─ one JSON line on its standard output: the description ─┘
//! ```
//!
//! A line or the end of the pipe: either way the caller knows, without asking again and again.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::control::{ControlClient, ControlError};
use super::{ServeOptions, ServerDescription};
use crate::config::{LOCKGATE_AGENT, LOCKGATE_BUILDS, LOCKGATE_HOME};
use crate::home::{Home, HomeError, durable};

/// Hidden flag of `lockgate serve`: the process was started by `detach`. It calls
/// `become_session_leader` first and `announce` once it serves.
pub(crate) const CHILD_FLAG: &str = "--in-background";

/// The log is put aside at a start when it is larger than this.
const LOG_LIMIT: u64 = 10 * 1024 * 1024;
/// How much of the log's end is shown when the server did not start.
const TAIL: u64 = 4 * 1024;
/// How often a lock is looked at that no system call can wait for with a limit.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Why the server does not run in the background, or does not end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DetachError {
    /// The home cannot be used.
    #[error("the home cannot be served")]
    Home(#[from] HomeError),
    /// The process cannot be started, or a file of it cannot be used.
    #[error("cannot {act}")]
    Process {
        /// What was tried.
        act: String,
        /// The cause.
        source: io::Error,
    },
    /// The server ended before it served.
    #[error("the server ended with {status} before it served")]
    Ended {
        /// How.
        status: ExitStatus,
        /// What it wrote, at most the last 4 KiB: its own error is the last thing.
        output: String,
        /// Where all of it is.
        log: PathBuf,
    },
    /// The server took too long to start; it was ended.
    #[error("the server did not serve within {}; its log is `{log}`", humantime::format_duration(*within))]
    Late {
        /// How long was waited.
        within: Duration,
        /// Its log.
        log: PathBuf,
    },
    /// It said something else than its description.
    #[error("the server started and said `{line}` instead of who it is")]
    Unclear {
        /// The line.
        line: String,
    },
    /// It cannot be asked to stop.
    #[error("the server cannot be stopped")]
    Control(#[from] ControlError),
    /// It takes too long to stop.
    #[error("the server still runs after {}", humantime::format_duration(*within))]
    StillRuns {
        /// How long was waited.
        within: Duration,
    },
}

/// Runs `lockgate serve --in-background …` in the background with its log in `server.log`, and returns
/// when it serves. The child's own error is in `DetachError::Ended`.
pub(crate) async fn detach(
    options: &ServeOptions,
    within: Duration,
) -> Result<ServerDescription, DetachError> {
    options.home.prepare()?;
    let path = options.home.server_log();
    let log = durable::open_log(&path, LOG_LIMIT)
        .map_err(|error| failed(format!("open the log `{}`", path.display()), error))?;
    let log_start = log.metadata().map_or(0, |found| found.len());
    let mut child = spawn(options, log)?;
    let Some(stdout) = child.stdout.take() else {
        unreachable!("its standard output was piped");
    };
    let mut line = String::new();
    let mut reader = BufReader::new(stdout);
    let read = timeout(within, reader.read_line(&mut line)).await;
    match read {
        Ok(Ok(length)) if length > 0 => {
            serde_json::from_str(&line).map_err(|_| DetachError::Unclear { line })
        }
        Ok(_) => {
            let status = child.wait().await;
            Err(DetachError::Ended {
                status: status.map_err(|error| failed("wait for the server".into(), error))?,
                output: tail(&path, log_start).unwrap_or_default(),
                log: path,
            })
        }
        Err(_) => {
            // It has no gateways yet, or ends them as their input closes.
            let killed = child.kill().await;
            killed.map_err(|error| failed("end the server that is late".into(), error))?;
            Err(DetachError::Late { within, log: path })
        }
    }
}

fn spawn(options: &ServeOptions, log: File) -> Result<Child, DetachError> {
    let program = std::env::current_exe()
        .map_err(|error| failed("find this program's own file".into(), error))?;
    let mut command = Command::new(&program);
    command
        .args(["serve", CHILD_FLAG, "--port", &options.port.to_string()])
        .args(["--front", options.front_driver.as_str()])
        .env(LOCKGATE_HOME, options.home.dir())
        .env(LOCKGATE_BUILDS, options.home.builds())
        .env(LOCKGATE_AGENT, &options.agent)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log);
    for address in &options.listen {
        command.arg("--listen").arg(address.to_string());
    }
    for env in &options.allow_plain {
        command.arg("--allow-plain").arg(env.as_str());
    }
    command
        .spawn()
        .map_err(|error| failed(format!("start `{}`", program.display()), error))
}

/// What a process with `CHILD_FLAG` does first: no terminal ends it any more.
pub(crate) fn become_session_leader() -> Result<(), DetachError> {
    nix::unistd::setsid()
        .map(|_| ())
        .map_err(|error| failed("become a session of its own".into(), error.into()))
}

/// What a process with `CHILD_FLAG` does once it serves: tells who started it, who may be gone.
pub(crate) fn announce(description: &ServerDescription) -> Result<(), DetachError> {
    let say = || {
        let mut line = serde_json::to_vec(description)?;
        line.push(b'\n');
        let mut stdout = io::stdout().lock();
        stdout.write_all(&line)?;
        stdout.flush()
    };
    say().map_err(|error: io::Error| failed("tell that the server runs".into(), error))
}

/// Asks the home's server to stop and returns when it is gone. False when none runs.
pub(crate) async fn stop(home: &Home, within: Duration) -> Result<bool, DetachError> {
    match ControlClient::new(home).stop().await {
        Ok(()) => {}
        Err(error) if error.is_unreachable() && !is_locked(home) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    let gone = async {
        while is_locked(home) {
            sleep(LOOK_EVERY).await;
        }
    };
    match timeout(within, gone).await {
        Ok(()) => Ok(true),
        Err(_) => Err(DetachError::StillRuns { within }),
    }
}

/// Whether a server holds the home. Its lock goes with the process, however that ends.
fn is_locked(home: &Home) -> bool {
    let path = home.server_lock();
    path.exists() && durable::open_lock(&path).is_ok_and(|file| file.try_lock().is_err())
}

fn failed(act: String, source: io::Error) -> DetachError {
    DetachError::Process { act, source }
}

/// The end of what was written to the log since `start`.
fn tail(path: &Path, start: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let end = file.metadata()?.len();
    file.seek(SeekFrom::Start(start.max(end.saturating_sub(TAIL))))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}
