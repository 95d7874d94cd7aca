//! One round of one contender: the load begins, reloads come at a fixed pace, it ends.

use std::path::Path;
use std::time::Duration;

use lockgate_e2e::load::{Load, Plan, Speaks};
use serde_json::Value;

use super::contender::Contender;
use super::{RATE, WEBSOCKETS};
use crate::clock::Stopwatch;
use crate::error::BenchError;
use crate::process::{pause, run};
use crate::usage;

/// From one reload to the next: 100 of them are 100,000 requests. A reload that takes
/// longer than that moves the next one.
const EVERY: Duration = Duration::from_millis(3350);

/// How long anything that is waited for may take.
const WITHIN: Duration = Duration::from_mins(1);

/// Reloads so many times under load, and adds what happened to the contender's tally.
pub(super) fn round(
    contender: &mut Contender<'_>,
    round: u32,
    reloads: u32,
) -> Result<(), BenchError> {
    let target = contender.target;
    let load = Load::start(Plan {
        target,
        secured: None,
        speaks: Speaks::ExampleGateway,
        rate: RATE,
        mix: contender.mix,
        websockets: WEBSOCKETS,
        most: u64::MAX,
        seed: u64::from(round) + 1,
    })
    .map_err(BenchError::io("ask", Path::new(&target.to_string())))?;
    until("all WebSockets are open", || {
        load.open_websockets() == WEBSOCKETS
    })?;
    let agent = contender.way.gateway().map(|(_, gateway)| gateway.agent);
    let before = agent.map(usage::processor_time).transpose()?;

    let mut published = Vec::new();
    for number in 0..reloads {
        let version = format!("2.{round}.{}-{}", number, target.port());
        let paced = Stopwatch::start();
        contender.way.write_version(&version)?;
        let at = load.elapsed();
        run(&mut contender.way.command())?;
        until(&format!("version {version} answers"), || {
            load.has_answered(&version)
        })?;
        if let Some((environment, gateway)) = contender.way.gateway() {
            let report = gateway.report(environment.home())?;
            contender.tally.reported(&report);
        }
        published.push((version, at));
        while paced.elapsed() < EVERY {
            pause();
        }
    }

    if let (Some(agent), Some(before)) = (agent, before) {
        let used = usage::processor_time(agent)?.saturating_sub(before);
        contender.tally.agent_used(used, load.elapsed());
    }
    let outcome = load.stop();
    contender.tally.add(&outcome, &published);
    Ok(())
}

fn until(what: &str, condition: impl Fn() -> bool) -> Result<(), BenchError> {
    let waited = Stopwatch::start();
    while !condition() {
        if waited.elapsed() > WITHIN {
            return Err(BenchError::TooLate {
                what: what.to_owned(),
                seconds: WITHIN.as_secs(),
                log: String::new(),
            });
        }
        pause();
    }
    Ok(())
}

/// Whether a report says that the last change was gated, and why not.
pub(super) fn gated(report: &Value) -> Result<(), String> {
    let change = report.get("change").unwrap_or(&Value::Null);
    if change.get("gated").and_then(Value::as_bool) == Some(true) {
        return Ok(());
    }
    let why = change.get("why_cold").and_then(Value::as_str);
    Err(why.unwrap_or("it says no reason").to_owned())
}
