//! `lockgate-agent restart`

use std::time::Duration;

use clap::Args;
use http::Method;

use super::{asking, view};
use crate::cli::{Format, SocketArgs};
use crate::control;
use crate::error::CommandError;

/// Stop the application and start it again, without asking the build server
#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// For whom the output is
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// How long to wait; the work goes on after that
    #[arg(long, value_parser = humantime::parse_duration, default_value = "60s", value_name = "DURATION")]
    timeout: Duration,
}

pub(crate) fn restart(args: &RestartArgs) -> Result<(), CommandError> {
    let path = asking::patient(control::RESTART, args.timeout);
    let report = asking::ask(&args.socket.socket, Method::POST, &path, args.timeout)?;
    view::show(&report, args.format)
}
