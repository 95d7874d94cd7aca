//! Node alone: the bundle started some times at once, until the last one answers.

use std::path::Path;
use std::time::Duration;

use crate::application::Application;
use crate::clock::Stopwatch;
use crate::error::BenchError;
use crate::process::{Running, free_port};
use crate::watch::until_all_answer;

/// The version of bare starts.
const VERSION: &str = "1.9.0";

/// Starts so many at once and returns when the last one gave its first answer.
pub(crate) fn starts(
    application: &Application,
    sequence: &Path,
    folder: &Path,
    count: usize,
) -> Result<Duration, BenchError> {
    application.write_version(VERSION)?;
    let addrs = (0..count)
        .map(|_| free_port())
        .collect::<Result<Vec<_>, _>>()?;
    let clock = Stopwatch::start();
    let running = addrs
        .iter()
        .enumerate()
        .map(|(number, addr)| {
            let log = folder.join(format!("bare-{number}.log"));
            let mut node = application.node(Path::new("node"), sequence, addr.port());
            Running::start(&mut node, &log)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let answered = until_all_answer(&addrs, VERSION, clock);
    answered.map_err(|error| error.with_log(|| running.iter().map(Running::log_end).collect()))
}
