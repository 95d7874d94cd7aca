//! What a deploy came to: a row for each gateway, what a reader must know beyond it, and
//! what refused builds wrote last.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use lockgate_model::{Change, Phase, Timings};

use crate::deploy::events::{GatewayOutcome, Outcome, Verdict};
use crate::views::paint::{Paint, Tone};
use crate::views::table::{self, Cell, Column};
use crate::views::text;

/// How much of a refused build's log is shown: as much as the agent keeps with a refusal.
const LAST_LINES: usize = 50;

const COLUMNS: [Column; 7] = [
    Column::name("GATEWAY"),
    Column::kept("BUILD"),
    Column::kept("STATE"),
    Column::expendable("READY", 1),
    Column::expendable("CHANGE", 2),
    Column::expendable("PAUSE", 3),
    Column::expendable("STEPS", 4),
];

/// The table, and a line for what a reader must know beyond a row.
pub(super) fn summary(outcome: &Outcome, width: Option<usize>, paint: Paint) -> String {
    let rows: Vec<[Cell; 7]> = outcome.gateways.iter().map(row).collect();
    let mut text = table::render(COLUMNS, &rows, width, paint);
    for (note, gateways) in notes(outcome) {
        let mark = paint.tone(Tone::Busy, "!");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{mark} {}: {note}", gateways.join(", "));
    }
    text
}

fn row(gateway: &GatewayOutcome) -> [Cell; 7] {
    let (state, tone) = verdict_text(&gateway.verdict, gateway.good);
    let span = |ms: u64| text::span(Duration::from_millis(ms));
    let new = matches!(gateway.verdict, Verdict::Runs | Verdict::OnTrial);
    let pause = match &gateway.verdict {
        Verdict::Kept { unavailable_ms, .. } => *unavailable_ms,
        _ => gateway.timings.unavailable_ms,
    };
    [
        gateway.gateway.as_str().into(),
        Cell::maybe(gateway.running_build.as_ref()),
        Cell::new(state, tone),
        Cell::maybe(gateway.ready_ms.filter(|_| new).map(span)),
        Cell::maybe(gateway.change.as_ref().map(gated_or_cold)),
        Cell::maybe(pause.map(span)),
        Cell::new(steps(&gateway.timings), Tone::Dim),
    ]
}

/// What became of a gateway, in a word or two.
pub(super) fn verdict_text(verdict: &Verdict, good: bool) -> (&'static str, Tone) {
    match verdict {
        Verdict::Runs if good => ("good", Tone::Good),
        Verdict::Runs => ("ready", Tone::Good),
        Verdict::AlreadyRan => ("already runs it", Tone::Good),
        Verdict::Stopped => ("stopped", Tone::Dim),
        Verdict::Kept {
            settings_only: true,
            ..
        } => ("kept its old settings", Tone::Bad),
        Verdict::Kept { runs: Some(_), .. } => ("kept its old build", Tone::Bad),
        Verdict::Kept { runs: None, .. } => ("runs nothing", Tone::Bad),
        Verdict::OnTrial => ("still on trial", Tone::Bad),
        Verdict::NotDone { .. } => ("not done", Tone::Bad),
        Verdict::Untouched => ("untouched", Tone::Dim),
    }
}

fn gated_or_cold(change: &Change) -> &'static str {
    if change.gated { "gated" } else { "cold" }
}

/// `fetch 40 ms, boot 610 ms, drain 20 ms, stop 35 ms`; that it was verified is part of the fetch.
fn steps(timings: &Timings) -> String {
    let fetched = timings
        .fetch_ms
        .map(|ms| ms + timings.verify_ms.unwrap_or(0));
    let steps = [
        ("fetch", fetched),
        ("boot", timings.boot_ms),
        ("drain", timings.drain_ms),
        ("stop", timings.stop_ms),
        ("start", timings.start_ms),
    ];
    let known: Vec<String> = steps
        .into_iter()
        .filter_map(|(name, ms)| Some(format!("{name} {}", text::span(Duration::from_millis(ms?)))))
        .collect();
    known.join(", ")
}

/// What a change was like, for those gateways where it was so.
fn notes(outcome: &Outcome) -> Vec<(String, Vec<&str>)> {
    let mut notes: Vec<(String, Vec<&str>)> = Vec::new();
    for gateway in &outcome.gateways {
        let Some(note) = gateway.change.as_ref().and_then(change_note) else {
            continue;
        };
        let name = gateway.gateway.as_str();
        match notes.iter_mut().find(|(known, _)| *known == note) {
            Some((_, gateways)) => gateways.push(name),
            None => notes.push((note, vec![name])),
        }
    }
    notes
}

/// Why a change was cold, and what it cost; nothing where there is nothing to say.
pub(crate) fn change_note(change: &Change) -> Option<String> {
    let number = |count: u64, word| text::count(usize::try_from(count).unwrap_or(usize::MAX), word);
    let mut parts: Vec<String> = Vec::new();
    parts.extend(change.why_cold.as_ref().map(|why| format!("cold: {why}")));
    if change.cut > 0 {
        parts.push(format!("cut {}", number(change.cut, "request")));
    }
    parts.extend(change.uncounted.clone());
    if change.websockets > 0 {
        parts.push(format!("closed {}", number(change.websockets, "WebSocket")));
    }
    if !change.left_behind.is_empty() {
        // Their numbers say nothing any more, and differ in each gateway.
        let programs = change.left_behind.iter().map(|one| {
            let (program, _) = one.rsplit_once(" (").unwrap_or((one, ""));
            program
        });
        let programs: Vec<&str> = programs.collect();
        parts.push(format!(
            "killed {}, which was left behind",
            programs.join(", ")
        ));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Gateways that do not run the build for the same reason.
#[derive(Default)]
struct Alike<'a> {
    gateways: Vec<&'a str>,
    /// How long nothing answered in each, where that is known.
    unavailable: Vec<u64>,
    log: &'a [String],
}

/// Why gateways do not run the build, with the last lines that one of them wrote.
pub(crate) fn refusals(outcome: &Outcome, paint: Paint) -> Vec<String> {
    let mut reasons: BTreeMap<String, Alike<'_>> = BTreeMap::new();
    for gateway in &outcome.gateways {
        let (reason, unavailable, log) = match &gateway.verdict {
            Verdict::Kept {
                reason,
                unavailable_ms,
                log,
                ..
            } => (reason.clone(), *unavailable_ms, log.as_slice()),
            Verdict::NotDone {
                problem: Some(problem),
                stuck: true,
                ..
            } => (format!("cannot start: {problem}"), None, [].as_slice()),
            Verdict::NotDone { phase, problem, .. } => {
                let phase = phase.map_or("has not been heard of", Phase::as_str);
                let problem = problem
                    .as_ref()
                    .map_or(String::new(), |problem| format!(": {problem}"));
                let when = if outcome.interrupted {
                    "not done yet"
                } else {
                    "not done in time"
                };
                let reason = format!("{when}, {phase}{problem}");
                (reason, None, [].as_slice())
            }
            Verdict::Runs
            | Verdict::AlreadyRan
            | Verdict::Stopped
            | Verdict::OnTrial
            | Verdict::Untouched => continue,
        };
        let alike = reasons.entry(reason).or_default();
        alike.gateways.push(gateway.gateway.as_str());
        alike.unavailable.extend(unavailable);
        alike.log = log;
    }
    let cross = paint.tone(Tone::Bad, "✗");
    let told = |(reason, alike): (String, Alike<'_>)| {
        let longest = unavailable(alike.unavailable.into_iter().max());
        let log = log_lines(alike.log, paint);
        format!(
            "\n{cross} {}: {reason}{longest}{log}",
            alike.gateways.join(", ")
        )
    };
    reasons.into_iter().map(told).collect()
}

/// `; nothing answered for 640 ms`
pub(crate) fn unavailable(longest_ms: Option<u64>) -> String {
    match longest_ms {
        None => String::new(),
        Some(0) => "; the old process answered all the time".to_owned(),
        Some(ms) => format!(
            "; nothing answered for {}",
            text::span(Duration::from_millis(ms))
        ),
    }
}

/// The last of these lines, each on a line of its own below what is told.
pub(super) fn log_lines(log: &[String], paint: Paint) -> String {
    let last = log.iter().skip(log.len().saturating_sub(LAST_LINES));
    let bar = paint.dim("│");
    last.fold(String::new(), |text, line| {
        text + "\n  " + &bar + " " + line
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::strategy::DeployStrategy;
    use lockgate_model::{BuildId, EnvName, GatewayName};

    fn build() -> BuildId {
        BuildId::parse(&"b".repeat(12)).unwrap()
    }

    fn outcome(gateways: &[(Verdict, Option<Change>)]) -> Outcome {
        let env = EnvName::parse("dev-001").unwrap();
        let gateway = |(number, (verdict, change)): (u32, &(Verdict, Option<Change>))| {
            let timings = Timings {
                fetch_ms: Some(30),
                verify_ms: Some(10),
                boot_ms: Some(610),
                unavailable_ms: Some(58),
                ..Timings::default()
            };
            GatewayOutcome {
                gateway: GatewayName::new(&env, number),
                http_port: 7100,
                running_build: Some(build()),
                verdict: verdict.clone(),
                ready_ms: Some(1_400),
                good: true,
                took_ms: 31_400,
                change: change.clone(),
                timings: if change.is_some() {
                    timings
                } else {
                    Timings::default()
                },
            }
        };
        Outcome {
            ok: true,
            interrupted: false,
            build: build(),
            seq: 1,
            strategy: DeployStrategy::All,
            took_ms: 0,
            gateways: (0..).zip(gateways).map(gateway).collect(),
            pinned: Vec::new(),
            seen: None,
            env,
        }
    }

    fn kept(reason: &str, unavailable_ms: Option<u64>) -> Verdict {
        Verdict::Kept {
            runs: Some(build()),
            settings_only: false,
            reason: reason.to_owned(),
            unavailable_ms,
            log: (0..60).map(|line| format!("line {line}")).collect(),
        }
    }

    #[test]
    fn a_row_tells_how_the_change_was_made_and_what_it_cost() {
        let gated = Change {
            gated: true,
            ..Change::default()
        };
        let cold = Change {
            why_cold: Some("it read /data/counter before it listened".to_owned()),
            cut: 2,
            uncounted: Some("the old process was stuck".to_owned()),
            websockets: 1,
            left_behind: vec!["sleep (712)".to_owned()],
            ..Change::default()
        };
        let outcome = outcome(&[
            (Verdict::Runs, Some(gated)),
            (Verdict::Runs, Some(cold.clone())),
            (Verdict::Runs, Some(cold)),
            (kept("threw", Some(0)), None),
            (Verdict::AlreadyRan, None),
        ]);
        let expected = "\
GATEWAY            BUILD         STATE               READY  CHANGE  PAUSE  STEPS
gw-pool-dev-001-0  bbbbbbbbbbbb  good                1.4 s  gated   58 ms  fetch 40 ms, boot 610 ms
gw-pool-dev-001-1  bbbbbbbbbbbb  good                1.4 s  cold    58 ms  fetch 40 ms, boot 610 ms
gw-pool-dev-001-2  bbbbbbbbbbbb  good                1.4 s  cold    58 ms  fetch 40 ms, boot 610 ms
gw-pool-dev-001-3  bbbbbbbbbbbb  kept its old build  -      -       0 ms   
gw-pool-dev-001-4  bbbbbbbbbbbb  already runs it     -      -       -      
! gw-pool-dev-001-1, gw-pool-dev-001-2: cold: it read /data/counter before it listened; cut 2 requests; the old process was stuck; closed 1 WebSocket; killed sleep, which was left behind
";
        assert_eq!(summary(&outcome, None, Paint::new(false)), expected);
    }

    #[test]
    fn what_cannot_start_is_told_apart_from_what_is_late() {
        let not_done = |stuck| Verdict::NotDone {
            phase: None,
            problem: Some("no image".to_owned()),
            stuck,
        };
        let told = refusals(
            &outcome(&[(not_done(true), None), (not_done(false), None)]),
            Paint::new(false),
        );
        assert_eq!(
            told,
            [
                "\n✗ gw-pool-dev-001-0: cannot start: no image",
                "\n✗ gw-pool-dev-001-1: not done in time, has not been heard of: no image"
            ]
        );
    }

    #[test]
    fn gateways_that_refuse_for_one_reason_are_told_once_with_the_last_fifty_lines() {
        let told = refusals(
            &outcome(&[
                (kept("threw", Some(600)), None),
                (kept("threw", Some(640)), None),
                (kept("hung", Some(0)), None),
            ]),
            Paint::new(false),
        );
        let [hung, threw] = told.as_slice() else {
            panic!("{told:?}");
        };
        let first = |text: &str| text.trim_start().lines().next().unwrap().to_owned();
        assert_eq!(
            first(threw),
            "✗ gw-pool-dev-001-0, gw-pool-dev-001-1: threw; nothing answered for 640 ms"
        );
        assert_eq!(
            first(hung),
            "✗ gw-pool-dev-001-2: hung; the old process answered all the time"
        );
        let lines: Vec<&str> = threw.lines().filter(|line| line.contains("line")).collect();
        assert_eq!((lines.len(), lines[0]), (50, "  │ line 10"));
    }
}
