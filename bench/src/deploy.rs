//! A written bundle to new code on three gateways: `lockgate deploy` beside three bare
//! node starts, which are its floor, and beside a shell sequence, which it replaces.

use std::path::Path;
use std::time::Duration;

use crate::Options;
use crate::application::Application;
use crate::bare;
use crate::clock::Stopwatch;
use crate::environment::Environment;
use crate::error::BenchError;
use crate::home::Home;
use crate::pack::ENV;
use crate::process::Running;
use crate::samples::Samples;
use crate::sequence::Shell;
use crate::table::{Row, Table, tell};
use crate::watch::until_all_answer;

/// Gateways of the environment.
const GATEWAYS: usize = 3;

/// What the goal adds to the bare starts, in milliseconds.
const GOAL_ADDS_MS: f64 = 400.0;
/// How many times the bare starts the goal allows.
const GOAL_FACTOR: f64 = 1.15;

/// Measures deploying.
pub(crate) fn deploy(options: &Options) -> Result<Vec<Table>, BenchError> {
    let application = Application::find(&options.workspace)?;
    let scripts = options
        .sequence
        .canonicalize()
        .map_err(BenchError::io("find", &options.sequence))?;
    let folder = tempfile::tempdir().map_err(BenchError::io("make", Path::new("a folder")))?;
    let mut notes = Vec::new();

    let for_bare = application.copy_to(&folder.path().join("bare"))?;
    let mut bare = Samples::default();
    let home = match Home::start(options, folder.path())? {
        Ok(home) => Some(home),
        Err(missing) => {
            notes.push(format!("SKIPPED: {missing}"));
            None
        }
    };
    let ours = match &home {
        Some(home) => Some(Environment::start(home, ENV, &application, GATEWAYS, None)?),
        None => None,
    };
    let (mut answered, mut reported) = (Samples::default(), Samples::default());
    let mut shell = match Shell::missing() {
        None => Some(Shell::start(
            &application,
            &scripts,
            &folder.path().join("shell"),
            GATEWAYS,
        )?),
        Some(missing) => {
            notes.push(format!("SKIPPED: {missing} is not installed"));
            None
        }
    };
    let mut sequence = Samples::default();

    for round in 0..options.rounds {
        tell(&format!(
            "deploy: round {} of {}",
            round + 1,
            options.rounds
        ));
        let version = format!("2.0.{round}");
        bare.push_time(bare::starts(&for_bare, &scripts, folder.path(), GATEWAYS)?);
        if let Some(ours) = &ours {
            let times = once(ours, &version)?;
            answered.push_time(times.answered);
            reported.push_time(times.reported);
        }
        if let Some(shell) = &mut shell {
            sequence.push_time(shell.deploy(&version)?);
        }
    }
    notes.extend(ratios(&answered, &bare, &sequence));
    Ok(vec![Table {
        title: format!(
            "deploy: bundle written → new code answers on all {GATEWAYS} gateways, {} rounds in turns",
            options.rounds
        ),
        rows: vec![
            Row::new("lockgate deploy, new code answers", answered, "ms"),
            Row::new("lockgate deploy, command ended", reported, "ms"),
            Row::new("three bare node starts at once", bare, "ms"),
            Row::new("shell sequence", sequence, "ms"),
        ],
        notes,
    }])
}

/// The moments of one deploy, counted from the written bundle.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// The last gateway answered with the new code.
    answered: Duration,
    /// The command had said so and ended.
    reported: Duration,
}

/// Writes another build and deploys it.
fn once(environment: &Environment<'_>, version: &str) -> Result<Times, BenchError> {
    environment.write_version(version)?;
    let doors: Vec<_> = environment.gateways().iter().map(|it| it.door).collect();
    let clock = Stopwatch::start();
    let log = environment.home().folder().join("deploy.log");
    let running = Running::start(&mut environment.deploy(), &log)?;
    let answered = until_all_answer(&doors, version, clock)
        .map_err(|error| error.with_log(|| running.log_end() + &environment.home().log_end()))?;
    running.finish()?;
    Ok(Times {
        answered,
        reported: clock.elapsed(),
    })
}

/// The goal and what was reached, then the shell sequence.
fn ratios(ours: &Samples, bare: &Samples, shell: &Samples) -> Vec<String> {
    let mut notes = Vec::new();
    if let (Some(ours), Some(bare)) = (ours.median(), bare.median()) {
        notes.push(format!(
            "bare starts × {:.2} (to reach: ≤ {GOAL_FACTOR} × bare + {GOAL_ADDS_MS} ms = {:.0} ms)",
            ours / bare,
            bare * GOAL_FACTOR + GOAL_ADDS_MS
        ));
    }
    if let (Some(ours), Some(shell)) = (ours.median(), shell.median()) {
        notes.push(format!(
            "{:.1} × faster than the shell sequence",
            shell / ours
        ));
    }
    notes
}
