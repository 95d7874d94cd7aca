//! `lockgate-agent stop` and `start`

use clap::Args;

use super::asking::WaitArgs;
use crate::control;
use crate::error::CommandError;

/// End the application, and keep it ended until `start`, a deploy or the agent's restart
///
/// The door says then that it is stopped. Called from below the application itself, it
/// returns as soon as the request is accepted.
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    wait: WaitArgs,
}

/// Start the application that was ended by `stop`, and wait until it is ready
///
/// Changes nothing where it runs.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) fn stop(args: &StopArgs) -> Result<(), CommandError> {
    args.wait.have_done(control::STOP).map(drop)
}

pub(crate) fn start(args: &StartArgs) -> Result<(), CommandError> {
    args.wait.have_done(control::START).map(drop)
}
