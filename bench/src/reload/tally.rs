//! What a contender's clients saw, over all rounds.

use std::collections::BTreeMap;
use std::time::Duration;

use lockgate_e2e::load::{Class, Figures, Outcome};
use serde_json::Value;

use super::round::gated;
use crate::samples::Samples;

/// What happened so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The longest wait for a quick answer, per reload.
    pub(super) pauses: Samples,
    /// The same, without the wait for requests that the old process still answered.
    beyond: Samples,
    /// How long nobody answered, per reload.
    pub(super) nobody: Samples,
    /// From the written bundle to the first answer of the new code.
    pub(super) published: Samples,
    reloads: usize,
    sent: u64,
    lost: usize,
    losses: BTreeMap<String, u64>,
    examples: Vec<String>,
    latencies: BTreeMap<Class, Vec<Duration>>,
    codes: BTreeMap<u16, u64>,
    broken: usize,
    not_opened: usize,
    closed_idle: u64,
    gated: usize,
    cold: BTreeMap<String, u64>,
    cut: u64,
    steps: BTreeMap<&'static str, Samples>,
    agent: Option<(Duration, Duration)>,
}

/// The steps of a reload that an agent reports.
const STEPS: [&str; 7] = [
    "fetch_ms",
    "verify_ms",
    "boot_ms",
    "drain_ms",
    "stop_ms",
    "start_ms",
    "unavailable_ms",
];

impl Tally {
    /// Adds a round: what clients saw, and which version was published when.
    pub(super) fn add(&mut self, outcome: &Outcome, published: &[(String, Duration)]) {
        self.sent += outcome.sent_in_all();
        self.lost += outcome.losses.len();
        self.closed_idle += outcome.closed_idle;
        for loss in &outcome.losses {
            let what = format!("{} {}", loss.class.as_str(), loss.kind);
            let count = self.losses.entry(what).or_default();
            *count += 1;
            if *count == 1 {
                self.examples.push(loss.to_string());
            }
        }
        for class in Class::ALL {
            let latencies = self.latencies.entry(class).or_default();
            latencies.append(&mut outcome.latencies(class));
        }
        for (code, count) in outcome.websockets.codes() {
            *self.codes.entry(code).or_default() += count;
        }
        self.broken += outcome.websockets.broken.len();
        self.not_opened += outcome.websockets.not_opened.len();
        for switch in outcome.switches() {
            let Some(to) = outcome.answerers.get(switch.to) else {
                continue;
            };
            let Some((_, at)) = published.iter().find(|(version, _)| *version == to.version) else {
                continue;
            };
            self.reloads += 1;
            self.pauses.push_time(switch.pause);
            let beyond = switch.pause.saturating_sub(switch.finishing());
            self.beyond.push_time(beyond);
            self.nobody.push_time(switch.nobody());
            self.published.push_time(switch.at.saturating_sub(*at));
        }
    }

    /// Adds what the agent says of a reload.
    pub(super) fn reported(&mut self, report: &Value) {
        match gated(report) {
            Ok(()) => self.gated += 1,
            Err(why) => *self.cold.entry(why).or_default() += 1,
        }
        let number = |pointer: String| report.pointer(&pointer).and_then(Value::as_u64);
        self.cut += number("/change/cut".to_owned()).unwrap_or(0);
        for step in STEPS {
            if let Some(ms) = number(format!("/timings/{step}")) {
                let samples = self.steps.entry(step).or_default();
                samples.push_time(Duration::from_millis(ms));
            }
        }
    }

    /// Adds the agent's processor time in a round that lasted so long.
    pub(super) fn agent_used(&mut self, used: Duration, lasted: Duration) {
        let (all, time) = self.agent.unwrap_or_default();
        self.agent = Some((all + used, time + lasted));
    }

    /// How many requests were lost.
    pub(super) fn lost(&self) -> String {
        format!(
            "{} of {} requests lost in {} reloads",
            self.lost, self.sent, self.reloads
        )
    }

    /// Everything else, a line each.
    pub(super) fn notes(&self, name: &str) -> Vec<String> {
        let mut notes = vec![format!("{name}:")];
        for (class, latencies) in &self.latencies {
            let figures = Figures::of(latencies.clone());
            if figures.count > 0 {
                notes.push(format!("  {:<10} {figures}", class.as_str()));
            }
        }
        for (what, count) in &self.losses {
            notes.push(format!("  lost {count} × {what}"));
        }
        let first = self.examples.iter().map(|loss| format!("    first {loss}"));
        notes.extend(first);
        if let (Some(pause), Some(beyond)) = (self.pauses.at(99), self.beyond.at(99)) {
            notes.push(format!(
                "  pause p99 {pause:.0} ms; beyond the wait for requests in flight {beyond:.0} ms \
                 (to reach: ≤ 100 ms)"
            ));
        }
        notes.push(format!(
            "  WebSockets closed by code {:?}, without a close frame {}, not opened {}; \
             connections closed while idle {}",
            self.codes, self.broken, self.not_opened, self.closed_idle
        ));
        if self.gated > 0 || !self.cold.is_empty() {
            notes.push(format!(
                "  gated {}, cold {:?}, requests cut {}",
                self.gated, self.cold, self.cut
            ));
        }
        let step = |step: &&str| Some(format!("{step} {:.0}", self.steps.get(step)?.median()?));
        let steps: Vec<_> = STEPS.iter().filter_map(step).collect();
        if !steps.is_empty() {
            notes.push(format!("  agent's medians: {}", steps.join(", ")));
        }
        if let Some((used, lasted)) = self.agent {
            let ms = used.as_secs_f64() * 1000.0;
            notes.push(format!(
                "  agent's processor time {:.1} ms a reload, {:.2} % of a core",
                ms / f64::from(u32::try_from(self.reloads.max(1)).unwrap_or(1)),
                ms / lasted.as_secs_f64() / 10.0
            ));
        }
        notes
    }
}
