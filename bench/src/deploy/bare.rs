//! Node alone: the bundle started three times at once, until the last one answers.

use std::path::Path;
use std::time::Duration;

use super::GATEWAYS;
use super::watch::until_all_answer;
use crate::application::Application;
use crate::clock::Stopwatch;
use crate::error::BenchError;
use crate::process::{Running, free_port};

/// The version of bare starts.
const VERSION: &str = "1.9.0";

/// Starts all at once and returns when the last one gave its first answer.
pub(super) fn starts(
    application: &Application,
    sequence: &Path,
    folder: &Path,
) -> Result<Duration, BenchError> {
    application.write_version(VERSION)?;
    let addrs = (0..GATEWAYS)
        .map(|_| free_port())
        .collect::<Result<Vec<_>, _>>()?;
    let clock = Stopwatch::start();
    let running = addrs
        .iter()
        .enumerate()
        .map(|(number, addr)| {
            let log = folder.join(format!("bare-{number}.log"));
            Running::start(&mut application.node(sequence, addr.port()), &log)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let answered = until_all_answer(&addrs, VERSION, clock);
    answered.map_err(|error| match error {
        BenchError::TooLate { what, seconds, .. } => BenchError::TooLate {
            what,
            seconds,
            log: running.iter().map(Running::log_end).collect(),
        },
        other => other,
    })
}
