//! Gateways as child processes of the server: a keeper per gateway that starts its agent, starts it
//! again when it ends, and ends it when it is not wanted any more.
//!
//! ```text
//! start ─▶ running ─▶ ended ─▶ delay 0.2 s … 10 s ─▶ start
//!             └─ not wanted ─▶ close its standard input ─▶ 15 s ─▶ TERM ─▶ 5 s ─▶ KILL
//! ```
//!
//! An agent ends when its standard input does, so none outlives the server, however that ends. Agents
//! are in process groups of their own: a Ctrl-C at the terminal reaches the server alone.

mod agent;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lockgate_model::{EnvName, GatewayName};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::agent::Agent;
use super::backoff::Backoff;
use super::{GatewaySpec, Observed, Reach};

/// The program that is started, and what it inherits.
#[derive(Debug)]
pub(crate) struct Program {
    /// The agent's path.
    pub(crate) path: PathBuf,
    /// All it gets of the server's own environment.
    pub(crate) inherited: Vec<(String, OsString)>,
}

/// The agents of all environments with this runtime.
#[derive(Debug)]
pub(crate) struct LocalRuntime {
    program: Arc<Program>,
    keepers: Mutex<BTreeMap<GatewayName, Keeper>>,
    changes: watch::Sender<u64>,
}

/// One gateway's keeper.
struct Keeper {
    spec: GatewaySpec,
    observed: watch::Receiver<Observed>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper")
            .field("gateway", &self.spec.name)
            .field("observed", &*self.observed.borrow())
            .finish_non_exhaustive()
    }
}

impl LocalRuntime {
    /// A runtime without gateways.
    pub(crate) fn new(program: Program) -> Self {
        Self {
            program: Arc::new(program),
            keepers: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// See `Runtime::reconcile`.
    pub(crate) async fn reconcile(&self, env: &EnvName, wanted: Vec<GatewaySpec>) {
        let unwanted = |gateway: &GatewayName, keeper: &Keeper| {
            gateway.env() == *env && !wanted.contains(&keeper.spec)
        };
        let ending: Vec<Keeper> = {
            let mut keepers = self.keepers();
            let names: Vec<GatewayName> = keepers
                .iter()
                .filter(|(name, keeper)| unwanted(name, keeper))
                .map(|(name, _)| name.clone())
                .collect();
            names
                .iter()
                .filter_map(|name| keepers.remove(name))
                .collect()
        };
        end(ending).await;
        let mut keepers = self.keepers();
        for spec in wanted {
            if !keepers.contains_key(&spec.name) {
                keepers.insert(spec.name.clone(), self.keep(spec));
            }
        }
        drop(keepers);
        self.changed();
    }

    /// See `Runtime::observe`.
    pub(crate) fn observe(&self, gateway: &GatewayName) -> Option<Observed> {
        let keepers = self.keepers();
        Some(keepers.get(gateway)?.observed.borrow().clone())
    }

    /// See `Runtime::changes`.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// See `Runtime::end_all`.
    pub(crate) async fn end_all(&self) {
        let all = std::mem::take(&mut *self.keepers());
        end(all.into_values().collect()).await;
        self.changed();
    }

    fn keep(&self, spec: GatewaySpec) -> Keeper {
        let (sender, observed) = watch::channel(Observed::default());
        let stop = CancellationToken::new();
        let shift = Shift {
            program: Arc::clone(&self.program),
            spec: spec.clone(),
            observed: sender,
            changes: self.changes.clone(),
            stop: stop.clone(),
        };
        Keeper {
            spec,
            observed,
            stop,
            task: tokio::spawn(shift.run()),
        }
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// The map is whole after every statement that changes it, so a panic elsewhere spoils nothing.
    fn keepers(&self) -> MutexGuard<'_, BTreeMap<GatewayName, Keeper>> {
        self.keepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends keepers side by side.
async fn end(keepers: Vec<Keeper>) {
    for keeper in &keepers {
        keeper.stop.cancel();
    }
    for keeper in keepers {
        if let Err(error) = keeper.task.await {
            tracing::error!(gateway = %keeper.spec.name, %error, "keeper did not end as it should");
        }
    }
}

/// What a keeper's task works with.
struct Shift {
    program: Arc<Program>,
    spec: GatewaySpec,
    observed: watch::Sender<Observed>,
    changes: watch::Sender<u64>,
    stop: CancellationToken,
}

impl Shift {
    async fn run(self) {
        let gateway = &self.spec.name;
        let mut backoff = Backoff::default();
        while !self.stop.is_cancelled() {
            let started = Instant::now();
            let problem = match Agent::start(&self.program, &self.spec) {
                Ok(agent) => match self.watch(agent).await {
                    Some(problem) => problem,
                    None => break,
                },
                Err(error) => format!("{error}: {}", error.source),
            };
            let delay = backoff.after(started.elapsed());
            tracing::warn!(%gateway, %problem, ?delay, "agent starts again");
            self.tell(Observed {
                problem: Some(problem),
                ..Observed::default()
            });
            let _ = self
                .stop
                .run_until_cancelled(tokio::time::sleep(delay))
                .await;
        }
        self.tell(Observed::default());
    }

    /// Waits with a running agent. `None` when it was not wanted any more, else why it ended.
    async fn watch(&self, mut agent: Agent) -> Option<String> {
        let gateway = &self.spec.name;
        tracing::info!(%gateway, pid = agent.pid(), "agent started");
        // What went wrong before is told until the agent speaks for itself.
        let problem = self.observed.borrow().problem.clone();
        let door = SocketAddr::from((Ipv4Addr::LOCALHOST, self.spec.http_port));
        self.tell(Observed {
            pid: agent.pid(),
            problem,
            reach: Reach::at(door),
            ..Observed::default()
        });
        let ended = self.stop.run_until_cancelled(agent.ended()).await;
        if ended.is_none() {
            agent.end(gateway).await;
        }
        ended
    }

    fn tell(&self, observed: Observed) {
        self.observed.send_replace(observed);
        self.changes.send_modify(|count| *count += 1);
    }
}

#[cfg(test)]
mod tests;
