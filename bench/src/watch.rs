//! Waiting until gateways answer with a version.

use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::error::BenchError;
use crate::http;
use crate::process::pause;

/// How long new code may take to answer.
const WITHIN: Duration = Duration::from_mins(3);

/// Waits until every gateway answers `/` with `version`, and returns how long after
/// `clock` the last of them did.
pub(crate) fn until_all_answer(
    gateways: &[SocketAddr],
    version: &str,
    clock: Stopwatch,
) -> Result<Duration, BenchError> {
    let times = std::thread::scope(|scope| {
        let waiting: Vec<_> = gateways
            .iter()
            .map(|addr| scope.spawn(|| until_answer(*addr, version, clock)))
            .collect();
        waiting
            .into_iter()
            .map(|one| one.join().unwrap_or(None))
            .collect::<Option<Vec<_>>>()
    });
    times
        .and_then(|times| times.into_iter().max())
        .ok_or_else(|| BenchError::TooLate {
            what: format!("version {version} on {gateways:?}"),
            seconds: WITHIN.as_secs(),
            log: String::new(),
        })
}

fn until_answer(addr: SocketAddr, version: &str, clock: Stopwatch) -> Option<Duration> {
    while clock.elapsed() < WITHIN {
        if answers(addr).as_deref() == Some(version) {
            return Some(clock.elapsed());
        }
        pause();
    }
    None
}

/// The version a gateway answers with, if it answers.
fn answers(addr: SocketAddr) -> Option<String> {
    let (status, body) = http::get(addr, "/").ok()?;
    let answer: serde_json::Value = serde_json::from_slice(&body).ok()?;
    (status == 200).then(|| answer.get("version")?.as_str().map(str::to_owned))?
}
