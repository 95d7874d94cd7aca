//! The VPN of user containers: an OpenVPN server for the organization that this gateway
//! serves.
//!
//! ```text
//! statement ──┐                        ┌─▶ keys and certificates, kept (`pki`, `kept`)
//! by hand   ──┴─▶ keeper, the one loop ┼─▶ rules that keep clients apart (`isolation`)
//!                   ▲          │       └─▶ openvpn, supervised (`child`)
//!                   │          ▼
//!                   └──── what is shown ──▶ report, `vpn status`, /tmp/vpn-config.json
//! ```
//!
//! Nothing here ever keeps the application from running: what goes wrong is shown, with
//! what can be done about it. What is left out: names of clients (all share one
//! certificate), and ways out of the VPN.

mod ability;
mod addresses;
mod child;
mod isolation;
mod keeper;
mod kept;
mod log;
mod management;
mod pki;
mod prepare;
mod render;
mod tool;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lockgate_model::vpn::{DOES_NOT_RUN, NOT_KEPT_APART};
use lockgate_model::{GatewayName, Statement, VpnAllowance};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::listeners::Expected;
use crate::supervisor::Handle;

pub(crate) use addresses::{AddressArgs, address};
pub(crate) use isolation::By;
use isolation::Isolation;
use kept::Kept;
pub(crate) use management::Client;

/// The network device of the VPN.
const TUN: &str = "tun0";

/// Where the application reads about the VPN.
const PUBLISHED: &str = "/tmp/vpn-config.json";

/// How long the application's start waits for the VPN: it takes a tenth of a second.
const WAIT: Duration = Duration::from_secs(5);

/// What is wrong, and what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// What is wrong.
    pub(crate) why: String,
    /// What to do.
    pub(crate) remedy: String,
}

impl Problem {
    fn new(why: String, remedy: &str) -> Self {
        Self {
            why,
            remedy: remedy.to_owned(),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", self.why, self.remedy)
    }
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// None is wanted.
    Off,
    /// It comes up.
    Starting,
    /// Clients can connect.
    Ready,
    /// It does not run and should.
    Failed,
}

impl Phase {
    /// As it is shown.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }
}

/// What the keeper shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Where it stands.
    pub(crate) phase: Phase,
    /// Whose it is.
    pub(crate) organization: Option<String>,
    /// The process.
    pub(crate) pid: Option<i32>,
    /// Since when clients can connect, in UNIX milliseconds.
    pub(crate) since: Option<u64>,
    /// Starts after an end by itself.
    pub(crate) restarts: u64,
    /// By what clients are kept apart, where the tools are there.
    isolation: Option<Isolation>,
    /// Why clients are not kept apart; `None` where the rules were read back and are right.
    pub(crate) unisolated: Option<String>,
    /// What is wrong.
    pub(crate) problem: Option<Problem>,
    /// Whether that is nobody's concern who has not asked.
    pub(crate) quiet: bool,
}

impl Shown {
    fn off() -> Self {
        Self {
            phase: Phase::Off,
            organization: None,
            pid: None,
            since: None,
            restarts: 0,
            isolation: None,
            unisolated: None,
            problem: None,
            quiet: false,
        }
    }

    /// The process that clients could connect to has ended.
    fn is_over(&mut self) {
        if self.phase == Phase::Ready {
            *self = Self {
                phase: Phase::Starting,
                organization: self.organization.take(),
                restarts: self.restarts,
                ..Self::off()
            };
        }
    }

    /// Whether the rules that keep clients apart were there when somebody looked.
    fn is_isolated(&self) -> bool {
        self.phase == Phase::Ready && self.unisolated.is_none()
    }

    /// What the gateway's report says of it, where something is wrong.
    pub(crate) fn complaint(&self) -> Option<String> {
        if self.quiet {
            return None;
        }
        match (&self.problem, &self.unisolated) {
            (Some(problem), _) => Some(format!("{DOES_NOT_RUN}: {problem}")),
            (None, Some(why)) if self.phase == Phase::Ready => Some(format!(
                "{NOT_KEPT_APART}: {why}; `lockgate-agent vpn stop`, then `vpn start`, loads the rules again"
            )),
            (None, _) => None,
        }
    }
}

/// What `vpn status` tells.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The gateway.
    pub(crate) gateway: GatewayName,
    /// Where it stands.
    pub(crate) state: Phase,
    /// Whose it is.
    pub(crate) organization: Option<String>,
    /// Its UDP port.
    pub(crate) port: u16,
    /// The process.
    pub(crate) pid: Option<i32>,
    /// Since when clients can connect, in UNIX milliseconds.
    pub(crate) since: Option<u64>,
    /// Starts after an end by itself.
    pub(crate) restarts: u64,
    /// Whether it runs and the rules that keep clients apart were there at this moment.
    pub(crate) isolated: bool,
    /// By what they are kept apart, where they are.
    pub(crate) by: Option<By>,
    /// What they may reach all the same, beside the gateway's door.
    #[serde(default)]
    pub(crate) allowed: Vec<VpnAllowance>,
    /// Why they are not kept apart.
    pub(crate) unisolated: Option<String>,
    /// What is wrong.
    pub(crate) problem: Option<Problem>,
    /// Who is connected.
    pub(crate) clients: Vec<Client>,
    /// Why nobody knows who is.
    pub(crate) clients_unknown: Option<String>,
}

/// What does not change while the agent runs.
pub(crate) struct Facts {
    /// The gateway.
    pub(crate) gateway: GatewayName,
    /// The name under which the gateway's container knows itself.
    pub(crate) hostname: String,
    /// The UDP port.
    pub(crate) port: u16,
    /// Folders of programs.
    pub(crate) path: String,
    /// Whether nobody shares this gateway's network.
    pub(crate) alone: bool,
    /// The agent's state folder.
    pub(crate) state_dir: PathBuf,
    /// Starts processes.
    pub(crate) supervisor: Handle,
}

/// What all parts share.
struct Shared {
    facts: Facts,
    kept: Kept,
    shown: watch::Sender<Shown>,
    /// Held while rules are loaded or read, so that nobody compares them half-way.
    rules: tokio::sync::Mutex<()>,
}

/// What the keeper is told. Each is answered when it is taken in.
enum Order {
    /// What the statement says.
    Follow {
        organization: Option<String>,
        allow: Vec<VpnAllowance>,
    },
    /// Somebody wants it by hand.
    Start {
        organization: String,
        /// Also where clients cannot be kept apart.
        unsafely: bool,
    },
    /// Nobody wants it any more, until somebody does.
    Stop,
}

/// Speaks to the keeper. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Vpn {
    shared: Arc<Shared>,
    orders: mpsc::Sender<(Order, oneshot::Sender<()>)>,
}

impl std::fmt::Debug for Vpn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vpn({:?})", self.shared.shown.borrow().phase)
    }
}

/// Starts the keeper; nothing runs until an organization is there. It ends with `stop`.
pub(crate) fn start(facts: Facts, stop: CancellationToken) -> (Vpn, JoinHandle<()>) {
    let (orders, asked) = mpsc::channel(16);
    let kept = Kept::new(facts.state_dir.join("vpn"));
    let (shown, _) = watch::channel(Shown::off());
    let shared = Arc::new(Shared {
        facts,
        kept,
        shown,
        rules: tokio::sync::Mutex::default(),
    });
    let task = tokio::spawn(keeper::keep(shared.clone(), asked, stop));
    (Vpn { shared, orders }, task)
}

impl Vpn {
    /// Serves the organization that a statement names, and lets its clients reach what it allows.
    pub(crate) async fn follow(&self, statement: &Statement) {
        self.order(Order::Follow {
            organization: statement.organization.clone(),
            allow: statement.vpn_allow.clone(),
        })
        .await;
    }

    /// Waits until it is up or is known to fail, for a while: an application that is
    /// started afterwards finds what it reads.
    pub(crate) async fn settle(&self) {
        self.settle_within(WAIT).await;
    }

    async fn settle_within(&self, within: Duration) -> Shown {
        let mut shown = self.watch();
        let settled = shown.wait_for(|shown| shown.phase != Phase::Starting);
        if timeout(within, settled).await.is_err() {
            warn!("the VPN is still not up; nobody waits for it any more");
        }
        self.shared.shown.borrow().clone()
    }

    /// Starts it by hand and waits until it is up or is known to fail.
    pub(crate) async fn start_by_hand(
        &self,
        organization: String,
        unsafely: bool,
        within: Duration,
    ) -> Shown {
        self.order(Order::Start {
            organization,
            unsafely,
        })
        .await;
        self.settle_within(within).await
    }

    /// For whom it runs, or ran last.
    pub(crate) fn last_organization(&self) -> Option<String> {
        let now = self.shared.shown.borrow().organization.clone();
        now.or_else(|| self.shared.kept.whose().map(|whose| whose.organization))
    }

    /// Tries it again at once, where it does not run and should.
    pub(crate) async fn try_again(&self) {
        let (phase, organization) = {
            let shown = self.shared.shown.borrow();
            (shown.phase, shown.organization.clone())
        };
        if let (Phase::Failed, Some(organization)) = (phase, organization) {
            self.start_by_hand(organization, false, WAIT).await;
        }
    }

    /// Stops it by hand.
    pub(crate) async fn stop_by_hand(&self) {
        self.order(Order::Stop).await;
        let mut shown = self.watch();
        let _ = shown.wait_for(|shown| shown.phase == Phase::Off).await;
    }

    async fn order(&self, order: Order) {
        let (reply, taken) = oneshot::channel();
        // A keeper that has ended keeps nothing running.
        if self.orders.send((order, reply)).await.is_ok() {
            let _ = taken.await;
        }
    }

    /// What is shown, the newest at once.
    pub(crate) fn watch(&self) -> watch::Receiver<Shown> {
        self.shared.shown.subscribe()
    }

    /// Where it listens while it runs.
    pub(crate) fn listens(&self) -> Vec<Expected> {
        let pid = self.shared.shown.borrow().pid;
        let Some(pid) = pid.and_then(|pid| u32::try_from(pid).ok()) else {
            return Vec::new();
        };
        let everywhere = Ipv4Addr::UNSPECIFIED;
        let clients = SocketAddr::from((everywhere, self.shared.facts.port));
        let management = SocketAddr::from(render::MANAGEMENT);
        let all = [
            Expected::udp("vpn", clients),
            Expected::tcp("vpn management", management),
        ];
        all.map(|one| one.by(pid, "openvpn")).into()
    }

    /// Looks whether the rules are there, where it runs, and shows what is found.
    pub(crate) async fn look(&self) {
        prepare::look_at_rules(&self.shared).await;
    }

    /// The same, and who is connected.
    pub(crate) async fn status(&self) -> Status {
        self.look().await;
        let shown = self.shared.shown.borrow().clone();
        let (clients, clients_unknown) = match shown.phase {
            Phase::Ready => match management::clients().await {
                Ok(clients) => (clients, None),
                Err(error) => (Vec::new(), Some(error.to_string())),
            },
            Phase::Off | Phase::Starting | Phase::Failed => (Vec::new(), None),
        };
        let ability = || {
            let facts = &self.shared.facts;
            ability::lack(&facts.path, facts.alone)
        };
        Status {
            gateway: self.shared.facts.gateway.clone(),
            state: shown.phase,
            port: self.shared.facts.port,
            isolated: shown.is_isolated(),
            by: shown
                .isolation
                .as_ref()
                .map(Isolation::by)
                .filter(|_| shown.is_isolated()),
            allowed: shown
                .isolation
                .as_ref()
                .map(|it| it.allow.clone())
                .unwrap_or_default(),
            problem: shown.problem.or_else(ability),
            organization: shown.organization,
            pid: shown.pid,
            since: shown.since,
            restarts: shown.restarts,
            unisolated: shown.unisolated,
            clients,
            clients_unknown,
        }
    }

    /// A client's whole profile; `None` where there is no VPN to connect to.
    pub(crate) fn profile(&self, host: Option<&str>) -> Option<String> {
        let (facts, kept) = (&self.shared.facts, &self.shared.kept);
        let organization = self.shared.shown.borrow().organization.clone()?;
        let pki = kept.existing(&organization)?;
        let host = host.unwrap_or(&facts.hostname);
        Some(render::client(&pki, host, facts.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_unless_nobody_asked() {
        let ready = Shown {
            phase: Phase::Ready,
            ..Shown::off()
        };
        assert_eq!(ready.complaint(), None);
        let mut wrong = ready.clone();
        wrong.unisolated = Some("no table".to_owned());
        assert!(
            wrong
                .complaint()
                .unwrap()
                .contains("NOT KEPT APART: no table")
        );
        wrong.problem = Some(Problem::new("it rains".to_owned(), "wait"));
        assert_eq!(
            wrong.complaint().unwrap(),
            "the VPN does not run: it rains; wait"
        );
        wrong.quiet = true;
        assert_eq!(wrong.complaint(), None);
    }
}
