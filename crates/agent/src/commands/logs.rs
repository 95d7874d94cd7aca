//! `lockgate-agent logs`

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Args;
use lockgate_model::environment as var;

use crate::config::{DEFAULT_LOG_FILE, DEFAULT_RELEASES};
use crate::error::CommandError;
use crate::logs::{LogError, ReadOptions, Source, read};

/// Show what the application wrote
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Go on with what comes later
    #[arg(short, long, conflicts_with = "crash")]
    follow: bool,
    /// Show the last lines before the newest crash
    #[arg(long)]
    crash: bool,
    /// Nothing older than this: `10m`, `2h`
    #[arg(long, value_parser = humantime::parse_duration, value_name = "DURATION")]
    since: Option<Duration>,
    /// At most this many of the lines that are there
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
    /// The application's log
    #[arg(long, env = var::LOG_FILE, default_value = DEFAULT_LOG_FILE, value_name = "PATH")]
    file: PathBuf,
    /// The folder of releases; crashes are kept beside it
    #[arg(long, env = var::LOCKGATE_RELEASES, default_value = DEFAULT_RELEASES, value_name = "PATH")]
    releases: PathBuf,
}

#[expect(
    clippy::disallowed_methods,
    reason = "`--since` counts from the moment of the call"
)]
pub(crate) fn logs(args: &LogsArgs) -> Result<(), CommandError> {
    let source = if args.crash {
        Source::Crash(crate::config::state_beside(&args.releases))
    } else {
        Source::File(args.file.clone())
    };
    let options = ReadOptions {
        source,
        follow: args.follow,
        lines: args.lines,
        since: args
            .since
            .and_then(|age| SystemTime::now().checked_sub(age)),
    };
    read(&options, &mut std::io::stdout().lock()).map_err(|error| {
        let failed = CommandError::failed("cannot show the log").because(&error);
        match error {
            LogError::Read { .. } => {
                failed.hint("has the application been started? `lockgate-agent status` tells")
            }
            LogError::NoCrash(_) | LogError::Write(_) => failed,
        }
    })
}
