//! The gateway's door: the HTTP port of the gateway, proxied to the application.

use std::net::SocketAddr;
use std::time::Duration;

use lockgate_model::{GatewayName, Phase};
use lockgate_route::{Decision, EmbeddedProxy, Lookup, ProxyError, Unavailable, Upstream};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::supervisor::Snapshot;

/// After how long a client should ask again when nothing runs.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Serves the door until `stop` is cancelled.
pub(crate) async fn serve(
    listener: TcpListener,
    gateway: GatewayName,
    snapshots: watch::Receiver<Snapshot>,
    stop: CancellationToken,
) -> Result<(), ProxyError> {
    let lookup = Lookup::watching(snapshots, move |snapshot, _| decide(&gateway, snapshot));
    EmbeddedProxy::new(lookup).serve(listener, stop).await
}

/// Everything goes to the application. While it changes hands, requests wait in its
/// socket, which the agent holds; where nobody will come soon, that is said at once.
fn decide(gateway: &GatewayName, snapshot: &Snapshot) -> Decision {
    let build = snapshot.running.as_ref().map(|running| &running.build);
    let wanted = snapshot.wanted.as_ref().map(|target| &target.build);
    let comes_soon = match snapshot.phase {
        Phase::Ready | Phase::Booting | Phase::Draining | Phase::Starting | Phase::Stopping => true,
        // During a trial the next start is 0.2 seconds away.
        Phase::Backoff => snapshot.on_trial,
        Phase::Waiting | Phase::Fetching | Phase::Verifying | Phase::Stopped => false,
    };
    match snapshot.address {
        Some(addr) if comes_soon => Decision::To(upstream(addr, gateway, snapshot)),
        Some(_) | None => Decision::Unavailable(Unavailable {
            gateway: Some(gateway.clone()),
            build: build.or(wanted).cloned(),
            why: why(snapshot),
            retry_after: RETRY_AFTER,
        }),
    }
}

fn upstream(addr: SocketAddr, gateway: &GatewayName, snapshot: &Snapshot) -> Upstream {
    Upstream {
        addr,
        gateway: Some(gateway.clone()),
        build: snapshot
            .running
            .as_ref()
            .map(|running| running.build.clone()),
        epoch: epoch(snapshot),
        leaves: leaves(snapshot),
    }
}

/// Whether the process that serves is about to end.
fn leaves(snapshot: &Snapshot) -> bool {
    matches!(snapshot.phase, Phase::Draining | Phase::Stopping)
}

/// Changes when the process that serves is to leave, and when the next one comes. Not
/// when one boots beside it: that one answers nobody before it is the one that serves.
fn epoch(snapshot: &Snapshot) -> u64 {
    let process = snapshot.running.as_ref().map_or(0, |it| u64::from(it.pid));
    process << 1 | u64::from(leaves(snapshot))
}

fn why(snapshot: &Snapshot) -> String {
    let state = match snapshot.phase {
        Phase::Waiting | Phase::Fetching | Phase::Verifying => {
            return "no build has been started yet".to_owned();
        }
        Phase::Stopped if snapshot.refused.is_none() => {
            return "the application is stopped".to_owned();
        }
        Phase::Stopped => "no build runs",
        Phase::Backoff => "the application crashed and starts again soon",
        Phase::Ready | Phase::Booting | Phase::Draining | Phase::Starting | Phase::Stopping => {
            "the application's socket is not held"
        }
    };
    match (&snapshot.problem, &snapshot.refused) {
        (Some(problem), _) => format!("{state}: {problem}"),
        (None, Some(refused)) => format!("{state}: build {} {}", refused.build, refused.reason),
        (None, None) => state.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::{BuildId, Refusal, Running};

    fn running(phase: Phase, pid: Option<u32>) -> Snapshot {
        Snapshot {
            phase,
            running: pid.map(|pid| Running {
                build: BuildId::parse("0123456789ab").unwrap(),
                pid,
                since: 0,
            }),
            address: Some(([127, 0, 0, 1], 8888).into()),
            ..Snapshot::initial()
        }
    }

    fn check(phase: Phase, on_trial: bool, goes_through: bool) {
        let gateway = GatewayName::parse("gw-pool-dev-001-0").unwrap();
        let snapshot = Snapshot {
            on_trial,
            ..running(phase, Some(1))
        };
        let decision = decide(&gateway, &snapshot);
        assert_eq!(
            matches!(decision, Decision::To(_)),
            goes_through,
            "{phase:?} {decision:?}"
        );
    }

    #[test]
    fn requests_wait_where_a_process_comes_soon() {
        check(Phase::Ready, false, true);
        check(Phase::Starting, false, true);
        check(Phase::Stopping, false, true);
        check(Phase::Backoff, true, true);
        check(Phase::Backoff, false, false);
        check(Phase::Stopped, false, false);
        check(Phase::Waiting, false, false);
    }

    #[test]
    fn a_process_that_is_to_leave_and_the_next_one_each_begin_an_epoch() {
        use Phase::{Backoff, Booting, Draining, Ready, Starting, Stopping};
        let lives = |moments: &[(Phase, Option<u32>)]| {
            let mut epochs: Vec<u64> = moments
                .iter()
                .map(|(phase, pid)| epoch(&running(*phase, *pid)))
                .collect();
            epochs.dedup();
            epochs.len()
        };
        // One process, beside which another one boots and is discarded.
        let one = [(Starting, Some(7)), (Ready, Some(7)), (Booting, Some(7))];
        assert_eq!(lives(&[one, one].concat()), 1);
        let leaving = [(Draining, Some(7)), (Stopping, Some(7))];
        assert_eq!(lives(&[&one[..], &leaving].concat()), 2);
        let next = [(Starting, Some(8)), (Ready, Some(8))];
        assert_eq!(lives(&[&one[..], &leaving, &next].concat()), 3);
        let crashed = [(Backoff, None)];
        assert_eq!(lives(&[&one[..], &crashed, &next].concat()), 3);
    }

    #[test]
    fn the_page_says_why() {
        let mut snapshot = Snapshot::initial();
        assert_eq!(why(&snapshot), "no build has been started yet");
        snapshot.phase = Phase::Stopped;
        assert_eq!(why(&snapshot), "the application is stopped");
        snapshot.refused = Some(Refusal {
            unavailable_ms: None,
            build: BuildId::parse("0123456789ab").unwrap(),
            seq: 1,
            reason: "exited with code 1".to_owned(),
            log: Vec::new(),
        });
        assert_eq!(
            why(&snapshot),
            "no build runs: build 0123456789ab exited with code 1"
        );
    }
}
