//! The archive to eight clients: `lockgate serve` beside nginx and `python3 -m http.server`.

mod load;
mod servers;

use std::path::Path;
use std::time::Duration;

use lockgate_model::{EnvName, protocol};

use crate::Options;
use crate::application::Application;
use crate::error::BenchError;
use crate::pack::{ENV, size_mb, store};
use crate::samples::Samples;
use crate::table::{Row, Table, ratio, tell};

/// Clients that fetch at the same time.
const CLIENTS: usize = 8;

/// How long each server is asked in a round.
const ASK_FOR: Duration = Duration::from_secs(2);

/// Measures serving.
pub(crate) fn serve(options: &Options) -> Result<Vec<Table>, BenchError> {
    let application = Application::find(&options.workspace)?;
    let folder = tempfile::tempdir().map_err(BenchError::io("make", Path::new("a folder")))?;
    let builds = folder.path().join("builds");
    let size = store(&application, &builds)?;
    let env = EnvName::parse(ENV).map_err(|error| BenchError::Unexpected {
        what: error.to_string(),
    })?;
    let path = protocol::archive_path(&env);

    let mut notes = Vec::new();
    let mut contenders = Vec::new();
    for start in [servers::lockgate, servers::nginx, servers::python] {
        match start(options, folder.path(), &builds, &path)? {
            Ok(server) => contenders.push((server, Samples::default(), Samples::default())),
            Err(missing) => notes.push(format!("SKIPPED: {missing}")),
        }
    }
    for round in 0..options.rounds {
        tell(&format!("serve: round {} of {}", round + 1, options.rounds));
        for (server, rates, times) in &mut contenders {
            let load = load::load(server.addr, &path, CLIENTS, ASK_FOR)?;
            rates.push(load.bytes_per_second() / 1e9);
            for time in load.times {
                times.push_time(time);
            }
        }
    }
    let rate = |name: &str| {
        contenders
            .iter()
            .find(|(server, ..)| server.name == name)
            .map(|(_, rates, _)| rates.clone())
            .unwrap_or_default()
    };
    for (other, goal) in [
        ("nginx", " (to reach: ≥ 0.9)"),
        ("python3 -m http.server", ""),
    ] {
        if let Some(ratio) = ratio(&rate("lockgate"), &rate(other)) {
            notes.push(format!("{ratio:.2} × {other}{goal}"));
        }
    }
    let rows = contenders
        .into_iter()
        .map(|(server, rates, times)| {
            let mut row = Row::new(&server.name, rates, "GB/s");
            if let (Some(median), Some((_, most))) = (times.median(), times.range()) {
                row.remark = format!("a fetch {median:.1} ms, longest {most:.0} ms");
            }
            row
        })
        .collect();
    Ok(vec![Table {
        title: format!(
            "serve: {:.2} MB to {CLIENTS} clients, {} rounds of {} s in turns",
            size_mb(size),
            options.rounds,
            ASK_FOR.as_secs()
        ),
        rows,
        notes,
    }])
}
