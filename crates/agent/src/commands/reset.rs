//! `lockgate-agent reset`

use clap::{Args, ValueEnum as _};

use super::asking::WaitArgs;
use super::outcome;
use crate::cli::Format;
use crate::control::{self, Part};
use crate::error::CommandError;

/// Begin afresh: the door, then the application
///
/// `--format json` prints `{"status": "ok"}` or `{"status": "error", "error": "…"}` and
/// nothing else. Called from below the application itself, it returns as soon as the
/// request is accepted.
#[derive(Debug, Args)]
pub(crate) struct ResetArgs {
    /// Only this
    part: Option<Part>,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) fn reset(args: &ResetArgs) -> Result<(), CommandError> {
    let part = args.part.and_then(|part| part.to_possible_value());
    let path = match part {
        Some(part) => format!("{}?part={}", control::RESET, part.get_name()),
        None => control::RESET.to_owned(),
    };
    match args.wait.format() {
        Format::Human => args.wait.have_done(&path).map(drop),
        Format::Json => outcome::tell(args.wait.have_done_quietly(&path).map(drop)),
    }
}
