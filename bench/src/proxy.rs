//! Requests through both doors: ours, as two processes, beside nginx in both places.

mod chains;
mod load;
mod names;

use std::path::Path;
use std::time::Duration;

use self::chains::Chain;
use self::load::{Load, Protocol};
use crate::Options;
use crate::error::BenchError;
use crate::samples::Samples;
use crate::table::{Row, Table, ratio, tell};

/// How long each chain is asked in a round.
const ASK_FOR: Duration = Duration::from_secs(2);

/// What is asked for, and how.
struct Question {
    what: &'static str,
    path: &'static str,
    protocol: Protocol,
}

const QUESTIONS: [Question; 6] = [
    Question {
        what: "5 bytes",
        path: chains::SMALL,
        protocol: Protocol::Plain,
    },
    Question {
        what: "5 bytes",
        path: chains::SMALL,
        protocol: Protocol::Tls,
    },
    Question {
        what: "5 bytes",
        path: chains::SMALL,
        protocol: Protocol::TlsHttp2,
    },
    Question {
        what: "1 MB",
        path: chains::LARGE,
        protocol: Protocol::Plain,
    },
    Question {
        what: "1 MB",
        path: chains::LARGE,
        protocol: Protocol::Tls,
    },
    Question {
        what: "1 MB",
        path: chains::LARGE,
        protocol: Protocol::TlsHttp2,
    },
];

/// Measures both doors together.
pub(crate) fn proxy(options: &Options) -> Result<Vec<Table>, BenchError> {
    let folder = tempfile::tempdir().map_err(BenchError::io("make", Path::new("a folder")))?;
    if !crate::nginx::is_installed() {
        return Ok(vec![Table {
            title: "proxy".to_owned(),
            notes: vec!["SKIPPED: nginx, which is the application, is not installed".to_owned()],
            ..Table::default()
        }]);
    }
    let world = chains::World::new(folder.path())?;
    let chains = [world.lockgate()?, world.nginx()?];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BenchError::io("start", Path::new("the load")))?;
    QUESTIONS
        .iter()
        .map(|question| {
            let load = Load::new(&world.authority, question.protocol, question.path);
            runtime.block_on(asked(options, question, &load?, &chains))
        })
        .collect()
}

async fn asked(
    options: &Options,
    question: &Question,
    load: &Load,
    chains: &[Chain],
) -> Result<Table, BenchError> {
    let title = format!(
        "proxy: {} {}, {} at once, {} rounds of {} s in turns",
        question.what,
        question.protocol.name(),
        load::AT_ONCE,
        options.rounds,
        ASK_FOR.as_secs()
    );
    let mut measured = vec![<[Samples; 3]>::default(); chains.len()];
    for round in 0..options.rounds {
        tell(&format!("{title}: round {}", round + 1));
        for (chain, [rates, times, worked]) in chains.iter().zip(&mut measured) {
            let before = chain.processor_time()?;
            let answered = load.ask(chain, ASK_FOR).await?;
            let work = chain.processor_time()?.saturating_sub(before);
            let count = f64::from(u32::try_from(answered.len()).unwrap_or(u32::MAX));
            rates.push(count / ASK_FOR.as_secs_f64());
            worked.push(work.as_secs_f64() * 1e6 / count);
            let round: Samples = answered
                .iter()
                .map(|time| time.as_secs_f64() * 1000.0)
                .collect();
            if let Some(slow) = round.at(99) {
                times.push(slow);
            }
        }
    }
    let mut notes = Vec::new();
    if let [[ours, _, _], [theirs, _, _]] = &measured[..]
        && let Some(ratio) = ratio(ours, theirs)
    {
        notes.push(format!("{ratio:.2} × nginx (to reach: ≥ 0.9)"));
    }
    let rows = chains
        .iter()
        .zip(measured)
        .map(|(chain, [rates, times, worked])| {
            let mut row = Row::new(chain.name, rates, "/s");
            if let (Some(slow), Some(work)) = (times.median(), worked.median()) {
                row.remark = format!(
                    "99 of 100 within {slow:.1} ms, {work:.0} µs of a processor each in both doors"
                );
            }
            row
        });
    Ok(Table {
        title,
        rows: rows.collect(),
        notes,
    })
}
