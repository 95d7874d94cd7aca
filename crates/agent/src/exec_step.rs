//! The last step before an application's program: `lockgate-agent exec-step`.
//!
//! The agent starts itself with this hidden command; the new process prepares
//! itself (session, death signal, working folder, `LISTEN_PID`) and becomes the
//! application. What has to happen between `fork` and `exec` happens here instead,
//! in a fresh process, where every call is safe.
//!
//! Signals: the standard library empties the mask and resets SIGPIPE when it
//! executes a program, and the handlers that the agent has fall back to their
//! defaults by themselves.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{close, getppid, setsid};

use crate::open_files;
use crate::process::{FIRST_DESCRIPTOR, imprint};

/// The name of the hidden command.
pub(crate) const NAME: &str = "exec-step";

/// `exec-step --agent PID --cwd FOLDER --descriptors N [--open-files N] --oom-score-adj N [--mark N] -- PROGRAM [ARGUMENT…]`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ExecStepArgs {
    /// The agent's process number; when it is no longer the parent, nothing starts.
    #[arg(long)]
    agent: i32,
    /// The application's working folder.
    #[arg(long)]
    cwd: PathBuf,
    /// How many descriptors from 3 on are handed over; all others are closed.
    #[arg(long)]
    descriptors: i32,
    /// How many files it may have open, where not as many as the agent.
    #[arg(long)]
    open_files: Option<u64>,
    /// How willingly the kernel ends it when memory is short.
    #[arg(long)]
    oom_score_adj: i32,
    /// What its start is known by.
    #[arg(long)]
    mark: Option<u64>,
    /// The program and its arguments.
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

/// Why the application's program did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExecStepError {
    /// The agent ended before its child was ready.
    #[error("the agent, process {0}, has ended")]
    AgentGone(i32),
    /// No session of its own, or no signal at the agent's end.
    #[error("cannot set the process up")]
    SetUp(#[source] io::Error),
    /// The working folder.
    #[error("cannot enter the working folder `{path}`")]
    Cwd {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The program.
    #[error("cannot execute `{}`", program.display())]
    Exec {
        /// The program.
        program: OsString,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Becomes the application. To be called from `main` before a runtime or a thread
/// starts; it returns only an error, for exit code 127.
pub(crate) fn exec_step(args: &ExecStepArgs) -> Result<Infallible, ExecStepError> {
    // Fails only for the leader of a group, which a fresh child never is.
    setsid().map_err(|errno| ExecStepError::SetUp(errno.into()))?;
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|errno| ExecStepError::SetUp(errno.into()))?;
    // The agent may have ended before the death signal was set.
    if getppid().as_raw() != args.agent {
        return Err(ExecStepError::AgentGone(args.agent));
    }
    // Raising it needs no right; where the agent's own is higher, it stays that.
    let _ = std::fs::write("/proc/self/oom_score_adj", args.oom_score_adj.to_string());
    close_others(args.descriptors);
    if let Some(count) = args.open_files {
        open_files::lower(count);
    }
    if let Some(mark) = args.mark {
        imprint(mark);
    }
    std::env::set_current_dir(&args.cwd).map_err(|source| ExecStepError::Cwd {
        path: args.cwd.clone(),
        source,
    })?;
    let (program, arguments) = match args.command.split_first() {
        Some((program, arguments)) => (program.clone(), arguments),
        None => (OsString::new(), [].as_slice()),
    };
    let source = become_program(&program, arguments, args.descriptors > 0);
    Err(ExecStepError::Exec { program, source })
}

/// Closes what came neither from the agent's hand nor as standard stream: the
/// agent's own descriptors are closed by `exec`, but not what *its* parent gave it.
fn close_others(descriptors: i32) {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let others: Vec<i32> = open
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number >= FIRST_DESCRIPTOR + descriptors)
        .collect();
    for number in others {
        // The one that listed them is closed already.
        let _ = close(number);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this process becomes the application; nothing is started beside it"
)]
fn become_program(program: &OsString, arguments: &[OsString], is_handed: bool) -> io::Error {
    let mut command = Command::new(program);
    command.args(arguments);
    // Systemd's protocol: for whom the descriptors are.
    if is_handed {
        command.env("LISTEN_PID", std::process::id().to_string());
    }
    command.exec()
}
