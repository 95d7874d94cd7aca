//! Gateways as containers of a Docker engine.
//!
//! ```text
//!   reconcile ─▶ wishes ─▶ keeper: look ─▶ plan ─▶ act ──▶ engine
//!   observe ◀── what is told of each gateway ◀┘      ◀── events ┘
//!           ◀── doors: where each answers
//! ```
//!
//! The engine keeps the containers, so they outlive the server: ending it leaves them serving, and the
//! next one finds them by their labels. What env.toml wants is wanted all the time, so one that was
//! killed or stopped by hand is started again. A container is ours when it carries the id of this
//! home; every other one is left alone and named.

mod act;
pub(crate) mod address;
mod blueprint;
pub(crate) mod check;
mod doors;
pub(crate) mod engine;
pub(crate) mod found;
mod keeper;
mod ledger;
mod own;
mod plan;
pub(crate) mod remove;
mod servers;
mod tell;
mod vicinity;
mod wishes;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lockgate_model::{EnvName, GatewayName};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::address::{AddressError, EngineAddress};
use self::doors::Doors;
use self::keeper::Keeper;
use self::ledger::Ledger;
use self::own::Traces;
use super::{Observed, Wanted};
use crate::server::bridge::Bridges;

/// The containers of all environments with this runtime.
#[derive(Debug)]
pub(crate) struct DockerRuntime {
    shared: Arc<Shared>,
    doors: Arc<Doors>,
    stop: CancellationToken,
    /// The keeper, and who finds doors.
    tasks: Mutex<JoinSet<()>>,
}

/// What the runtime and its keeper tell each other.
#[derive(Debug, Default)]
struct Shared {
    wishes: Mutex<Wishes>,
    observed: Mutex<BTreeMap<GatewayName, Observed>>,
    changes: watch::Sender<u64>,
    woken: Notify,
}

/// What is wanted of the keeper.
#[derive(Default)]
struct Wishes {
    wanted: BTreeMap<GatewayName, Wanted>,
    /// Environments that were asked about; what is ours of them and not wanted goes.
    known: BTreeSet<EnvName>,
    /// Gateways to try in spite of how they ended.
    again: BTreeSet<GatewayName>,
    /// Environments for which somebody asked anew.
    hurried: BTreeSet<EnvName>,
    /// Who waits until what is not wanted of an environment has ended.
    waiting: Vec<Waiting>,
}

type Waiting = (EnvName, oneshot::Sender<()>);

impl std::fmt::Debug for Wishes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wishes")
            .field("wanted", &self.wanted.keys())
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

impl DockerRuntime {
    /// A runtime without gateways; the engine is asked for once there is one. `home` is this home's
    /// id, `host_ip` what `DOCKER_HOST_IP` says.
    pub(crate) fn new(
        address: Result<EngineAddress, AddressError>,
        host_ip: Option<IpAddr>,
        home: String,
        bridges: Arc<Bridges>,
    ) -> Self {
        let shared = Arc::<Shared>::default();
        let stop = CancellationToken::new();
        let doors = Arc::new(Doors::new(shared.changes.clone()));
        let keeper = Keeper {
            address,
            host_ip,
            traces: Traces::read(),
            doors: Arc::clone(&doors),
            home,
            shared: Arc::clone(&shared),
            bridges,
            stop: stop.clone(),
            ledger: Ledger::default(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(keeper.run());
        tasks.spawn(Arc::clone(&doors).run(stop.clone()));
        Self {
            shared,
            doors,
            stop,
            tasks: Mutex::new(tasks),
        }
    }

    /// See `Runtime::reconcile`. Returns at once where the engine is away.
    pub(crate) async fn reconcile(&self, env: &EnvName, wanted: Vec<Wanted>) {
        let (tell, ended) = oneshot::channel();
        {
            let mut wishes = self.shared.wishes();
            if wanted.is_empty() && !wishes.known.contains(env) {
                return;
            }
            wishes.wanted.retain(|gateway, _| gateway.env() != *env);
            let wanted = wanted.into_iter();
            wishes
                .wanted
                .extend(wanted.map(|one| (one.gateway().clone(), one)));
            wishes.known.insert(env.clone());
            wishes.hurried.insert(env.clone());
            wishes.waiting.push((env.clone(), tell));
        }
        self.shared.woken.notify_one();
        // A keeper that is gone ends nothing any more.
        let _ = self.stop.run_until_cancelled(ended).await;
    }

    /// Tries gateways again whose configuration could not be used.
    pub(crate) fn try_again(&self, gateways: impl Iterator<Item = GatewayName>) {
        let mut wishes = self.shared.wishes();
        let wanted: Vec<_> = gateways
            .filter(|gateway| wishes.wanted.contains_key(gateway))
            .collect();
        wishes.again.extend(wanted);
        drop(wishes);
        self.shared.woken.notify_one();
    }

    /// See `Runtime::observe`.
    pub(crate) fn observe(&self, gateway: &GatewayName) -> Option<Observed> {
        let observed = self.shared.observed().get(gateway).cloned()?;
        let reach = self.doors.of(gateway);
        Some(Observed { reach, ..observed })
    }

    /// See `Runtime::changes`.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Ends the keeper; the containers go on.
    pub(crate) async fn end(&self) {
        self.stop.cancel();
        let mut tasks = {
            let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *tasks)
        };
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the keeper of containers did not end as it should");
            }
        }
    }
}

impl Shared {
    /// Maps are whole after every statement that changes them, so a panic elsewhere spoils nothing.
    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn observed(&self) -> MutexGuard<'_, BTreeMap<GatewayName, Observed>> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until an engine is needed.
    async fn needed(&self) {
        while self.wishes().known.is_empty() {
            self.woken.notified().await;
        }
    }

    fn wanted(&self) -> Vec<Wanted> {
        self.wishes().wanted.values().cloned().collect()
    }

    fn known(&self) -> BTreeSet<EnvName> {
        self.wishes().known.clone()
    }

    fn again(&self) -> BTreeSet<GatewayName> {
        self.wishes().again.clone()
    }

    /// A gateway was started that was to be tried again.
    fn tried_again(&self, gateway: &GatewayName) {
        self.wishes().again.remove(gateway);
    }

    /// Forgets wishes to try again where there is nothing to try.
    fn settle_again(&self, is_at_it: impl Fn(&GatewayName) -> bool) {
        self.wishes().again.retain(is_at_it);
    }

    fn hurried(&self) -> BTreeSet<EnvName> {
        std::mem::take(&mut self.wishes().hurried)
    }

    fn waiting(&self) -> Vec<Waiting> {
        std::mem::take(&mut self.wishes().waiting)
    }

    /// Answers those who wait, but for environments of which something is still ending.
    fn release(&self, waiting: Vec<Waiting>, ending: &BTreeSet<EnvName>) {
        let (wait, done): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|(env, _)| ending.contains(env));
        self.wishes().waiting.extend(wait);
        for (_, tell) in done {
            // Who asked may have left.
            let _ = tell.send(());
        }
    }

    fn release_all(&self) {
        let waiting = self.waiting();
        self.release(waiting, &BTreeSet::new());
    }

    /// Says of every wanted gateway how it is.
    fn tell(&self, observed: BTreeMap<GatewayName, Observed>) {
        let mut known = self.observed();
        let changed = *known != observed;
        *known = observed;
        drop(known);
        if changed {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    /// Says of every wanted gateway that something keeps it from being seen; what was seen last stays.
    fn tell_all(&self, problem: &str) {
        let before = self.observed().clone();
        let one = |wanted: Wanted| {
            let gateway = wanted.gateway().clone();
            let container = before.get(&gateway).and_then(|it| it.container.clone());
            let observed = Observed {
                pid: None,
                problem: Some(problem.to_owned()),
                container,
                ..Observed::default()
            };
            (gateway, observed)
        };
        self.tell(self.wanted().into_iter().map(one).collect());
    }

    fn has_problems(&self) -> bool {
        self.observed().values().any(|it| it.problem.is_some())
    }
}
