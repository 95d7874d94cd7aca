//! How a deploy looks while it runs: a redrawn line per gateway on a terminal,
//! a line per change elsewhere, an event per line for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use lockgate_model::{GatewayName, Phase};

use crate::deploy::events::{Event, GatewayProgress, Outcome, Verdict};
use crate::error::CommandError;
use crate::views::paint::{Paint, Tone};
use crate::views::screen::Screen;
use crate::views::table::{self, Cell, Column};
use crate::views::text;

/// How much of a failed start's log is shown: node's own account of an exception fits.
const LAST_LINES: usize = 25;

/// Shows events as they come.
pub(crate) struct Progress {
    screen: Screen,
    lines: MultiProgress,
    gateways: BTreeMap<GatewayName, ProgressBar>,
    style: ProgressStyle,
}

impl Progress {
    /// Shows events on this screen.
    pub(crate) fn new(screen: Screen) -> Self {
        Self {
            screen,
            lines: MultiProgress::new(),
            gateways: BTreeMap::new(),
            style: ProgressStyle::default_spinner(),
        }
    }

    /// Shows one event.
    pub(crate) fn tell(&mut self, event: &Event) {
        if self.screen.is_json() {
            // A reader that went away ends the command when the result is printed.
            let _ = self.screen.json(event);
            return;
        }
        match event {
            Event::Gateway(progress) if self.screen.live => self.redraw(progress),
            // What runs meanwhile is the build before; a line of its own would read as done.
            Event::Gateway(GatewayProgress {
                phase: None | Some(Phase::Ready),
                problem: None,
                verdict: None,
                ..
            }) => {}
            Event::Warning { message } => self.above(|screen| screen.warn(message)),
            _ => {
                if let Some(line) = line(event, self.screen.err) {
                    self.above(|screen| screen.say(&line));
                }
            }
        }
    }

    /// Takes the redrawn lines away and prints the result.
    pub(crate) fn finish(self, outcome: &Outcome) -> Result<(), CommandError> {
        for line in self.gateways.values() {
            line.finish_and_clear();
        }
        let screen = self.screen;
        if screen.is_json() {
            return screen.json(&Event::Result(outcome.clone()));
        }
        screen.data(&summary(outcome, screen.width, screen.out))?;
        for (reason, (gateways, log)) in kept(outcome) {
            let cross = screen.err.tone(Tone::Bad, "✗");
            screen.say(&format!("\n{cross} {}: {reason}", gateways.join(", ")));
            for line in log.iter().skip(log.len().saturating_sub(LAST_LINES)) {
                screen.say(&format!("  {} {line}", screen.err.dim("│")));
            }
        }
        Ok(())
    }

    fn redraw(&mut self, progress: &GatewayProgress) {
        let line = self
            .gateways
            .entry(progress.gateway.clone())
            .or_insert_with(|| {
                let line = self
                    .lines
                    .add(ProgressBar::new_spinner().with_style(self.style.clone()));
                line.enable_steady_tick(Duration::from_millis(100));
                line
            });
        let text = gateway_text(progress, self.screen.err);
        if progress.verdict.is_some() {
            line.finish_with_message(text);
        } else {
            line.set_message(text);
        }
    }

    fn above(&self, print: impl FnOnce(&Screen)) {
        self.lines.suspend(|| print(&self.screen));
    }
}

/// Who is interrupted leaves no half-drawn lines behind.
impl Drop for Progress {
    fn drop(&mut self) {
        for line in self.gateways.values() {
            line.finish_and_clear();
        }
    }
}

fn line(event: &Event, paint: Paint) -> Option<String> {
    let done = paint.tone(Tone::Good, "✓");
    let ms = |ms: u64| paint.dim(&format!("in {}", text::span(Duration::from_millis(ms))));
    Some(match event {
        Event::Building { command } => format!("{} {command}", paint.dim("building:")),
        Event::Built { took_ms } => format!("{done} built {}", ms(*took_ms)),
        Event::Validated {
            clean: true,
            bundles,
            took_ms,
        } => {
            format!(
                "{done} validated {} {}",
                text::count(bundles.len(), "bundle"),
                ms(*took_ms)
            )
        }
        Event::Validated {
            clean: false,
            bundles,
            ..
        } => lockgate_builds::validate::render(bundles)
            .trim_end()
            .to_owned(),
        Event::Packed {
            build,
            new,
            files,
            size_bytes,
            left_out,
            took_ms,
        } => {
            let build = paint.strong(build.as_str());
            let unchanged = if *new { "" } else { ", unchanged" };
            let skipped = match left_out.len() {
                0 => String::new(),
                number => paint.dim(&format!("; left out {}", text::count(number, "file"))),
            };
            format!(
                "{done} packed build {build} ({}, {}{unchanged}) {}{skipped}",
                text::count(*files, "file"),
                text::size(*size_bytes),
                ms(*took_ms)
            )
        }
        Event::Published { gateways, .. } => {
            format!("{done} published to {}", text::count(*gateways, "gateway"))
        }
        Event::Gateway(progress) => format!("  {}", gateway_text(progress, paint)),
        Event::News(news) => {
            let (tone, mark) = if news.good {
                (Tone::Good, "✓")
            } else {
                (Tone::Bad, "!")
            };
            format!(
                "{} {}: {}",
                paint.tone(tone, mark),
                news.gateway,
                news.message
            )
        }
        Event::Archive { .. } | Event::Warning { .. } | Event::Result(_) => return None,
    })
}

fn gateway_text(progress: &GatewayProgress, paint: Paint) -> String {
    let name = progress.gateway.as_str();
    let state = match (&progress.verdict, progress.phase) {
        (Some(verdict), _) => {
            let (text, tone) = verdict_text(verdict);
            paint.tone(tone, text)
        }
        (None, Some(Phase::Ready)) => paint.dim("has heard of it"),
        (None, Some(phase)) => paint.tone(Tone::Busy, phase.as_str()),
        (None, None) => paint.dim("not heard of yet"),
    };
    match &progress.problem {
        Some(problem) if progress.verdict.is_none() => {
            format!("{name}  {state}  {}", paint.dim(problem))
        }
        _ => format!("{name}  {state}"),
    }
}

fn verdict_text(verdict: &Verdict) -> (&'static str, Tone) {
    match verdict {
        Verdict::Runs => ("ready", Tone::Good),
        Verdict::AlreadyRan => ("already runs it", Tone::Good),
        Verdict::Stopped => ("stopped", Tone::Dim),
        Verdict::Kept {
            settings_only: true,
            ..
        } => ("kept its old settings", Tone::Bad),
        Verdict::Kept { runs: Some(_), .. } => ("kept its old build", Tone::Bad),
        Verdict::Kept { runs: None, .. } => ("runs nothing", Tone::Bad),
        Verdict::NotDone { .. } => ("not done", Tone::Bad),
    }
}

const COLUMNS: [Column; 5] = [
    Column::name("GATEWAY"),
    Column::kept("BUILD"),
    Column::kept("STATE"),
    Column::expendable("TIME", 2),
    Column::expendable("STEPS", 3),
];

fn summary(outcome: &Outcome, width: Option<usize>, paint: Paint) -> String {
    let rows: Vec<[Cell; 5]> = outcome
        .gateways
        .iter()
        .map(|gateway| {
            let (state, tone) = verdict_text(&gateway.verdict);
            [
                gateway.gateway.as_str().into(),
                Cell::maybe(gateway.running_build.as_ref()),
                Cell::new(state, tone),
                text::span(Duration::from_millis(gateway.took_ms)).into(),
                Cell::new(steps(&gateway.timings), Tone::Dim),
            ]
        })
        .collect();
    table::render(COLUMNS, &rows, width, paint)
}

/// `fetch 40 ms, stop 35 ms, start 610 ms`
fn steps(timings: &lockgate_model::Timings) -> String {
    let steps = [
        ("fetch", timings.fetch_ms),
        ("verify", timings.verify_ms),
        ("stop", timings.stop_ms),
        ("start", timings.start_ms),
    ];
    let known: Vec<String> = steps
        .into_iter()
        .filter_map(|(name, ms)| Some(format!("{name} {}", text::span(Duration::from_millis(ms?)))))
        .collect();
    known.join(", ")
}

/// The gateways that do not run the build, by reason, and the last lines that one of them wrote.
fn kept(outcome: &Outcome) -> BTreeMap<String, (Vec<&str>, &[String])> {
    let mut reasons: BTreeMap<String, (Vec<&str>, &[String])> = BTreeMap::new();
    for gateway in &outcome.gateways {
        let (reason, log) = match &gateway.verdict {
            Verdict::Kept { reason, log, .. } => (reason.clone(), log.as_slice()),
            Verdict::NotDone { phase, problem } => {
                let phase = phase.map_or("has not been heard of", Phase::as_str);
                let problem = problem
                    .as_ref()
                    .map_or(String::new(), |problem| format!(": {problem}"));
                (format!("not done in time, {phase}{problem}"), [].as_slice())
            }
            Verdict::Runs | Verdict::AlreadyRan | Verdict::Stopped => continue,
        };
        let (gateways, _) = reasons.entry(reason).or_insert((Vec::new(), log));
        gateways.push(gateway.gateway.as_str());
    }
    reasons
}
