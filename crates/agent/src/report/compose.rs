//! Makes a report from what the loop and the supervisor show.

use lockgate_builds::fetch::Step;
use lockgate_model::{GatewayName, Phase, Report, Timings};
use tokio::sync::watch;

use crate::converge::View;
use crate::supervisor::Snapshot;
use crate::vpn::Shown;

/// Who reports.
#[derive(Debug, Clone)]
pub(crate) struct Us {
    gateway: GatewayName,
    /// The agent's process number.
    pid: u32,
}

impl Us {
    /// This process, the gateway's agent.
    pub(crate) fn this_process(gateway: GatewayName) -> Self {
        Self {
            gateway,
            pid: std::process::id(),
        }
    }
}

/// Gives the report of the moment. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Reporting {
    us: Us,
    views: watch::Receiver<View>,
    snapshots: watch::Receiver<Snapshot>,
    /// Why the door does not serve, where something else than the agent serves it.
    door: Option<watch::Receiver<Option<String>>>,
    /// Why names do not lead to the front door.
    hosts: Option<watch::Receiver<Option<String>>>,
    /// What the VPN shows of itself, where there is one.
    vpn: Option<watch::Receiver<Shown>>,
}

impl Reporting {
    pub(crate) fn new(
        us: Us,
        views: watch::Receiver<View>,
        snapshots: watch::Receiver<Snapshot>,
    ) -> Self {
        Self {
            us,
            views,
            snapshots,
            door: None,
            hosts: None,
            vpn: None,
        }
    }

    /// Reports what keeps the door from serving, too.
    pub(crate) fn with_door(mut self, door: watch::Receiver<Option<String>>) -> Self {
        self.door = Some(door);
        self
    }

    /// Reports why names do not lead to the front door, too.
    pub(crate) fn with_hosts(mut self, hosts: watch::Receiver<Option<String>>) -> Self {
        self.hosts = Some(hosts);
        self
    }

    /// Reports what is wrong with the VPN, too.
    pub(crate) fn with_vpn(mut self, vpn: watch::Receiver<Shown>) -> Self {
        self.vpn = Some(vpn);
        self
    }

    /// The report of this moment; what changes after it is seen by [`changed`](Self::changed).
    pub(crate) fn now(&mut self) -> Report {
        let view = self.views.borrow_and_update();
        let mut report = compose(&self.us, &view, &self.snapshots.borrow_and_update());
        for others in [&mut self.door, &mut self.hosts] {
            let theirs = others
                .as_mut()
                .and_then(|it| it.borrow_and_update().clone());
            report.problem = report.problem.or(theirs);
        }
        let vpn = self.vpn.as_mut();
        let vpn = vpn.and_then(|vpn| vpn.borrow_and_update().complaint());
        report.problem = report.problem.or(vpn);
        report
    }

    /// Waits until the report may differ from the last one. False when it never will:
    /// the loop ends before the supervisor does.
    pub(crate) async fn changed(&mut self) -> bool {
        tokio::select! {
            Ok(()) = self.views.changed() => true,
            Ok(()) = self.snapshots.changed() => true,
            Some(()) = changed(self.door.as_mut()) => true,
            Some(()) = changed(self.hosts.as_mut()) => true,
            Some(()) = changed(self.vpn.as_mut()) => true,
            else => false,
        }
    }

    /// The loop's part of it.
    pub(crate) fn view(&self) -> View {
        self.views.borrow().clone()
    }

    /// The supervisor's part of it.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.snapshots.borrow().clone()
    }
}

/// The next change of what may not be there; `None` where none will come.
async fn changed<T>(shown: Option<&mut watch::Receiver<T>>) -> Option<()> {
    shown?.changed().await.ok()
}

/// The decision what is said, apart from who watches.
fn compose(us: &Us, view: &View, snapshot: &Snapshot) -> Report {
    // The supervisor's own is as new as the phase: the loop learns of it a moment later.
    let refused = [&snapshot.refused, &view.refused]
        .into_iter()
        .flatten()
        .find(|refused| view.seq != 0 && refused.seq == view.seq);
    // A statement refused in an earlier run of the agent is done with, whatever the
    // supervisor was told instead.
    let settled = if refused.is_some() {
        view.seq
    } else {
        snapshot.settled.min(view.seq)
    };
    let phase = match view.fetching {
        Some(Step::Fetching) => Phase::Fetching,
        Some(Step::Verifying) => Phase::Verifying,
        None => snapshot.phase,
    };
    let problem = [
        &view.fetch_problem,
        &snapshot.problem,
        &view.server_problem,
        &view.state_problem,
    ]
    .into_iter()
    .find_map(Clone::clone);
    Report {
        env: us.gateway.env(),
        gateway: us.gateway.clone(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        agent_pid: us.pid,
        seq: view.seq,
        settled,
        desired_build: view.build.clone(),
        phase,
        running: snapshot.running.clone(),
        on_trial: snapshot.on_trial,
        restarts: snapshot.restarts,
        refused: refused.cloned(),
        problem,
        server: view.server.as_ref().map(ToString::to_string),
        timings: Timings {
            fetch_ms: view.fetch_ms,
            verify_ms: view.verify_ms,
            ..snapshot.timings.clone()
        },
        change: snapshot.change.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::{BuildId, Refusal};

    fn us() -> Us {
        Us {
            gateway: GatewayName::parse("gw-pool-dev-001-0").unwrap(),
            pid: 7,
        }
    }

    fn refusal(seq: u64) -> Refusal {
        Refusal {
            unavailable_ms: None,
            build: BuildId::parse("0123456789ab").unwrap(),
            seq,
            reason: "threw".to_owned(),
            log: Vec::new(),
        }
    }

    #[test]
    fn before_the_first_statement_the_gateway_waits() {
        let report = compose(&us(), &View::default(), &Snapshot::initial());
        assert_eq!((report.seq, report.settled), (0, 0));
        assert_eq!(report.phase, Phase::Waiting);
        assert_eq!(report.env.as_str(), "dev-001");
    }

    #[test]
    fn a_fetch_is_shown_while_the_old_build_serves() {
        let view = View {
            seq: 2,
            fetching: Some(Step::Verifying),
            ..View::default()
        };
        let snapshot = Snapshot {
            phase: Phase::Ready,
            settled: 1,
            ..Snapshot::initial()
        };
        let report = compose(&us(), &view, &snapshot);
        assert_eq!((report.phase, report.settled), (Phase::Verifying, 1));
    }

    #[test]
    fn a_refusal_counts_for_the_statement_that_names_it() {
        let mut view = View {
            seq: 5,
            refused: Some(refusal(5)),
            ..View::default()
        };
        let report = compose(&us(), &view, &Snapshot::initial());
        assert_eq!((report.settled, report.refused), (5, Some(refusal(5))));
        view.seq = 6;
        let report = compose(&us(), &view, &Snapshot::initial());
        assert_eq!((report.settled, report.refused), (0, None));
    }

    #[test]
    fn a_refusal_is_as_new_as_the_phase() {
        let view = View {
            seq: 5,
            refused: Some(refusal(5)),
            ..View::default()
        };
        let answers_again = Refusal {
            unavailable_ms: Some(40),
            ..refusal(5)
        };
        let mut snapshot = Snapshot {
            refused: Some(answers_again.clone()),
            ..Snapshot::initial()
        };
        let report = compose(&us(), &view, &snapshot);
        assert_eq!(report.refused, Some(answers_again));
        // What the supervisor knows may be older than the statement.
        snapshot.refused = Some(refusal(4));
        let report = compose(&us(), &view, &snapshot);
        assert_eq!(report.refused, Some(refusal(5)));
    }

    #[test]
    fn the_problem_nearest_to_the_new_build_is_shown() {
        let mut view = View {
            server_problem: Some("no server".to_owned()),
            ..View::default()
        };
        let snapshot = Snapshot {
            problem: Some("crashed".to_owned()),
            ..Snapshot::initial()
        };
        let problem = |view: &View| compose(&us(), view, &snapshot).problem;
        assert_eq!(problem(&view).as_deref(), Some("crashed"));
        view.fetch_problem = Some("torn archive".to_owned());
        assert_eq!(problem(&view).as_deref(), Some("torn archive"));
    }
}
