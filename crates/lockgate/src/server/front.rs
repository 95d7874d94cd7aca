//! The server's front door: `https://org-{uuid}.{domain}` leads to the gateway that serves the
//! organization, over all environments of the home.
//!
//! ```text
//! env.toml, runtimes, reports ─▶ table ──┐
//! the home's authority ─▶ certificates ──┼▶ listeners on loopback: TLS, and HTTP that leads there
//!                                        └▶ listeners on networks of containers: TLS
//! ```
//!
//! Both values are watched: a change counts for the next request and the next handshake, and no
//! connection is closed for it. The proxy itself is `lockgate_route::FrontDoor`, or nginx where
//! `LOCKGATE_FRONT` says so: `driver`.

mod certify;
mod driver;
mod names;
mod near;
mod nginx;
mod ports;
mod table;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lockgate_builds::store::Store;
use lockgate_model::{FrontTable, GatewayName, ORGANIZATION_PREFIX, OrganizationId};
use lockgate_route::{Certificates, FrontDoor, Patience};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::certify::Certifier;
pub(crate) use self::driver::FrontDriver;
use self::driver::Served;
pub(super) use self::near::Near;
pub(super) use self::nginx::Found;
pub(crate) use self::nginx::{NginxError, program as nginx_program};
use self::ports::{Bound, bind};
pub(crate) use self::ports::{FrontPort, FrontPorts, HTTP, HTTPS};
use super::bridge::Bridges;
use super::gateways::Gateways;
use super::listen::ListenError;
use crate::context::now;
use crate::runtime::local::Program;

/// How often certificates are looked at without another reason: they last for months.
const LOOK: Duration = Duration::from_hours(1);
/// How often where one cannot be had: somebody may be mending it.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// A front door as the server describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct FrontDescription {
    /// Who serves it.
    #[serde(default)]
    pub(crate) driver: FrontDriver,
    /// The port of `https://` URLs; `None` where it is off.
    pub(crate) https_port: Option<u16>,
    /// The port that leads to them.
    pub(crate) http_port: Option<u16>,
    /// Where containers reach it.
    #[serde(default)]
    pub(crate) containers: Vec<SocketAddr>,
    /// Why one of them is off, or a certificate is not to be had.
    pub(crate) problem: Option<String>,
}

impl FrontDescription {
    /// What is wrong with it, where something is.
    pub(crate) fn complaint(&self) -> Option<String> {
        let problem = self.problem.as_ref()?;
        Some(format!("the front door is not whole: {problem}"))
    }

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
    door: FrontDoor,
    table: watch::Sender<FrontTable>,
    certificates: watch::Sender<Certificates>,
    /// nginx, where that shall serve it.
    nginx: Option<Found>,
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
        let (table, tables) = watch::channel(FrontTable::default());
        Ok(Self {
            https,
            http,
            door: FrontDoor::new(tables, Patience::default()),
            table,
            certificates: watch::Sender::new(Certificates::default()),
            nginx: None,
        })
    }

    /// The same door for containers, served by this process whoever serves the host; none where
    /// it is closed.
    pub(super) fn near(&self, stop: &CancellationToken) -> Option<Near> {
        let shown = self.certificates.subscribe();
        let (door, port) = (self.door.clone(), self.https.port?);
        Some(Near::new(door, shown, port, stop.clone()))
    }

    /// Has this nginx serve it.
    #[must_use]
    pub(super) fn by_nginx(self, found: Option<Found>) -> Self {
        Self {
            nginx: found,
            ..self
        }
    }

    pub(super) fn description(&self) -> FrontDescription {
        let problems = [&self.https.problem, &self.http.problem];
        let problems: Vec<&str> = problems.into_iter().flatten().map(String::as_str).collect();
        FrontDescription {
            driver: match self.nginx {
                Some(_) => FrontDriver::Nginx,
                None => FrontDriver::Embedded,
            },
            https_port: self.https.port,
            http_port: self.http.port,
            containers: Vec::new(),
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
        let mut served = Served::new(self.table, self.certificates);
        if let Some(found) = self.nginx {
            // nginx binds them itself.
            let at = |bound: Bound| bound.addresses();
            let (https, http) = (at(self.https), at(self.http));
            served.by_nginx(found.open(followed.agent, https, http));
        } else {
            served.here(&self.door, (self.https, self.http), port, stop, tasks);
        }
        let stop = stop.clone();
        let Followed {
            caller,
            gateways,
            store,
            bridges,
            agent: _,
        } = followed;
        let mut keeper = Keeper {
            certifier: Certifier::new(gateways.home().clone(), caller),
            gateways,
            store,
            bridges,
            ports,
            served,
        };
        tasks.spawn(async move {
            stop.run_until_cancelled(keeper.run()).await;
            keeper.served.end().await;
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
    /// What keeps a program of the host running.
    pub(super) agent: Arc<Program>,
}

/// Keeps table and certificates as they should be.
struct Keeper {
    certifier: Certifier,
    gateways: Arc<Gateways>,
    store: Store,
    bridges: Arc<Bridges>,
    /// Why a port is off.
    ports: Option<String>,
    served: Served,
}

impl Keeper {
    async fn run(&mut self) {
        let mut version = None;
        let mut problems = Vec::new();
        loop {
            let look = if problems.is_empty() {
                LOOK
            } else {
                LOOK_AGAIN
            };
            let changed = async {
                tokio::select! {
                    version = self.gateways.changes(version) => Some(version),
                    () = self.served.changed() => None,
                }
            };
            // Certificates are looked at although nothing has changed.
            version = timeout(look, changed).await.ok().flatten().or(version);
            let known = self.gateways.everything();
            let table = table::of(&known, |gateway| has_build(&self.store, gateway));
            let files = certify::files(known.iter().map(|(environment, _)| environment));
            let certified = self.certifier.certify(&table, &files, now());
            if certified.trust_changed {
                self.bridges.trust_changed();
            }
            let mut found = certified.problems;
            found.extend(self.served.follow(table, certified.certificates).await);
            if found != problems {
                problems = found;
                self.tell(&problems);
            }
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
