//! Gateways as child processes of the server: an agent for each, which ends with it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lockgate_model::{EnvName, GatewayName};
use tokio::sync::watch;

pub(crate) use super::keepers::Program;
use super::keepers::{AgentSpec, Keepers};
use super::{GatewaySpec, Observed, Reach};

/// How long an agent may take after its standard input closed: ten seconds for the application,
/// as in `docker stop`, and five for itself.
const QUIET_END: Duration = Duration::from_secs(15);

/// The agents of all environments with this runtime.
#[derive(Debug)]
pub(crate) struct LocalRuntime {
    keepers: Keepers<GatewayName>,
    /// Where each gateway's door is.
    doors: Mutex<BTreeMap<GatewayName, SocketAddr>>,
}

impl LocalRuntime {
    /// A runtime without gateways.
    pub(crate) fn new(program: Arc<Program>) -> Self {
        Self {
            keepers: Keepers::new(program),
            doors: Mutex::default(),
        }
    }

    /// See `Runtime::reconcile`.
    pub(crate) async fn reconcile(&self, env: &EnvName, wanted: Vec<GatewaySpec>) {
        for spec in &wanted {
            let door = SocketAddr::from((Ipv4Addr::LOCALHOST, spec.http_port));
            let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
            doors.insert(spec.name.clone(), door);
        }
        let wanted = wanted
            .into_iter()
            .map(|spec| (spec.name.clone(), agent(spec)));
        let meant = |gateway: &GatewayName| gateway.env() == *env;
        self.keepers.reconcile(meant, wanted.collect()).await;
    }

    /// See `Runtime::observe`.
    pub(crate) fn observe(&self, gateway: &GatewayName) -> Option<Observed> {
        let seen = self.keepers.see(gateway)?;
        let doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        let door = doors.get(gateway).filter(|_| seen.pid.is_some());
        Some(Observed {
            pid: seen.pid,
            problem: seen.problem,
            stuck: seen.stuck,
            reach: door.map_or_else(Reach::default, |door| Reach::at(*door)),
            ..Observed::default()
        })
    }

    /// See `Runtime::changes`.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.keepers.changes()
    }

    /// See `Runtime::end_all`.
    pub(crate) async fn end_all(&self) {
        self.keepers.end_all().await;
    }
}

/// A gateway's agent reports over HTTP, and is told all by its variables.
fn agent(spec: GatewaySpec) -> AgentSpec {
    AgentSpec {
        folder: spec.folder,
        // Quiet: the application's lines are in its own log, which is rotated.
        arguments: ["run", "--stop-on-stdin-eof", "--quiet"]
            .map(Into::into)
            .into(),
        variables: spec.variables,
        content: None,
        tells: false,
        quiet_end: QUIET_END,
    }
}

#[cfg(test)]
mod tests;
