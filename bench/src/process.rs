//! Programs that a benchmark starts, and their end: by the number it got, never by a name.

use std::ffi::OsStr;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clock::Stopwatch;
use crate::error::BenchError;
use crate::http;

/// How long a program may take to end after TERM.
const END_WITHIN: Duration = Duration::from_secs(20);

/// How long a program may take until it answers.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);

/// The pause before looking again: long enough that looking takes nothing of the two
/// cores from what is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How much of a log belongs into an error.
const LOG_END_BYTES: usize = 4000;

/// A command that inherits what every program needs and nothing of ours.
#[expect(clippy::disallowed_methods, reason = "programs are started here only")]
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command.env_remove("NODE_OPTIONS");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LOCKGATE_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end; its output is an error's text when it fails.
pub(crate) fn run(command: &mut Command) -> Result<String, BenchError> {
    let output = command
        .output()
        .map_err(BenchError::io("run", Path::new(command.get_program())))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(BenchError::Program {
        command: format!("{command:?}"),
        status: output.status,
        output: format!("{text}{}", String::from_utf8_lossy(&output.stderr)),
    })
}

/// The first line a program prints, on whichever stream; `None` when it is not installed.
pub(crate) fn first_line(program: &str, option: &str) -> Option<String> {
    let output = command(program).arg(option).output().ok()?;
    [output.stdout, output.stderr].iter().find_map(|stream| {
        let text = String::from_utf8_lossy(stream);
        let line = text.lines().next()?.trim();
        (!line.is_empty()).then(|| line.to_owned())
    })
}

/// A program that runs until this value is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Running {
    /// Starts a program; what it writes goes to `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self, BenchError> {
        let name = command.get_program().to_string_lossy().into_owned();
        let file = File::create(log).map_err(BenchError::io("write", log))?;
        let again = file.try_clone().map_err(BenchError::io("write", log))?;
        let child = command
            .stdout(file)
            .stderr(again)
            .spawn()
            .map_err(BenchError::io("start", Path::new(&name)))?;
        Ok(Self {
            child,
            name,
            log: log.to_owned(),
        })
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `path` is answered with 200.
    pub(crate) fn answers(&mut self, addr: SocketAddr, path: &str) -> Result<(), BenchError> {
        let waited = Stopwatch::start();
        while waited.elapsed() < ANSWER_WITHIN {
            if matches!(http::get(addr, path), Ok((200, _))) {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(BenchError::Program {
                    command: self.name.clone(),
                    status,
                    output: self.log_end(),
                });
            }
            pause();
        }
        Err(BenchError::TooLate {
            what: format!("an answer of `{}` on {addr}{path}", self.name),
            seconds: ANSWER_WITHIN.as_secs(),
            log: self.log_end(),
        })
    }

    /// Waits for its end; a failure is an error.
    pub(crate) fn finish(mut self) -> Result<(), BenchError> {
        let status = self
            .child
            .wait()
            .map_err(BenchError::io("wait for", Path::new(&self.name)))?;
        if status.success() {
            return Ok(());
        }
        Err(BenchError::Program {
            command: self.name.clone(),
            status,
            output: self.log_end(),
        })
    }

    /// The end of what it wrote.
    pub(crate) fn log_end(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let from = text.len().saturating_sub(LOG_END_BYTES);
        String::from_utf8_lossy(text.get(from..).unwrap_or_default()).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The child was not waited for yet, so its number is still its own.
        if matches!(self.child.try_wait(), Ok(None)) {
            stop(self.child.id(), || {
                !matches!(self.child.try_wait(), Ok(None))
            });
            let _ = self.child.wait();
        }
    }
}

/// TERM, then KILL when `ended` does not come true in time.
pub(crate) fn stop(pid: u32, mut ended: impl FnMut() -> bool) {
    let Ok(pid) = i32::try_from(pid).map(Pid::from_raw) else {
        return;
    };
    let _ = kill(pid, Signal::SIGTERM);
    let waited = Stopwatch::start();
    while !ended() {
        if waited.elapsed() > END_WITHIN {
            let _ = kill(pid, Signal::SIGKILL);
            return;
        }
        pause();
    }
}

/// Waits a moment before looking again.
pub(crate) fn pause() {
    std::thread::sleep(LOOK_AGAIN);
}

/// A loopback port that nobody listens on at this moment.
pub(crate) fn free_port() -> Result<SocketAddr, BenchError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(BenchError::io(
            "find a free port on",
            Path::new("127.0.0.1"),
        ))
}
