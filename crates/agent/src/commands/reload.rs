//! `lockgate-agent reload`

use std::time::Duration;

use clap::Args;
use http::Method;

use super::{asking, view};
use crate::cli::{Format, SocketArgs};
use crate::control;
use crate::error::CommandError;

/// Ask the build server now, and wait until this gateway runs what it should
///
/// Changes nothing where the build, its settings and the restart counter are the
/// ones that run. Called from below the application itself, it returns as soon as
/// the request is accepted.
#[derive(Debug, Args)]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// For whom the output is
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// How long to wait; the work goes on after that
    #[arg(long, value_parser = humantime::parse_duration, default_value = "60s", value_name = "DURATION")]
    timeout: Duration,
}

pub(crate) fn reload(args: &ReloadArgs) -> Result<(), CommandError> {
    let path = asking::patient(control::RELOAD, args.timeout);
    let report = asking::ask(&args.socket.socket, Method::POST, &path, args.timeout)?;
    view::show(&report, args.format)?;
    match &report.refused {
        None => Ok(()),
        Some(refused) => Err(CommandError::failed(format!(
            "gateway `{}` kept its old build",
            report.gateway
        ))
        .cause(format!("build `{}` {}", refused.build, refused.reason))
        .hint("`lockgate-agent logs --crash` shows what it wrote; deploy a mended build")),
    }
}
