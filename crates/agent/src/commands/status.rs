//! `lockgate-agent status`

use std::time::Duration;

use clap::Args;
use http::Method;

use super::{asking, view};
use crate::cli::{Format, SocketArgs};
use crate::control;
use crate::error::CommandError;

/// Show what this gateway runs and what it should run
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// For whom the output is
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

/// The agent answers from memory.
const WITHIN: Duration = Duration::from_secs(5);

pub(crate) fn status(args: &StatusArgs) -> Result<(), CommandError> {
    let report = asking::ask(&args.socket.socket, Method::GET, control::STATUS, WITHIN)?;
    view::show(&report, args.format)
}
