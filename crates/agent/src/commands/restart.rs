//! `lockgate-agent restart`

use clap::Args;

use super::asking::WaitArgs;
use crate::control;
use crate::error::CommandError;

/// Stop the application and start it again, without asking the build server
#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) fn restart(args: &RestartArgs) -> Result<(), CommandError> {
    args.wait.have_done(control::RESTART).map(drop)
}
