//! `lockgate-agent logs`

use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use lockgate_model::environment as var;

use crate::cli::Format;
use crate::config::{DEFAULT_LOG_FILE, DEFAULT_RELEASES};
use crate::error::CommandError;
use crate::logs::{LogError, ReadOptions, Source, WhichCrash, read};

/// Show what the application wrote
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Go on with what comes later, also in a log that is not there yet
    #[arg(short, long, conflicts_with = "crash")]
    follow: bool,
    /// Show the last lines before the newest crash, or before crash N, or before all that
    /// are kept; `list` says when and why they were
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "newest", value_name = "N|all|list")]
    crash: Option<WhichCrash>,
    /// Nothing older than this: `10m`, `2h`, `2026-11-22T23:51:00Z`
    #[arg(long, value_parser = since, value_name = "TIME")]
    since: Option<SystemTime>,
    /// At most this many of the lines that are there
    #[arg(short = 'n', long, visible_alias = "tail", value_name = "N")]
    lines: Option<usize>,
    /// The application's log
    #[arg(long, env = var::LOG_FILE, default_value = DEFAULT_LOG_FILE, value_name = "PATH")]
    file: PathBuf,
    /// The folder of releases; crashes are kept beside it
    #[arg(long, env = var::LOCKGATE_RELEASES, default_value = DEFAULT_RELEASES, value_name = "PATH")]
    releases: PathBuf,
    /// How lines are printed; `json`: an object a line
    #[arg(long, value_enum, default_value_t = Format::Human, hide_possible_values = true, value_name = "human|json")]
    format: Format,
}

pub(crate) fn logs(args: &LogsArgs) -> Result<(), CommandError> {
    let source = match args.crash {
        Some(which) => Source::Crash(crate::config::state_beside(&args.releases), which),
        None => Source::File(args.file.clone()),
    };
    let options = ReadOptions {
        source,
        follow: args.follow,
        lines: args.lines,
        since: args.since,
        json: args.format == Format::Json,
    };
    let stdout = io::stdout();
    read(&options, &mut stdout.lock(), Some(stdout.as_fd())).map_err(|error| {
        let failed = CommandError::failed("cannot show the log").because(&error);
        match error {
            LogError::Read { .. } => {
                failed.hint("has the application been started? `lockgate-agent status` tells")
            }
            LogError::NoCrash(WhichCrash::Number(_), _) => {
                failed.hint("`--crash=list` shows which are kept")
            }
            LogError::NoCrash(..) | LogError::Write(_) => failed,
        }
    })
}

/// A moment: how long ago, or when.
#[expect(
    clippy::disallowed_methods,
    reason = "`--since` counts from the moment of the call"
)]
fn since(text: &str) -> Result<SystemTime, String> {
    if let Ok(moment) = humantime::parse_rfc3339_weak(text) {
        return Ok(moment);
    }
    let age = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it like `10m` or `2026-11-22T23:51:00Z`"))?;
    // Nothing is older than the clock itself.
    let moment = SystemTime::now().checked_sub(age);
    Ok(moment.map_or(UNIX_EPOCH, |moment| moment.max(UNIX_EPOCH)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_ages_or_times() {
        let at = since("2026-11-22T23:51:00Z").unwrap();
        assert_eq!(at, since("2026-11-22 23:51:00").unwrap());
        assert!(since("10m").unwrap() > at);
        assert_eq!(since("1000y").unwrap(), UNIX_EPOCH);
        assert!(since("soon").unwrap_err().contains("write it like"));
    }
}
