//! How a deploy looks while it runs: a redrawn line per gateway on a terminal,
//! a line per change elsewhere, an event per line for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use lockgate_builds::{secrets, validate};
use lockgate_model::{GatewayName, Phase};

use crate::context::now_ms;
use crate::deploy::events::{Event, GatewayProgress, LeftPinned, Outcome, Scaled, ServiceChanged};
use crate::error::CommandError;
use crate::views::echo::Unechoed;
use crate::views::findings::painted;
use crate::views::outcome::{log_lines, refusals, summary, verdict_text};
use crate::views::paint::{Paint, Tone};
use crate::views::screen::Screen;
use crate::views::text;

/// Shows events as they come.
pub(crate) struct Progress {
    screen: Screen,
    lines: MultiProgress,
    gateways: BTreeMap<GatewayName, Line>,
    /// How long a trial takes.
    trial: Duration,
    /// Held while lines are redrawn.
    unechoed: Option<Unechoed>,
}

/// The redrawn line of a gateway.
struct Line {
    bar: ProgressBar,
    /// Whether a countdown runs in it.
    on_trial: bool,
}

impl Progress {
    /// Shows events on this screen.
    pub(crate) fn new(screen: Screen) -> Self {
        Self {
            screen,
            lines: MultiProgress::new(),
            gateways: BTreeMap::new(),
            trial: Duration::ZERO,
            unechoed: None,
        }
    }

    /// Where events are shown.
    pub(crate) fn screen(&self) -> Screen {
        self.screen
    }

    /// Shows one event.
    pub(crate) fn tell(&mut self, event: &Event) {
        if self.screen.is_json() {
            // A reader that went away ends the command when the result is printed.
            let _ = self.screen.json(event);
            return;
        }
        if let Event::Published { trial_ms, .. } = event {
            self.trial = Duration::from_millis(*trial_ms);
        }
        match event {
            Event::Gateway(progress) if self.screen.live => self.redraw(progress),
            // What runs meanwhile is the build before; a line of its own would read as done.
            Event::Gateway(GatewayProgress {
                phase: None | Some(Phase::Ready),
                problem: None,
                ready_ms: None,
                verdict: None,
                ..
            }) => {}
            Event::Warning { message } => self.above(|screen| screen.warn(message)),
            Event::Trial { .. } => {
                let text = trial_text(event, self.screen.err).unwrap_or_default();
                let leave = if self.screen.live {
                    " (Ctrl-C leaves them running: the agents go back by themselves)"
                } else {
                    ""
                };
                self.above(|screen| screen.say(&format!("{text}{leave}")));
            }
            _ => {
                if let Some(line) = line(event, self.screen.err) {
                    self.above(|screen| screen.say(&line));
                }
            }
        }
    }

    /// Says something above the redrawn lines; nothing to programs.
    pub(crate) fn say(&self, text: &str) {
        self.above(|screen| screen.say(text));
    }

    /// Takes the redrawn lines away and prints the result.
    pub(crate) fn finish(self, outcome: &Outcome) -> Result<(), CommandError> {
        self.clear();
        let screen = self.screen;
        if screen.is_json() {
            return screen.json(&Event::Result(outcome.clone()));
        }
        screen.data(&summary(outcome, screen.width, screen.out))?;
        for text in refusals(outcome, screen.err) {
            screen.say(&text);
        }
        Ok(())
    }

    fn redraw(&mut self, progress: &GatewayProgress) {
        if self.gateways.is_empty() {
            self.unechoed = Unechoed::new();
        }
        let lines = &self.lines;
        let line = self
            .gateways
            .entry(progress.gateway.clone())
            .or_insert_with(|| {
                let bar = lines.add(ProgressBar::new_spinner().with_style(style(None)));
                bar.enable_steady_tick(Duration::from_millis(100));
                Line {
                    bar,
                    on_trial: false,
                }
            });
        let on_trial =
            progress.on_trial && progress.phase == Some(Phase::Ready) && progress.verdict.is_none();
        if on_trial != line.on_trial {
            line.on_trial = on_trial;
            // The countdown begins anew: a crash on trial begins it anew, too.
            line.bar.reset_elapsed();
            line.bar.set_style(style(on_trial.then_some(self.trial)));
        }
        let text = gateway_text(progress, self.screen.err);
        if progress.verdict.is_some() {
            line.bar.finish_with_message(text);
        } else {
            line.bar.set_message(text);
        }
    }

    fn clear(&self) {
        for line in self.gateways.values() {
            line.bar.finish_and_clear();
        }
        // A terminal that is gone shows nothing anyway.
        let _ = self.lines.clear();
    }

    fn above(&self, print: impl FnOnce(&Screen)) {
        self.lines.suspend(|| print(&self.screen));
    }
}

/// Who is interrupted leaves no half-drawn lines behind.
impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A spinner and its text, with what is left of a trial.
fn style(trial: Option<Duration>) -> ProgressStyle {
    let Some(trial) = trial else {
        return ProgressStyle::default_spinner();
    };
    let left = move |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        let left = trial.saturating_sub(state.elapsed()).as_secs_f64().ceil();
        // A line that cannot be written is drawn again soon.
        let _ = write!(text, "for {left:.0} s");
    };
    // The template is our own and parses; the plain spinner would say the same without the time.
    ProgressStyle::with_template("{spinner} {msg} {left}").map_or_else(
        |_| ProgressStyle::default_spinner(),
        |style| style.with_key("left", left),
    )
}

fn news_text(good: bool, of: &str, message: &str, paint: Paint) -> String {
    let (tone, mark) = if good {
        (Tone::Good, "✓")
    } else {
        (Tone::Bad, "!")
    };
    format!("{} {of}: {message}", paint.tone(tone, mark))
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
        } => painted(&validate::render(bundles), paint),
        Event::Secrets { found, .. } => painted(&secrets::render(found), paint),
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
        Event::Pinned(pinned) => pinned_text(pinned),
        Event::Published {
            gateways,
            names,
            stages,
            ..
        } => match names.as_slice() {
            [only] if *stages > 1 => format!("{done} published to {only}"),
            _ => format!("{done} published to {}", text::count(*gateways, "gateway")),
        },
        Event::Trial { .. } => return trial_text(event, paint),
        Event::Renewed { gateways } => renewed_text(gateways),
        Event::Service(ServiceChanged { service, change }) => format!("{done} {change} {service}"),
        Event::Gateway(progress) => format!("  {}", gateway_text(progress, paint)),
        Event::News(news) => {
            let log = log_lines(&news.log, paint);
            news_text(news.good, news.gateway.as_str(), &news.message, paint) + &log
        }
        Event::ServiceNews(news) => {
            news_text(news.good, news.service.as_str(), &news.message, paint)
        }
        Event::Scaled(scaled) => format!("{done} {}", scaled_text(scaled)),
        Event::Archive { .. } | Event::Warning { .. } | Event::Result(_) => return None,
    })
}

/// A gateway that stays where it is, and how that ends.
fn pinned_text(pinned: &LeftPinned) -> String {
    let LeftPinned {
        gateway,
        build,
        since,
    } = pinned;
    let (env, number) = (gateway.env(), gateway.number());
    format!(
        "{gateway} is pinned to {build} ({}): left as it is; `lockgate deploy {env} --gateway {number} --unpin` ends that",
        text::ago(*since, now_ms())
    )
}

/// Which gateways have a new token.
fn renewed_text(gateways: &[GatewayName]) -> String {
    let names: Vec<&str> = gateways.iter().map(GatewayName::as_str).collect();
    format!(
        "a new GATEWAY_TOKEN, valid for a year, goes to {}",
        names.join(", ")
    )
}

/// `dev-001 has 5 gateways: gw-pool-dev-001-3, gw-pool-dev-001-4 are new`
fn scaled_text(scaled: &Scaled) -> String {
    let list = |names: &[GatewayName]| {
        let names: Vec<&str> = names.iter().map(GatewayName::as_str).collect();
        let verb = if names.len() == 1 { "is" } else { "are" };
        format!("{} {verb}", names.join(", "))
    };
    let has = format!(
        "{} has {}",
        scaled.env,
        text::count(scaled.gateways, "gateway")
    );
    match (scaled.added.as_slice(), scaled.removed.as_slice()) {
        ([], []) => has,
        ([], removed) => format!("{has}: {} gone", list(removed)),
        (added, _) => format!("{has}: {} new", list(added)),
    }
}

/// `ready on all 3 in 1.4 s; on trial for 30 s`
fn trial_text(event: &Event, paint: Paint) -> Option<String> {
    let Event::Trial {
        gateways,
        ready,
        ready_ms,
        trial_ms,
        then,
    } = event
    else {
        return None;
    };
    let ms = |ms: u64| text::span(Duration::from_millis(ms));
    let done = paint.tone(Tone::Good, "✓");
    let whom = match gateways.as_slice() {
        [only] if *ready == 1 => only.to_string(),
        all if all.len() == *ready => format!("all {ready}"),
        some => format!("{ready} gateways, {} of them new", some.len()),
    };
    let then = match then {
        0 => String::new(),
        others => format!(", then {others} more"),
    };
    let trial = humantime::format_duration(Duration::from_millis(*trial_ms));
    let ready = ms(*ready_ms);
    Some(format!(
        "{done} ready on {whom} in {ready}; on trial for {trial}{then}"
    ))
}

fn gateway_text(progress: &GatewayProgress, paint: Paint) -> String {
    let name = progress.gateway.as_str();
    let ready = |ms: u64| format!("ready in {}", text::span(Duration::from_millis(ms)));
    let state = match (&progress.verdict, progress.ready_ms, progress.phase) {
        (Some(verdict), _, _) => {
            let (text, tone) = verdict_text(verdict, !progress.on_trial);
            paint.tone(tone, text)
        }
        (None, Some(ms), Some(Phase::Ready)) => {
            let ready = paint.tone(Tone::Good, &ready(ms));
            format!("{ready}, {}", paint.tone(Tone::Busy, "on trial"))
        }
        (None, None, Some(Phase::Ready)) => paint.dim("has heard of it"),
        (None, _, Some(phase)) => paint.tone(Tone::Busy, phase.as_str()),
        (None, _, None) => paint.dim("not heard of yet"),
    };
    match &progress.problem {
        Some(problem) if progress.verdict.is_none() => {
            format!("{name}  {state}  {}", paint.dim(problem))
        }
        _ => format!("{name}  {state}"),
    }
}
