//! Reloads under load: what clients lose and how long they wait, beside the shell
//! sequence, each also behind nginx as that system configures it.

mod contender;
mod round;
mod tally;

use std::path::Path;

use crate::Options;
use crate::application::Application;
use crate::bare;
use crate::environment::Environment;
use crate::error::BenchError;
use crate::home::Home;
use crate::nginx;
use crate::samples::Samples;
use crate::sequence::Shell;
use crate::table::{Row, Table, tell};

use contender::{Contender, Way};
use tally::Tally;

/// Requests a second.
const RATE: u32 = 300;

/// WebSockets that are kept open.
const WEBSOCKETS: usize = 100;

/// Reloads of those that are measured in full, over all rounds.
const RELOADS: u32 = 100;

/// Reloads of the others, over all rounds: each costs them many requests.
const FEWER_RELOADS: u32 = 10;

/// A workspace's settings that force a cold reload.
const COLD: &str = "[app]\nstrategy = \"cold\"\n";

/// Measures reloading.
pub(crate) fn reload(options: &Options) -> Result<Vec<Table>, BenchError> {
    let application = Application::find(&options.workspace)?;
    let scripts = options
        .sequence
        .canonicalize()
        .map_err(BenchError::io("find", &options.sequence))?;
    let folder = tempfile::tempdir().map_err(BenchError::io("make", Path::new("a folder")))?;
    let mut notes = Vec::new();

    let home = Home::start(options, folder.path())?;
    let (mut gated, mut cold) = (None, None);
    match &home {
        Ok(home) => {
            gated = Some(Environment::start(home, "gated", &application, 1, None)?);
            cold = Some(Environment::start(
                home,
                "cold",
                &application,
                1,
                Some(COLD),
            )?);
        }
        Err(missing) => notes.push(format!("SKIPPED: {missing}")),
    }
    let shell = match Shell::missing() {
        None => Some(Shell::start(
            &application,
            &scripts,
            &folder.path().join("shell"),
            1,
        )?),
        Some(missing) => {
            notes.push(format!("SKIPPED: {missing} is not installed"));
            None
        }
    };
    if !nginx::is_installed() {
        notes.push("SKIPPED: nginx is not installed".to_owned());
    }

    let environments = gated.as_ref().zip(cold.as_ref());
    let mut contenders = contenders(environments, shell.as_ref(), folder.path())?;
    let for_bare = application.copy_to(&folder.path().join("bare"))?;
    let (mut one, mut three) = (Samples::default(), Samples::default());
    let rounds = if options.quick { 1 } else { options.rounds };
    for round in 0..rounds {
        for (count, samples) in [(1, &mut one), (3, &mut three)] {
            let started = bare::starts(&for_bare, &scripts, folder.path(), count)?;
            samples.push_time(started);
        }
        for contender in &mut contenders {
            let reloads = contender.reloads_in(rounds, options.quick);
            tell(&format!(
                "reload: round {} of {rounds}: {reloads} × {}",
                round + 1,
                contender.name
            ));
            round::round(contender, round, reloads)?;
        }
    }
    let tallies = contenders.iter().map(|it| (&*it.name, &it.tally));
    Ok(tables(&tallies.collect::<Vec<_>>(), one, three, notes))
}

/// Everybody, at every place where clients may ask.
fn contenders<'a>(
    environments: Option<(&'a Environment<'a>, &'a Environment<'a>)>,
    shell: Option<&'a Shell>,
    folder: &Path,
) -> Result<Vec<Contender<'a>>, BenchError> {
    let mut all = Vec::new();
    if let Some((gated, cold)) = environments {
        let way = Way::Lockgate(gated);
        all.push(Contender::direct(way, "Lockgate", RELOADS)?);
        all.push(Contender::at_its_door(gated, "Lockgate", RELOADS)?);
        all.push(Contender::at_once(way, "Lockgate", FEWER_RELOADS)?);
        all.extend(Contender::behind_nginx(way, "Lockgate", folder)?);
        let way = Way::Lockgate(cold);
        all.push(Contender::direct(way, "Lockgate, cold", FEWER_RELOADS)?);
        all.push(Contender::at_its_door(
            cold,
            "Lockgate, cold",
            FEWER_RELOADS,
        )?);
    }
    if let Some(shell) = shell {
        let way = Way::Shell(shell);
        all.push(Contender::direct(way, "shell sequence", FEWER_RELOADS)?);
        all.extend(Contender::behind_nginx(way, "shell sequence", folder)?);
    }
    Ok(all)
}

/// The figures of a row.
type Figures = fn(&Tally) -> Samples;

fn tables(
    tallies: &[(&str, &Tally)],
    one: Samples,
    three: Samples,
    notes: Vec<String>,
) -> Vec<Table> {
    let rows = |figures: Figures, remark: fn(&Tally) -> String| {
        let row = |(name, tally): &(&str, &Tally)| {
            let mut row = Row::new(name, figures(tally), "ms");
            row.remark = remark(tally);
            row
        };
        tallies.iter().map(row).collect::<Vec<_>>()
    };
    let nothing = |_: &Tally| String::new();
    let requests = Table {
        title: format!(
            "reload: {RATE} requests/s of all kinds and {WEBSOCKETS} WebSockets; the longest wait for \
             an answer that is given at once, per reload"
        ),
        rows: rows(|it| it.pauses.clone(), Tally::lost),
        notes: tallies
            .iter()
            .flat_map(|(name, tally)| tally.notes(name))
            .collect(),
    };
    let nobody = Table {
        title: "reload: nobody answers, from the old one's last answer to the new one's first"
            .to_owned(),
        rows: rows(|it| it.nobody.clone(), nothing),
        notes: Vec::new(),
    };
    let mut floor = vec![
        Row::new("a bare node start to its first answer, no load", one, "ms"),
        Row::new("three at once", three, "ms"),
    ];
    let mut published = rows(|it| it.published.clone(), nothing);
    published.append(&mut floor);
    vec![
        requests,
        nobody,
        Table {
            title: "reload: bundle written → first answer of the new code, under the same load"
                .to_owned(),
            rows: published,
            notes,
        },
    ]
}
