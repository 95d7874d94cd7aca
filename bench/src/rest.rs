//! A supervisor at rest: memory and wake-ups of `lockgate-agent` beside `tini` and
//! `s6-supervise`, each with the same application as its child.

mod others;

use std::path::Path;
use std::time::Duration;

use lockgate_e2e::load::{Class, Load, Mix, Plan, Speaks};
use serde_json::Value;

use crate::Options;
use crate::application::Application;
use crate::clock::Stopwatch;
use crate::environment::Environment;
use crate::error::BenchError;
use crate::home::Home;
use crate::process::pause;
use crate::samples::Samples;
use crate::table::{Row, Table, tell};
use crate::usage;

use others::Others;

/// How long wake-ups are counted in a round; and in a quick look.
const WINDOW: (Duration, Duration) = (Duration::from_mins(1), Duration::from_secs(10));

/// How long an agent may take until nothing is left to be done.
const AT_REST_WITHIN: Duration = Duration::from_mins(1);

/// Requests that one of the agents has served before it is measured.
const SERVED: u64 = 6000;

/// A process at rest.
struct Resting {
    name: &'static str,
    pid: u32,
    resident: Samples,
    /// Shared pages counted in parts.
    proportional: Samples,
    wake_ups: Samples,
}

impl Resting {
    fn new(name: &'static str, pid: u32) -> Self {
        Self {
            name,
            pid,
            resident: Samples::default(),
            proportional: Samples::default(),
            wake_ups: Samples::default(),
        }
    }
}

/// Measures rest.
pub(crate) fn rest(options: &Options) -> Result<Vec<Table>, BenchError> {
    let application = Application::find(&options.workspace)?;
    let scripts = options
        .sequence
        .canonicalize()
        .map_err(BenchError::io("find", &options.sequence))?;
    let folder = tempfile::tempdir().map_err(BenchError::io("make", Path::new("a folder")))?;
    let others = Others::new(&application, &scripts, folder.path());
    let mut notes = Vec::new();
    let mut resting = Vec::new();

    let home = Home::start(options, folder.path())?;
    let mut environments = Vec::new();
    match &home {
        Ok(home) => {
            for name in ["fresh", "used"] {
                environments.push(Environment::start(home, name, &application, 1, None)?);
            }
        }
        Err(missing) => notes.push(format!("SKIPPED: {missing}")),
    }
    if let [fresh, used] = &environments[..] {
        serve(used)?;
        for environment in [fresh, used] {
            at_rest(environment)?;
        }
        resting.extend(agents(fresh, used)?);
    }
    let mut running = Vec::new();
    for (name, started) in others.start()? {
        match started {
            Some(started) => {
                resting.push(Resting::new(name, started.pid()));
                running.push(started);
            }
            None => notes.push(format!("SKIPPED: {name} is not installed")),
        }
    }

    let (window, quick) = WINDOW;
    let window = if options.quick { quick } else { window };
    let rounds = if options.quick { 1 } else { options.rounds };
    for round in 0..rounds {
        tell(&format!("rest: round {} of {rounds}", round + 1));
        watch(&mut resting, window)?;
    }
    Ok(tables(resting, window, rounds, notes))
}

/// Lets an agent's door serve for a while.
fn serve(environment: &Environment<'_>) -> Result<(), BenchError> {
    let Some(gateway) = environment.gateways().first() else {
        return Ok(());
    };
    let target = gateway.door;
    tell(&format!("rest: {SERVED} requests through a door"));
    let mix = Mix {
        new: 50,
        keep: 40,
        post: 10,
        slow: 0,
        stream: 0,
        upload: 0,
        late: 0,
    };
    let load = Load::start(Plan {
        target,
        secured: None,
        speaks: Speaks::ExampleGateway,
        rate: 300,
        mix,
        websockets: 20,
        most: SERVED,
        seed: 1,
    })
    .map_err(BenchError::io("ask", Path::new(&target.to_string())))?;
    while !load.is_finished() {
        pause();
    }
    let outcome = load.stop();
    if outcome.latencies(Class::New).is_empty() {
        return Err(BenchError::Unexpected {
            what: format!("nothing was served: {outcome}"),
        });
    }
    Ok(())
}

/// Waits until the build has passed its trial, the last thing that is left to be done.
fn at_rest(environment: &Environment<'_>) -> Result<(), BenchError> {
    let waited = Stopwatch::start();
    while waited.elapsed() < AT_REST_WITHIN {
        let mut trials = Vec::new();
        for gateway in environment.gateways() {
            let report = gateway.report(environment.home())?;
            trials.push(report.get("on_trial") == Some(&Value::Bool(true)));
        }
        if !trials.contains(&true) {
            return Ok(());
        }
        pause();
    }
    Err(BenchError::TooLate {
        what: "the end of the trial".to_owned(),
        seconds: AT_REST_WITHIN.as_secs(),
        log: environment.home().log_end(),
    })
}

/// Both agents, and the application of the one that has served nobody.
fn agents(fresh: &Environment<'_>, used: &Environment<'_>) -> Result<Vec<Resting>, BenchError> {
    let mut resting = Vec::new();
    for (environment, agent, child) in [
        (fresh, "lockgate-agent", Some("node under lockgate-agent")),
        (used, "lockgate-agent that has served", None),
    ] {
        for gateway in environment.gateways() {
            resting.push(Resting::new(agent, gateway.agent));
            let report = gateway.report(environment.home())?;
            let pid = report.pointer("/running/pid").and_then(Value::as_u64);
            let pid = pid.and_then(|pid| u32::try_from(pid).ok());
            if let (Some(name), Some(pid)) = (child, pid) {
                resting.push(Resting::new(name, pid));
            }
        }
    }
    Ok(resting)
}

/// Counts everybody's wake-ups in one window, and their memory at its end.
fn watch(resting: &mut [Resting], window: Duration) -> Result<(), BenchError> {
    let before: Vec<_> = resting
        .iter()
        .map(|it| usage::wake_ups(it.pid))
        .collect::<Result<_, _>>()?;
    std::thread::sleep(window);
    for (one, before) in resting.iter_mut().zip(before) {
        let count = usage::wake_ups(one.pid)?.saturating_sub(before);
        let (resident, proportional) = usage::memory(one.pid)?;
        one.resident.push(megabytes(resident));
        one.proportional.push(megabytes(proportional));
        one.wake_ups.push(per_minute(count, window));
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn per_minute(count: u64, window: Duration) -> f64 {
    count as f64 * 60.0 / window.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn tables(resting: Vec<Resting>, window: Duration, rounds: u32, notes: Vec<String>) -> Vec<Table> {
    let (mut memory, mut wake_ups) = (Vec::new(), Vec::new());
    for one in resting {
        let mut row = Row::new(one.name, one.resident, "MiB");
        if let Some(proportional) = one.proportional.median() {
            row.remark = format!("{proportional:.2} MiB with shared pages counted in parts");
        }
        memory.push(row);
        wake_ups.push(Row::new(one.name, one.wake_ups, "a minute"));
    }
    vec![
        Table {
            title: "rest: resident memory, the application's not counted (to reach: ≤ 10 MB)"
                .to_owned(),
            rows: memory,
            notes: Vec::new(),
        },
        Table {
            title: format!(
                "rest: wake-ups of all threads, {rounds} windows of {} s, all at the same time",
                window.as_secs()
            ),
            rows: wake_ups,
            notes,
        },
    ]
}
