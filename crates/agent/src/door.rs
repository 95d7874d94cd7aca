//! The gateway's door: its HTTP ports, which lead to the application, and for the names
//! of user containers into the VPN.
//!
//! ```text
//!                  ┌ `embedded`: this process ─┐
//! clients ═════════┤                           ├═══▶ application, user containers
//!                  └ `nginx`: a child ─────────┘
//!                        ▲             ▲
//!              routes ───┘             └─── Snapshot of the supervisor
//! ```
//!
//! `open` opens it by the driver that `LOCKGATE_DOOR` names; `place` takes its ports.

mod expected;
mod nginx;
mod nginx_log;
mod open;
mod place;
mod routes;

use std::net::SocketAddr;
use std::time::Duration;

use lockgate_model::{BuildId, DoorCard, GatewayName, Phase, RouteTable};
use lockgate_route::{Decision, Owner, Shown, Unavailable, Upstream, owner};

use crate::supervisor::Snapshot;

pub(crate) use open::{Door, Opening, Parts, likely_application, open, prepare_place};
pub(crate) use place::{Taken, listens, take};
pub(crate) use routes::{Routes, SetError};

/// Which driver serves the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Driver {
    /// The agent itself.
    #[default]
    Embedded,
    /// nginx, as a child of the agent.
    Nginx,
}

impl Driver {
    /// Reads the value of `LOCKGATE_DOOR`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "embedded" => Ok(Self::Embedded),
            "nginx" => Ok(Self::Nginx),
            _ => Err(format!("is `{text}`, not `embedded` or `nginx`")),
        }
    }

    /// As `LOCKGATE_DOOR` names it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Nginx => "nginx",
        }
    }
}

/// After how long a client should ask again when nothing runs.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Where a request for this host goes.
fn decide(gateway: &GatewayName, snapshot: &Snapshot, routes: &RouteTable, host: &str) -> Decision {
    match owner(routes, host) {
        Owner::Application => application(gateway, snapshot),
        Owner::Nobody => Decision::NotFound,
        Owner::Container(addr) => Decision::To(Upstream {
            addr,
            gateway: None,
            build: None,
            epoch: 0,
            leaves: false,
        }),
    }
}

/// What is the application's goes to it. While it changes hands, requests wait in its
/// socket, which the agent holds; where nobody will come soon, that is said at once.
fn application(gateway: &GatewayName, snapshot: &Snapshot) -> Decision {
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
            build: build(snapshot).cloned(),
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

/// Who the embedded door is.
fn card(gateway: &GatewayName, snapshot: &Snapshot) -> DoorCard {
    DoorCard {
        gateway: gateway.clone(),
        build: build(snapshot).cloned(),
    }
}

/// The build that runs, or should.
fn build(snapshot: &Snapshot) -> Option<&BuildId> {
    let running = snapshot.running.as_ref().map(|running| &running.build);
    let wanted = snapshot.wanted.as_ref().map(|target| &target.build);
    running.or(wanted)
}

/// What nginx is shown: it cannot ask for each request.
fn shown(gateway: &GatewayName, snapshot: &Snapshot) -> Shown {
    let unavailable = match application(gateway, snapshot) {
        Decision::Unavailable(why) => Some(why),
        Decision::To(_)
        | Decision::Wait(_)
        | Decision::Files(_)
        | Decision::Secure(_)
        | Decision::NotFound
        | Decision::Nobody(_) => None,
    };
    let why = match &snapshot.problem {
        Some(problem) => format!("the application did not answer: {problem}"),
        None => "the application did not answer, or ended while it did".to_owned(),
    };
    Shown {
        gateway: gateway.clone(),
        build: build(snapshot).cloned(),
        unavailable,
        why,
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
        let decision = application(&gateway, &snapshot);
        assert_eq!(
            shown(&gateway, &snapshot).unavailable.is_none(),
            goes_through
        );
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
    fn names_of_user_containers_lead_into_the_vpn_whatever_the_application_does() {
        let gateway = GatewayName::parse("gw-pool-dev-001-0").unwrap();
        let routes = RouteTable::parse("uc-1.domain.local 172.16.0.6 8080").unwrap();
        let to = |host: &str| match decide(&gateway, &Snapshot::initial(), &routes, host) {
            Decision::To(upstream) => upstream.addr.to_string(),
            Decision::Unavailable(_) => "the application".to_owned(),
            Decision::NotFound => "nobody".to_owned(),
            other => panic!("{other:?}"),
        };
        for (host, expected) in [
            ("UC-1.domain.local", "172.16.0.6:8080"),
            ("uc-2.domain.local", "nobody"),
            ("domain.local", "the application"),
            ("172.16.0.1", "the application"),
            ("", "the application"),
        ] {
            assert_eq!(to(host), expected, "{host}");
        }
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
