//! Judges what gateways report against what was published. Pure: views in, events out.
//!
//! ```text
//! told ──▶ its steps ──▶ ready ──▶ on trial ──▶ good
//!   │          └────────────┴──────────┴──▶ refused, and what ran before is back
//!   └──▶ its agent cannot start: not done
//! ```
//! A gateway is done when it has come as far as is waited for. One that is ready and not
//! good yet is looked at on, since its build may still be refused.

use std::collections::BTreeMap;
use std::time::Duration;

use lockgate_model::{BuildId, GatewayName, Phase, Report, Timings};

use super::events::{Event, GatewayOutcome, GatewayProgress, Verdict};
use super::millis;
use super::strategy::Until;
use super::stuck::Stuck;
use crate::environment::publish::{Published, Said};
use crate::server::control::{GatewayView, GatewaysView};

/// The gateways that were told, and what is known of each.
#[derive(Debug)]
pub(crate) struct Follow {
    seq: u64,
    rows: BTreeMap<u32, Row>,
}

#[derive(Debug)]
struct Row {
    said: Said,
    /// How far it has to come.
    until: Until,
    /// When it was told, from the first publication.
    told: Duration,
    /// The process that ran the build before, if one did.
    pid_before: Option<u32>,
    view: Option<GatewayView>,
    progress: Option<GatewayProgress>,
    /// How long the build took to answer first.
    ready: Option<Duration>,
    /// Whether it is seen to have passed its trial.
    good: bool,
    /// Whether its agent cannot even start.
    stuck: Stuck,
    took: Duration,
}

/// Why nobody looks at the gateways any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// What was waited for is there.
    Reached,
    /// Time was up.
    TimeUp,
    /// Somebody ended the command.
    Interrupted,
}

impl Follow {
    /// Follows statements of this number; nobody was told yet.
    pub(crate) fn new(seq: u64) -> Self {
        Self {
            seq,
            rows: BTreeMap::new(),
        }
    }

    /// Follows these gateways, too. `before` is how things stood when they were told,
    /// `elapsed` when that was.
    pub(crate) fn told(
        &mut self,
        published: &Published,
        until: Until,
        before: &GatewaysView,
        elapsed: Duration,
    ) {
        for said in &published.gateways {
            // What was good and is only started again has nothing to prove.
            let proven = said.again && was_good(before, said);
            let row = Row {
                said: said.clone(),
                until: if proven { Until::Ready } else { until },
                told: elapsed,
                pid_before: pid_of(before, said),
                view: None,
                progress: None,
                ready: None,
                good: false,
                stuck: Stuck::default(),
                took: Duration::ZERO,
            };
            self.rows.insert(said.gateway.number(), row);
        }
    }

    /// Takes in how things stand and returns what is new about it.
    pub(crate) fn see(&mut self, view: &GatewaysView, elapsed: Duration) -> Vec<Event> {
        let mut events = Vec::new();
        for seen in &view.gateways {
            let Some(row) = self.rows.get_mut(&seen.name.number()) else {
                continue;
            };
            if row.is_final() {
                continue;
            }
            let progress = row.judge(self.seq, seen, elapsed);
            row.view = Some(seen.clone());
            if row.progress.as_ref() != Some(&progress) {
                row.took = elapsed.saturating_sub(row.told);
                row.progress = Some(progress.clone());
                events.push(Event::Gateway(progress));
            }
        }
        events
    }

    /// When to look again although nothing has changed: one that does not come up is given up then.
    pub(crate) fn due(&self) -> Option<Duration> {
        let open = self.rows.values().filter(|row| row.verdict().is_none());
        open.filter_map(|row| row.stuck.due()).min()
    }

    /// Whether every gateway that was told is done.
    pub(crate) fn is_done(&self) -> bool {
        self.rows.values().all(|row| row.verdict().is_some())
    }

    /// Whether every gateway that was told is ready at this moment, or done.
    pub(crate) fn is_ready(&self) -> bool {
        let ready = |row: &Row| row.verdict().is_some() || row.answers();
        self.rows.values().all(ready)
    }

    /// Whether a gateway did not do what was wanted.
    pub(crate) fn has_failed(&self) -> bool {
        let mut verdicts = self.rows.values().filter_map(Row::verdict);
        verdicts.any(|verdict| !verdict.is_good())
    }

    /// The numbers of those that refused the build.
    pub(crate) fn refused(&self) -> Vec<u32> {
        let kept = |row: &&Row| matches!(row.verdict(), Some(Verdict::Kept { .. }));
        let rows = self.rows.values().filter(kept);
        rows.map(|row| row.said.gateway.number()).collect()
    }

    /// Those that answer and are on trial, and that is waited for.
    pub(crate) fn on_trial(&self) -> Vec<GatewayName> {
        let rows = self.rows.values();
        rows.filter(|row| row.verdict().is_none() && row.answers())
            .map(|row| row.said.gateway.clone())
            .collect()
    }

    /// How many were ready, and how long the slowest of them took.
    pub(crate) fn ready(&self) -> (usize, Duration) {
        let times = self.rows.values().filter_map(|row| row.ready);
        let slowest = times.clone().max().unwrap_or_default();
        (times.count(), slowest)
    }

    /// What became of each that was told; those that are not done are said to be so.
    pub(crate) fn outcomes(self, ended: Ended, elapsed: Duration) -> Vec<GatewayOutcome> {
        let rows = self.rows.into_values();
        rows.map(|row| row.outcome(ended, elapsed)).collect()
    }
}

/// What a gateway reported before it was told.
fn report_of<'v>(before: &'v GatewaysView, said: &Said) -> Option<&'v Report> {
    let view = before.gateways.iter().find(|it| it.name == said.gateway)?;
    view.report.as_ref()
}

/// The process that runs what a gateway is told already.
fn pid_of(before: &GatewaysView, said: &Said) -> Option<u32> {
    let running = report_of(before, said)?.running.as_ref()?;
    (running.build == said.build).then_some(running.pid)
}

/// Whether a gateway ran what it is told, and that had passed its trial.
fn was_good(before: &GatewaysView, said: &Said) -> bool {
    let runs = pid_of(before, said).is_some();
    runs && report_of(before, said).is_some_and(|it| !it.on_trial && it.refused.is_none())
}

impl Row {
    fn verdict(&self) -> Option<&Verdict> {
        self.progress.as_ref()?.verdict.as_ref()
    }

    /// Nothing more can become of it. What is ready and not good can still be refused, and what does
    /// not come up can be mended while others are waited for.
    fn is_final(&self) -> bool {
        match self.verdict() {
            Some(Verdict::Runs | Verdict::AlreadyRan) => self.good,
            Some(Verdict::NotDone { .. }) | None => false,
            Some(_) => true,
        }
    }

    /// Whether the build answers at this moment.
    fn answers(&self) -> bool {
        let progress = self.progress.as_ref();
        self.ready.is_some() && progress.is_some_and(|it| it.phase == Some(Phase::Ready))
    }

    fn judge(&mut self, seq: u64, view: &GatewayView, elapsed: Duration) -> GatewayProgress {
        let report = view.report.as_ref();
        let heard = report.filter(|report| report.seq >= seq);
        self.stuck.see(view, elapsed);
        let verdict = match heard {
            _ if !self.said.run => Some(Verdict::Stopped),
            Some(report) => self.verdict_on(seq, report, elapsed),
            None => self.stuck.is_for_good(elapsed).then(|| Verdict::NotDone {
                phase: None,
                problem: view.agent_problem.clone(),
                stuck: true,
            }),
        };
        GatewayProgress {
            gateway: view.name.clone(),
            phase: heard.map(|report| report.phase),
            problem: view
                .agent_problem
                .clone()
                .or_else(|| heard.and_then(|report| going_back(seq, report)))
                .or_else(|| heard.and_then(|report| report.problem.clone())),
            ready_ms: self.ready.map(millis),
            on_trial: self.ready.is_some() && heard.is_some_and(|report| report.on_trial),
            verdict,
        }
    }

    /// What a gateway made of a statement it knows; nothing while it is at it.
    fn verdict_on(&mut self, seq: u64, report: &Report, elapsed: Duration) -> Option<Verdict> {
        if let Some(refused) = report.refused.as_ref().filter(|refused| refused.seq >= seq) {
            // What ran before may still be on its way back; it is told when it answers. It may be
            // the same build with other settings.
            let runs = running_build(report);
            let back = match (report.phase, &report.running) {
                (Phase::Ready, running) => running.is_some(),
                (Phase::Stopped | Phase::Waiting, running) => running.is_none(),
                _ => false,
            };
            return back.then(|| Verdict::Kept {
                settings_only: runs.as_ref() == Some(&refused.build),
                runs,
                reason: refused.reason.clone(),
                unavailable_ms: refused.unavailable_ms,
                log: refused.log.clone(),
            });
        }
        let running = report
            .running
            .as_ref()
            .filter(|running| running.build == self.said.build)?;
        if report.settled < seq || report.phase != Phase::Ready {
            return None;
        }
        let since_told = elapsed.saturating_sub(self.told);
        self.ready.get_or_insert(since_told);
        self.good = !report.on_trial;
        let verdict = if self.pid_before == Some(running.pid) {
            Verdict::AlreadyRan
        } else {
            Verdict::Runs
        };
        (self.good || self.until == Until::Ready).then_some(verdict)
    }

    fn outcome(self, ended: Ended, elapsed: Duration) -> GatewayOutcome {
        let answers = self.answers();
        let since_told = elapsed.saturating_sub(self.told);
        let (verdict, took) = match self.progress {
            Some(GatewayProgress {
                verdict: Some(verdict),
                ..
            }) => (verdict, self.took),
            _ if answers && ended == Ended::TimeUp => (Verdict::OnTrial, since_told),
            // It runs what it shall; nobody waited to know more.
            _ if answers => (Verdict::Runs, since_told),
            Some(GatewayProgress { phase, problem, .. }) => {
                let stuck = false;
                let verdict = Verdict::NotDone {
                    phase,
                    problem,
                    stuck,
                };
                (verdict, since_told)
            }
            None => (
                Verdict::NotDone {
                    phase: None,
                    problem: None,
                    stuck: false,
                },
                since_told,
            ),
        };
        let report = self.view.as_ref().and_then(|view| view.report.as_ref());
        // The last change was made for this only where a process was started for it. What a
        // refused build cost is told, too, where the old process was ended for it.
        let changed = report.filter(|_| matches!(verdict, Verdict::Runs | Verdict::OnTrial));
        let paid = report.filter(|_| verdict.took_over());
        GatewayOutcome {
            gateway: self.said.gateway,
            http_port: self.view.as_ref().map_or(0, |view| view.http_port),
            running_build: report.and_then(running_build),
            ready_ms: self.ready.map(millis),
            good: self.good && verdict.is_good(),
            took_ms: millis(took),
            change: changed.or(paid).and_then(|report| report.change.clone()),
            // Those of a refused build are mixed with those of the way back.
            timings: changed.map_or_else(Timings::default, |report| report.timings.clone()),
            verdict,
        }
    }
}

/// What became of a gateway whose turn did not come: nothing.
pub(crate) fn untouched(view: &GatewayView) -> GatewayOutcome {
    let report = view.report.as_ref();
    GatewayOutcome {
        gateway: view.name.clone(),
        http_port: view.http_port,
        running_build: report.and_then(running_build),
        verdict: Verdict::Untouched,
        ready_ms: None,
        good: report.is_some_and(|it| it.phase == Phase::Ready && !it.on_trial),
        took_ms: 0,
        change: None,
        timings: Timings::default(),
    }
}

/// Why a gateway starts once more: the build was refused, and the one before comes back.
fn going_back(seq: u64, report: &Report) -> Option<String> {
    let refused = report.refused.as_ref().filter(|it| it.seq >= seq)?;
    Some(format!("{}; going back", refused.reason))
}

fn running_build(report: &Report) -> Option<BuildId> {
    report.running.as_ref().map(|running| running.build.clone())
}

#[cfg(test)]
mod tests;
