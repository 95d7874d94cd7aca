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

/// `fetch 40 ms, boot 610 ms, drain 20 ms, stop 35 ms`
fn steps(timings: &Timings) -> String {
    let steps = [
        ("fetch", timings.fetch_ms),
        ("verify", timings.verify_ms),
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
fn notes(outcome: &Outcome) -> BTreeMap<String, Vec<&str>> {
    let mut notes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for gateway in &outcome.gateways {
        if let Some(note) = gateway.change.as_ref().and_then(change_note) {
            notes
                .entry(note)
                .or_default()
                .push(gateway.gateway.as_str());
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
    if change.websockets > 0 {
        parts.push(format!("closed {}", number(change.websockets, "WebSocket")));
    }
    if !change.left_behind.is_empty() {
        parts.push(format!(
            "killed {}, left behind by the old process",
            change.left_behind.join(", ")
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
pub(super) fn refusals(outcome: &Outcome, paint: Paint) -> Vec<String> {
    let mut reasons: BTreeMap<String, Alike<'_>> = BTreeMap::new();
    for gateway in &outcome.gateways {
        let (reason, unavailable, log) = match &gateway.verdict {
            Verdict::Kept {
                reason,
                unavailable_ms,
                log,
                ..
            } => (reason.clone(), *unavailable_ms, log.as_slice()),
            Verdict::NotDone { phase, problem } => {
                let phase = phase.map_or("has not been heard of", Phase::as_str);
                let problem = problem
                    .as_ref()
                    .map_or(String::new(), |problem| format!(": {problem}"));
                let reason = format!("not done in time, {phase}{problem}");
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
