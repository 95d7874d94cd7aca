//! The server's front door: `https://org-{uuid}.{domain}` leads to the gateway that serves the
//! organization, over all environments of the home.
//!
//! ```text
//! env.toml, runtimes, reports ─▶ table ──┐
//! the home's authority ─▶ certificates ──┴▶ listeners on loopback: TLS, and HTTP that leads there
//! ```
//!
//! Both values are watched: a change counts for the next request and the next handshake, and no
//! connection is closed for it. The proxy itself is `lockgate_route::FrontDoor`.

mod certify;
mod names;
mod ports;
mod table;

use std::sync::Arc;
use std::time::Duration;

use lockgate_builds::store::Store;
use lockgate_model::{FrontTable, GatewayName, ORGANIZATION_PREFIX, OrganizationId};
use lockgate_route::{Certificates, EmbeddedProxy, FrontDoor, Patience};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::certify::Certifier;
use self::ports::{Bound, HTTP, HTTPS, bind};
pub(crate) use self::ports::{FrontPort, FrontPorts};
use super::bridge::Bridges;
use super::gateways::Gateways;
use super::listen::ListenError;
use crate::context::now;

/// How often certificates are looked at without another reason: they last for months.
const LOOK: Duration = Duration::from_hours(1);
/// How often where one cannot be had: somebody may be mending it.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// A front door as the server describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FrontDescription {
    /// The port of `https://` URLs; `None` where it is off.
    pub(crate) https_port: Option<u16>,
    /// The port that leads to them.
    pub(crate) http_port: Option<u16>,
    /// Why one of them is off, or a certificate is not to be had.
    pub(crate) problem: Option<String>,
}

impl FrontDescription {
    /// The URL of an organization of this domain, where the door is open.
    pub(crate) fn url(&self, organization: &OrganizationId, domain: &str) -> Option<String> {
        self.url_of(&format!("{ORGANIZATION_PREFIX}{organization}.{domain}"))
    }

    /// The URL of a host, where the door is open.
    pub(crate) fn url_of(&self, host: &str) -> Option<String> {
        let port = match self.https_port? {
            443 => String::new(),
            port => format!(":{port}"),
        };
        Some(format!("https://{host}{port}/"))
    }
}

/// Listeners that are bound and not served yet.
#[derive(Debug)]
pub(super) struct Front {
    https: Bound,
    http: Bound,
}

impl Front {
    /// Binds both ports; refused only where a port that was asked for is not to be had.
    pub(super) fn bind(https: FrontPort, http: FrontPort) -> Result<Self, ListenError> {
        let https = bind(https, &HTTPS)?;
        // Without HTTPS there is nothing that HTTP could lead to.
        let http = if https.port.is_some() {
            bind(http, &HTTP)?
        } else {
            Bound::default()
        };
        Ok(Self { https, http })
    }

    pub(super) fn description(&self) -> FrontDescription {
        let problems = [&self.https.problem, &self.http.problem];
        let problems: Vec<&str> = problems.into_iter().flatten().map(String::as_str).collect();
        FrontDescription {
            https_port: self.https.port,
            http_port: self.http.port,
            problem: (!problems.is_empty()).then(|| problems.join("; ")),
        }
    }

    /// Serves until `stop`, following what the gateways are.
    pub(super) fn serve(
        self,
        followed: Followed,
        stop: &CancellationToken,
        tasks: &mut JoinSet<()>,
    ) {
        let Some(port) = self.https.port else {
            return;
        };
        let ports = self.description().problem;
        let (table, tables) = watch::channel(FrontTable::default());
        let (certificates, shown) = watch::channel(Certificates::default());
        let door = FrontDoor::new(tables, Patience::default());
        let listen = |listeners: Vec<TcpListener>, proxy: &dyn Fn() -> EmbeddedProxy| {
            let serving = listeners.into_iter().map(|listener| (listener, proxy()));
            serving.collect::<Vec<_>>()
        };
        let mut all = listen(self.https.listeners, &|| door.secured(shown.clone()));
        all.extend(listen(self.http.listeners, &|| door.redirecting(port)));
        for (listener, proxy) in all {
            let stop = stop.clone();
            tasks.spawn(async move {
                if let Err(error) = proxy.serve(listener, stop).await {
                    tracing::error!(%error, "front door ended");
                }
            });
        }
        let stop = stop.clone();
        let Followed {
            caller,
            gateways,
            store,
            bridges,
        } = followed;
        let keeper = Keeper {
            certifier: Certifier::new(gateways.home().clone(), caller),
            gateways,
            store,
            bridges,
            ports,
            table,
            certificates,
        };
        tasks.spawn(async move {
            stop.run_until_cancelled(keeper.run()).await;
        });
    }
}

/// What the front door follows, and whom it tells.
pub(super) struct Followed {
    /// Who stands in the authority's name.
    pub(super) caller: String,
    /// What gateways are.
    pub(super) gateways: Arc<Gateways>,
    /// What they are to run.
    pub(super) store: Store,
    /// The server's account of itself.
    pub(super) bridges: Arc<Bridges>,
}

/// Keeps table and certificates as they should be.
struct Keeper {
    certifier: Certifier,
    gateways: Arc<Gateways>,
    store: Store,
    bridges: Arc<Bridges>,
    /// Why a port is off.
    ports: Option<String>,
    table: watch::Sender<FrontTable>,
    certificates: watch::Sender<Certificates>,
}

impl Keeper {
    async fn run(mut self) {
        let mut version = None;
        let mut problems = Vec::new();
        loop {
            let look = if problems.is_empty() {
                LOOK
            } else {
                LOOK_AGAIN
            };
            let changed = self.gateways.changes(version);
            // Certificates are looked at although nothing has changed.
            version = timeout(look, changed).await.ok().or(version);
            let known = self.gateways.everything();
            let table = table::of(&known, |gateway| has_build(&self.store, gateway));
            let files = certify::files(known.iter().map(|(environment, _)| environment));
            // Certificates first: a name that is served is never asked for in vain.
            let certified = self.certifier.certify(&table, &files, now());
            self.certificates.send_replace(certified.certificates);
            if certified.problems != problems {
                problems = certified.problems;
                self.tell(&problems);
            }
            self.table.send_if_modified(|known| {
                let changed = *known != table;
                *known = table;
                changed
            });
            if let Some(version) = version {
                self.gateways.serves(version);
            }
        }
    }

    /// Into the log, and into what the server says of itself.
    fn tell(&self, problems: &[String]) {
        for problem in problems {
            tracing::error!(%problem, "front door is not whole");
        }
        let all: Vec<&str> = self
            .ports
            .iter()
            .chain(problems)
            .map(String::as_str)
            .collect();
        let problem = (!all.is_empty()).then(|| all.join("; "));
        self.bridges.front_problem(problem);
    }
}

/// Whether something was said that a gateway could run. Where that cannot be read, it may be.
fn has_build(store: &Store, gateway: &GatewayName) -> bool {
    !matches!(store.statement(gateway), Ok(None))
}
