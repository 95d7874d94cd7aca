//! Brings an environment's services up to date with lockgate.toml, as a part of a deploy.

use std::time::Duration;

use lockgate_model::{EnvName, Phase, ServiceDescription, ServiceName};

use super::events::{Event, ServiceChange, ServiceChanged};
use crate::context::Context;
use crate::environment::lock::DeployLock;
use crate::environment::services::{self, Renewed};
use crate::error::CommandError;
use crate::server::control::{ControlClient, GatewaysView, ServiceView};

/// How long a service that is gone from lockgate.toml may take once the server has ended it: it
/// is gone by then.
const FORGET: Duration = Duration::from_secs(5);

/// Makes these the environment's services: new ones are started, those that are described
/// otherwise are started again, those that are gone are ended and forgotten, and the rest is left
/// alone. Those that wait after a crash are started at once: what was built just now may have
/// mended them. Nothing is waited for but the end of what ends.
pub(super) async fn bring_up(
    ctx: &Context,
    control: &ControlClient,
    _lock: &DeployLock,
    env: &EnvName,
    all: &[ServiceDescription],
    tell: &mut dyn FnMut(Event),
) -> Result<(), CommandError> {
    let home = &ctx.config.home;
    let Renewed {
        added,
        changed,
        gone,
    } = services::renew(home, env, all)?;
    let view = control.gateways(env, None, Duration::ZERO).await?;
    let waits = |view: &&ServiceView| {
        view.enabled && !changed.contains(&view.name) && !added.contains(&view.name) && fails(view)
    };
    let waiting = view.services.iter().filter(waits);
    let waiting: Vec<ServiceName> = waiting.map(|view| view.name.clone()).collect();
    if !waiting.is_empty() {
        services::again(home, env, &waiting)?;
    }
    let stopped = |name: &ServiceName| {
        let mut named = view.services.iter().filter(|it| it.name == *name);
        named.any(|it| !it.enabled)
    };
    let told = [
        (&added, ServiceChange::Started),
        (&changed, ServiceChange::Restarted),
        (&waiting, ServiceChange::Restarted),
        (&gone, ServiceChange::Ended),
    ];
    for (names, change) in told {
        for service in names.iter().filter(|name| !stopped(name)) {
            tell(Event::Service(ServiceChanged {
                service: service.clone(),
                change,
            }));
        }
    }
    if told.iter().all(|(names, _)| names.is_empty()) {
        return Ok(());
    }
    control.changed(env).await?;
    for left in services::forget(home, env, &gone, FORGET).await {
        tell(Event::warning(left));
    }
    Ok(())
}

/// Whether a service does not come up: it waits for its next try, or its keeper for its own.
fn fails(view: &ServiceView) -> bool {
    view.agent_problem.is_some()
        || (view.report.as_ref()).is_some_and(|report| report.phase == Phase::Backoff)
}

/// What is to be said after a deploy of services that do not come up.
pub(crate) fn failing(env: &EnvName, view: &GatewaysView) -> Vec<String> {
    let failing = view.services.iter().filter(|it| it.enabled && fails(it));
    failing
        .map(|view| {
            let (name, problem) = (&view.name, view.problem());
            let problem = problem.map_or(String::new(), |problem| format!(": {problem}"));
            format!("service {name} is not ready{problem}; `lockgate logs {env} {name}` shows more")
        })
        .collect()
}
