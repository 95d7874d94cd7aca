//! Judges what gateways report against what was published. Pure: views in, events out.

use std::collections::BTreeMap;
use std::time::Duration;

use lockgate_model::{BuildId, EnvName, GatewayName, Phase, Report, Timings};

use super::events::{Event, GatewayOutcome, GatewayProgress, Outcome, Verdict};
use super::millis;
use crate::environment::publish::{Published, Said};
use crate::server::control::{GatewayView, GatewaysView};

/// The gateways that were told, and what is known of each.
#[derive(Debug)]
pub(crate) struct Follow {
    build: BuildId,
    seq: u64,
    rows: BTreeMap<u32, Row>,
}

#[derive(Debug)]
struct Row {
    said: Said,
    /// The process that ran the build before, if one did.
    pid_before: Option<u32>,
    view: Option<GatewayView>,
    progress: Option<GatewayProgress>,
    took: Duration,
}

impl Follow {
    /// Follows these statements; `before` is how things stood when they were made.
    pub(crate) fn new(build: &BuildId, published: &Published, before: &GatewaysView) -> Self {
        let pid_before = |gateway: &GatewayName| {
            let view = before.gateways.iter().find(|view| view.name == *gateway)?;
            let running = view.report.as_ref()?.running.as_ref()?;
            (running.build == *build).then_some(running.pid)
        };
        let row = |said: &Said| Row {
            said: said.clone(),
            pid_before: pid_before(&said.gateway),
            view: None,
            progress: None,
            took: Duration::ZERO,
        };
        let rows = published
            .gateways
            .iter()
            .map(|said| (said.gateway.number(), row(said)))
            .collect();
        Self {
            build: build.clone(),
            seq: published.seq,
            rows,
        }
    }

    /// Takes in how things stand and returns what is new about it.
    pub(crate) fn see(&mut self, view: &GatewaysView, elapsed: Duration) -> Vec<Event> {
        let mut events = Vec::new();
        for seen in &view.gateways {
            let Some(row) = self.rows.get_mut(&seen.name.number()) else {
                continue;
            };
            if row.verdict().is_some() {
                continue;
            }
            let progress = judge(&self.build, self.seq, row, seen);
            row.view = Some(seen.clone());
            if row.progress.as_ref() != Some(&progress) {
                row.took = elapsed;
                row.progress = Some(progress.clone());
                events.push(Event::Gateway(progress));
            }
        }
        events
    }

    /// Whether every gateway is done.
    pub(crate) fn is_done(&self) -> bool {
        self.rows.values().all(|row| row.verdict().is_some())
    }

    /// What became of it; gateways that are not done are said to be so.
    pub(crate) fn outcome(self, env: &EnvName, seq: u64, elapsed: Duration) -> Outcome {
        let gateways: Vec<_> = self
            .rows
            .into_values()
            .map(|row| row.outcome(elapsed))
            .collect();
        Outcome {
            ok: gateways.iter().all(|gateway| gateway.verdict.is_good()),
            env: env.clone(),
            build: self.build,
            seq,
            took_ms: millis(elapsed),
            gateways,
        }
    }
}

impl Row {
    fn verdict(&self) -> Option<&Verdict> {
        self.progress.as_ref()?.verdict.as_ref()
    }

    fn outcome(self, elapsed: Duration) -> GatewayOutcome {
        let not_done = |progress: Option<GatewayProgress>| match progress {
            Some(GatewayProgress {
                verdict: Some(verdict),
                ..
            }) => (verdict, self.took),
            Some(GatewayProgress { phase, problem, .. }) => {
                (Verdict::NotDone { phase, problem }, elapsed)
            }
            None => (
                Verdict::NotDone {
                    phase: None,
                    problem: None,
                },
                elapsed,
            ),
        };
        let (verdict, took) = not_done(self.progress);
        let report = self.view.as_ref().and_then(|view| view.report.as_ref());
        GatewayOutcome {
            gateway: self.said.gateway,
            http_port: self.view.as_ref().map_or(0, |view| view.http_port),
            running_build: report.and_then(running_build),
            timings: report
                .filter(|_| verdict == Verdict::Runs)
                .map_or_else(Timings::default, |report| report.timings.clone()),
            verdict,
            took_ms: millis(took),
        }
    }
}

fn judge(build: &BuildId, seq: u64, row: &Row, view: &GatewayView) -> GatewayProgress {
    let report = view.report.as_ref();
    let heard = report.filter(|report| report.seq >= seq);
    let verdict = if row.said.run {
        heard.and_then(|report| settled(build, seq, row.pid_before, report))
    } else {
        Some(Verdict::Stopped)
    };
    GatewayProgress {
        gateway: view.name.clone(),
        phase: heard.map(|report| report.phase),
        problem: view
            .agent_problem
            .clone()
            .or_else(|| heard.and_then(|report| going_back(seq, report)))
            .or_else(|| heard.and_then(|report| report.problem.clone())),
        verdict,
    }
}

/// Why a gateway starts once more: the build was refused, and the one before comes back.
fn going_back(seq: u64, report: &Report) -> Option<String> {
    let refused = report.refused.as_ref().filter(|it| it.seq >= seq)?;
    Some(format!("{}; going back", refused.reason))
}

/// What a gateway made of a statement it knows; nothing while it is at it.
fn settled(build: &BuildId, seq: u64, pid_before: Option<u32>, report: &Report) -> Option<Verdict> {
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
            log: refused.log.clone(),
        });
    }
    let running = report
        .running
        .as_ref()
        .filter(|running| running.build == *build)?;
    let done = report.settled >= seq && report.phase == Phase::Ready;
    done.then(|| {
        if pid_before == Some(running.pid) {
            Verdict::AlreadyRan
        } else {
            Verdict::Runs
        }
    })
}

fn running_build(report: &Report) -> Option<BuildId> {
    report.running.as_ref().map(|running| running.build.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::{Refusal, Running};

    const SEQ: u64 = 100;

    fn build(digit: char) -> BuildId {
        BuildId::parse(&digit.to_string().repeat(12)).unwrap()
    }

    fn gateway() -> GatewayName {
        GatewayName::parse("gw-pool-dev-0").unwrap()
    }

    fn report(seq: u64, settled: u64, phase: Phase, running: Option<(char, u32)>) -> Report {
        Report {
            on_trial: false,
            change: None,
            env: gateway().env(),
            gateway: gateway(),
            agent_version: "0".to_owned(),
            agent_pid: 1,
            seq,
            settled,
            desired_build: None,
            phase,
            running: running.map(|(digit, pid)| Running {
                build: build(digit),
                pid,
                since: 0,
            }),
            restarts: 0,
            refused: None,
            problem: None,
            timings: Timings::default(),
        }
    }

    fn refused(seq: u64, report: Report) -> Report {
        let refusal = Refusal {
            unavailable_ms: None,
            build: build('b'),
            seq,
            reason: "it threw".to_owned(),
            log: vec!["x".to_owned()],
        };
        Report {
            refused: Some(refusal),
            ..report
        }
    }

    fn view(report: Option<Report>) -> GatewaysView {
        let gateway = GatewayView {
            name: gateway(),
            http_port: 7100,
            vpn_port: 49100,
            enabled: true,
            agent_pid: Some(1),
            agent_problem: None,
            last_contact: None,
            report,
        };
        GatewaysView {
            version: 1,
            gateways: vec![gateway],
        }
    }

    fn verdict(run: bool, before: Option<Report>, now: Option<Report>) -> Option<Verdict> {
        let said = Said {
            gateway: gateway(),
            changed: true,
            run,
        };
        let published = Published {
            seq: SEQ,
            gateways: vec![said],
        };
        let mut follow = Follow::new(&build('b'), &published, &view(before));
        follow.see(&view(now), Duration::ZERO);
        let done = follow.is_done();
        let outcome = follow.outcome(&gateway().env(), SEQ, Duration::ZERO);
        let verdict = outcome.gateways.into_iter().next().unwrap().verdict;
        assert_eq!(done, !matches!(verdict, Verdict::NotDone { .. }));
        done.then_some(verdict)
    }

    #[test]
    fn a_gateway_is_done_when_the_build_answers() {
        let old = || Some(report(50, 50, Phase::Ready, Some(('a', 7))));
        for (now, expected) in [
            (None, None),
            (old(), None),
            (Some(report(SEQ, 50, Phase::Fetching, Some(('a', 7)))), None),
            (Some(report(SEQ, 50, Phase::Starting, Some(('b', 8)))), None),
            (Some(report(SEQ, SEQ, Phase::Backoff, None)), None),
            (
                Some(report(SEQ, SEQ, Phase::Ready, Some(('b', 8)))),
                Some(Verdict::Runs),
            ),
            (
                Some(report(SEQ + 1, SEQ + 1, Phase::Ready, Some(('b', 8)))),
                Some(Verdict::Runs),
            ),
        ] {
            assert_eq!(verdict(true, old(), now.clone()), expected, "{now:?}");
        }
    }

    #[test]
    fn a_process_that_was_left_alone_already_ran_the_build() {
        let before = Some(report(50, 50, Phase::Ready, Some(('b', 7))));
        let same = Some(report(SEQ, SEQ, Phase::Ready, Some(('b', 7))));
        let other = Some(report(SEQ, SEQ, Phase::Ready, Some(('b', 8))));
        assert_eq!(
            verdict(true, before.clone(), same),
            Some(Verdict::AlreadyRan)
        );
        assert_eq!(verdict(true, before, other), Some(Verdict::Runs));
    }

    #[test]
    fn a_refused_build_is_told_when_the_old_one_is_back() {
        for (phase, running) in [
            (Phase::Starting, None),
            (Phase::Starting, Some(('a', 9))),
            (Phase::Stopping, Some(('b', 8))),
            (Phase::Waiting, Some(('b', 8))),
        ] {
            let not_yet = refused(SEQ, report(SEQ, SEQ, phase, running));
            assert_eq!(verdict(true, None, Some(not_yet)), None, "{phase:?}");
        }
        let back = refused(SEQ, report(SEQ, SEQ, Phase::Ready, Some(('a', 9))));
        let kept = |runs: Option<BuildId>| {
            Some(Verdict::Kept {
                settings_only: runs == Some(build('b')),
                runs,
                reason: "it threw".to_owned(),
                log: vec!["x".to_owned()],
            })
        };
        assert_eq!(verdict(true, None, Some(back)), kept(Some(build('a'))));
        let old_settings = refused(SEQ, report(SEQ, SEQ, Phase::Ready, Some(('b', 9))));
        assert_eq!(
            verdict(true, None, Some(old_settings)),
            kept(Some(build('b')))
        );
        let nothing = refused(SEQ, report(SEQ, SEQ, Phase::Stopped, None));
        assert_eq!(verdict(true, None, Some(nothing)), kept(None));
    }

    #[test]
    fn an_older_refusal_says_nothing_about_this_statement() {
        let tried_again = refused(50, report(SEQ, 50, Phase::Starting, Some(('b', 9))));
        assert_eq!(verdict(true, None, Some(tried_again)), None);
    }

    #[test]
    fn a_stopped_gateway_is_not_waited_for() {
        assert_eq!(verdict(false, None, None), Some(Verdict::Stopped));
    }
}
