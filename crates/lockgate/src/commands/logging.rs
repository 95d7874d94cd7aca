//! What the program says of itself while it works: `tracing`, to stderr.

use tracing_subscriber::EnvFilter;

use crate::cli::Command;
use crate::config::LOCKGATE_LOG;
use crate::context::Context;
use crate::error::CommandError;

/// Starts logging. A server tells what it does; other commands only what needs a look.
pub(crate) fn start(ctx: &Context, verbose: u8, command: &Command) -> Result<(), CommandError> {
    let quiet = if matches!(command, Command::Serve(_)) {
        "info"
    } else {
        "warn"
    };
    let filter = match (verbose, &ctx.config.log) {
        (0, Some(filter)) => filter.as_str(),
        (0, None) => quiet,
        (1, _) => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        CommandError::configuration(format!("`{LOCKGATE_LOG}` is not a log filter")).because(&error)
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(ctx.screen.err.is_on());
    let started = if ctx.screen.is_json() {
        log.json().try_init()
    } else {
        log.try_init()
    };
    started.map_err(|error| CommandError::failed(format!("cannot start logging: {error}")))
}
