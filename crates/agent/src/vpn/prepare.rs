//! What a start of openvpn takes: rights and programs, keys, rules, a configuration.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use lockgate_model::VpnAllowance;
use lockgate_model::vpn::NOT_KEPT_APART;
use time::OffsetDateTime;
use tracing::{error, info, warn};

use super::ability::{self, Tools};
use super::isolation::{self, Isolation};
use super::pki::Pki;
use super::{Phase, Problem, Shared, addresses, render};
use crate::error::in_one_line;
use crate::process::{Mark, Spawner};

/// The marks of these starts lie above those of nginx.
static STARTS: AtomicU64 = AtomicU64::new((1 << 18) + (1 << 17));

/// What is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) organization: String,
    pub(super) by_statement: bool,
    pub(super) unsafely: bool,
}

/// Why it cannot start.
pub(super) struct Hindrance {
    pub(super) problem: Problem,
    /// Whether it is worth a try in a while.
    pub(super) passes: bool,
}

impl Hindrance {
    pub(super) fn passing(why: String) -> Self {
        Self {
            problem: Problem::new(why, "it is started again; the agent's log says more"),
            passes: true,
        }
    }

    fn lasting(problem: Problem) -> Self {
        Self {
            problem,
            passes: false,
        }
    }
}

/// What a start takes.
pub(super) struct Prepared {
    pub(super) spawner: Arc<Spawner>,
    pub(super) tools: Tools,
    pub(super) pki: Pki,
    pub(super) unisolated: Option<String>,
}

pub(super) fn mark(shared: &Shared) -> Mark {
    let start = STARTS.fetch_add(1, Ordering::Relaxed);
    Mark::new(&shared.facts.state_dir, std::process::id(), start)
}

/// Makes all that a start takes, or says what it lacks.
pub(super) async fn prepare(
    shared: &Arc<Shared>,
    wanted: &Wanted,
    allow: &[VpnAllowance],
) -> Result<Prepared, Hindrance> {
    let facts = &shared.facts;
    let mut tools = ability::look(&facts.path, facts.alone).map_err(Hindrance::lasting)?;
    if let Some(isolation) = &mut tools.isolation {
        isolation.allow = allow.to_vec();
    }
    let ending = || Hindrance::passing("the agent is ending".to_owned());
    let spawner = facts.supervisor.spawner().ok_or_else(ending)?;
    let (files, whose) = (shared.clone(), wanted.clone());
    let written = tokio::task::spawn_blocking(move || write_files(&files, &whose)).await;
    let written = written.map_err(|error| error.to_string());
    let pki = written
        .and_then(|written| written)
        .map_err(Hindrance::passing)?;
    let isolation = tools.isolation.as_ref();
    let unisolated = isolate(shared, &spawner, isolation).await.err();
    if let Some(why) = &unisolated {
        if !wanted.unsafely {
            unload(shared, &spawner, isolation).await;
            return Err(Hindrance::lasting(Problem::new(
                format!("its clients cannot be kept apart: {why}"),
                "mend that and run `lockgate-agent vpn start`; `--unsafe-no-isolation` starts it all the same",
            )));
        }
        error!(%why, "{NOT_KEPT_APART}: somebody wanted it so");
    }
    Ok(Prepared {
        spawner,
        tools,
        pki,
        unisolated,
    })
}

/// Keys, certificates, addresses, configuration.
fn write_files(shared: &Shared, wanted: &Wanted) -> Result<Pki, String> {
    let (facts, kept) = (&shared.facts, &shared.kept);
    let said = |error: &(dyn std::error::Error + 'static)| in_one_line(error);
    let made = kept.of(&wanted.organization, wanted.by_statement, now());
    let (pki, new) = made.map_err(|error| said(&error))?;
    if new {
        info!(
            organization = wanted.organization,
            "keys and certificates of the VPN made"
        );
    }
    // Its link in /proc names the file itself, not how it was called.
    let agent = std::env::current_exe().unwrap_or_else(|_| "lockgate-agent".into());
    let reachable = ability::others_may_start(&agent) && ability::others_may_pass(kept.dir());
    let nobody = ability::nobody().filter(|_| reachable);
    let addresses = kept.path("addresses");
    addresses::prepare(&addresses, nobody).map_err(|error| said(&error))?;
    let config = render::server(&render::Server {
        port: facts.port,
        dir: kept.dir(),
        addresses: &addresses,
        agent: &agent,
        as_nobody: nobody.is_some(),
    });
    let written = kept.write("server.conf", &config);
    written.map_err(|error| said(&error))?;
    Ok(pki)
}

/// Loads the rules and reads them back; says why clients are not kept apart. To be called with
/// `shared.rules` held, once there are clients.
pub(super) async fn isolate(
    shared: &Shared,
    spawner: &Spawner,
    isolation: Option<&Isolation>,
) -> Result<(), String> {
    let isolation = isolation.ok_or(isolation::MISSING)?;
    isolation.load(shared, spawner).await?;
    isolation.read_back(shared, spawner).await
}

/// Takes the rules away: nothing runs whose clients they keep apart.
pub(super) async fn unload(shared: &Shared, spawner: &Spawner, isolation: Option<&Isolation>) {
    if let Some(isolation) = isolation
        && let Err(why) = isolation.remove(shared, spawner).await
    {
        warn!(%why, "rules of a VPN that runs no more stay");
    }
}

/// Reads the rules back, where a VPN runs, and shows what is found.
pub(super) async fn look_at_rules(shared: &Shared) {
    let _held = shared.rules.lock().await;
    let isolation = {
        let shown = shared.shown.borrow();
        if shown.phase != Phase::Ready {
            return;
        }
        shown.isolation.clone()
    };
    let Some(spawner) = shared.facts.supervisor.spawner() else {
        return;
    };
    let looked = match &isolation {
        Some(isolation) => isolation.read_back(shared, &spawner).await,
        None => Err(isolation::MISSING.to_owned()),
    };
    let unisolated = looked.err();
    shared.shown.send_if_modified(|shown| {
        // It may have ended meanwhile, or have been started again by another tool.
        if shown.phase != Phase::Ready || shown.isolation != isolation {
            return false;
        }
        if let Some(why) = &unisolated {
            error!(%why, "{NOT_KEPT_APART}");
        }
        let news = shown.unisolated != unisolated;
        shown.unisolated = unisolated;
        news
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "certificates are valid from the moment at which they are made"
)]
fn now() -> OffsetDateTime {
    SystemTime::now().into()
}
