//! A deploy to containers, three and twenty of them: the whole, and how long each phase took in
//! a gateway, beside as many bare node starts, which are the floor.

use std::path::Path;

use serde_json::Value;

use crate::Options;
use crate::application::Application;
use crate::bare;
use crate::clock::Stopwatch;
use crate::environment::Environment;
use crate::error::BenchError;
use crate::home::Home;
use crate::process::{Running, run};
use crate::samples::Samples;
use crate::table::{Row, Table, tell};
use crate::watch::until_all_answer;

/// How many gateways an environment has.
const SIZES: [usize; 2] = [3, 20];
/// The image that is built and deployed to.
const IMAGE: &str = "lockgate-bench/gateway:1";
/// Twenty applications that boot at once on two cores take their time.
const SETTINGS: &str = "[docker]\nimage = 'lockgate-bench/gateway:1'\n[app.limits]\nready = '2m'\n";
/// The phases, as a gateway's report names them, and as they are shown.
const PHASES: [(&str, &str); 6] = [
    ("fetch_ms", "  fetch"),
    ("verify_ms", "  verify and write"),
    ("boot_ms", "  boot to the gate, the old one serving"),
    ("drain_ms", "  drain of the old one"),
    ("stop_ms", "  end of the old one"),
    ("start_ms", "  gate to ready"),
];

/// Measures deploys to pools of containers.
pub(crate) fn pool(options: &Options) -> Result<Vec<Table>, BenchError> {
    let title = |size: usize| {
        format!(
            "pool: bundle written → new code answers on {size} gateways in containers, {} rounds",
            options.rounds
        )
    };
    let skipped = |missing: String| {
        Ok(vec![Table {
            title: title(SIZES[0]),
            rows: Vec::new(),
            notes: vec![format!("SKIPPED: {missing}")],
        }])
    };
    let Some(base) = &options.base else {
        return skipped("no engine and base image; `just bench pool` has both".to_owned());
    };
    let application = Application::find(&options.workspace)?;
    let scripts = options
        .sequence
        .canonicalize()
        .map_err(BenchError::io("find", &options.sequence))?;
    let mut tables = Vec::new();
    for size in SIZES {
        let folder = tempfile::tempdir().map_err(BenchError::io("make", Path::new("a folder")))?;
        let for_bare = application.copy_to(&folder.path().join("bare"))?;
        let home = match Home::start(options, folder.path())? {
            Ok(home) => home,
            Err(missing) => return skipped(missing),
        };
        run(home
            .program("lockgate")
            .args(["image", "build", "--base", base, "--tag", IMAGE]))?;
        let name = format!("pool-{size}");
        let environment = Environment::in_containers(&home, &name, &application, size, SETTINGS)?;
        let mut measured = Measured::default();
        for round in 0..options.rounds {
            tell(&format!(
                "pool of {size}: round {} of {}",
                round + 1,
                options.rounds
            ));
            let bare = bare::starts(&for_bare, &scripts, folder.path(), size)?;
            measured.bare.push_time(bare);
            measured.once(&environment, &format!("2.0.{round}"))?;
        }
        environment.delete()?;
        tables.push(measured.table(title(size), size));
    }
    Ok(tables)
}

/// What was measured of one size.
#[derive(Default)]
struct Measured {
    answered: Samples,
    reported: Samples,
    phases: [Samples; PHASES.len()],
    bare: Samples,
}

impl Measured {
    fn once(&mut self, environment: &Environment<'_>, version: &str) -> Result<(), BenchError> {
        environment.write_version(version)?;
        let doors: Vec<_> = environment.gateways().iter().map(|it| it.door).collect();
        let clock = Stopwatch::start();
        let log = environment.home().folder().join("deploy.log");
        let running = Running::start(&mut environment.deploy(), &log)?;
        let answered = until_all_answer(&doors, version, clock).map_err(|error| {
            error.with_log(|| running.log_end() + &environment.home().log_end())
        })?;
        running.finish()?;
        self.answered.push_time(answered);
        self.reported.push_time(clock.elapsed());
        let status = environment.status()?;
        let status: Value = serde_json::from_str(&status).unwrap_or_default();
        let gateways = status
            .pointer("/environments/0/gateways")
            .and_then(Value::as_array);
        for gateway in gateways.into_iter().flatten() {
            for ((name, _), samples) in PHASES.iter().zip(&mut self.phases) {
                let ms = gateway.get("timings").and_then(|it| it.get(name));
                if let Some(ms) = ms.and_then(Value::as_f64) {
                    samples.push(ms);
                }
            }
        }
        Ok(())
    }

    fn table(self, title: String, size: usize) -> Table {
        let ratio = self.answered.median().zip(self.bare.median());
        let notes = ratio.map(|(ours, bare)| format!("bare starts × {:.2}", ours / bare));
        let mut rows = vec![
            Row::new("new code answers on all", self.answered, "ms"),
            Row::new("the command ended", self.reported, "ms"),
        ];
        let phases = PHASES.iter().zip(self.phases);
        rows.extend(phases.map(|((_, shown), samples)| Row::new(shown, samples, "ms")));
        rows.push(Row::new(
            &format!("{size} bare node starts at once"),
            self.bare,
            "ms",
        ));
        Table {
            title,
            rows,
            notes: notes.into_iter().collect(),
        }
    }
}
