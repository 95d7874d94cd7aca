//! A deploy, from a workspace to every gateway that runs its build.
//!
//! ```text
//! build? ─▶ validate ┐
//!           pack ────┴▶ rollout: publish, follow every gateway, current archive
//! ```
//! Each step says what it did as an [`Event`]; how that looks is a view's affair.
//! Nothing is published when validation finds something.

pub(crate) mod build;
pub(crate) mod events;
pub(crate) mod follow;
pub(crate) mod news;
pub(crate) mod prepare;
mod provenance;
pub(crate) mod refusals;
pub(crate) mod rollout;
pub(crate) mod said;
pub(crate) mod services;
pub(crate) mod strategy;
pub(crate) mod stuck;

use std::time::{Duration, Instant};

use lockgate_builds::store::{Publication, Store};
use lockgate_model::ServiceDescription;

use crate::context::{Context, now_ms};
use crate::environment::lock::DeployLock;
use crate::environment::publish::{self, Published, What};
use crate::environment::{self, Environment};
use crate::error::CommandError;
use crate::server::control::ControlClient;
use crate::views::progress::Progress;

use events::{Event, Outcome};
use prepare::{Job, Prepared};
use rollout::{How, Rollout, Scope};

/// What is deployed, and how.
#[derive(Debug)]
pub(crate) struct Request {
    /// The environment.
    pub(crate) environment: Environment,
    /// What is packed.
    pub(crate) job: Job,
    /// Run the build command first.
    pub(crate) build: bool,
    /// Only these gateways, by number; they are pinned to the build.
    pub(crate) gateways: Option<Vec<u32>>,
    /// Restart also where nothing changed.
    pub(crate) restart: bool,
    /// How it is published and followed.
    pub(crate) how: How,
}

/// Does all of it. Fails when nothing was published; what became of the gateways is in the outcome.
pub(crate) async fn deploy(
    ctx: &Context,
    control: &ControlClient,
    request: &Request,
    lock: &mut DeployLock,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, CommandError> {
    // Read again, since it may have been changed while the lock was waited for.
    let environment = Environment::load(&ctx.config.home, &request.environment.name)?;
    let scope = scope(request, &environment)?;
    let store = ctx.store()?;
    // Before a build is waited for that would be in vain.
    let services = described(ctx, request, &environment)?;
    let prepared = tokio::select! {
        biased;
        () = request.how.stop.cancelled() => {
            return Err(CommandError::interrupted("interrupted").hint("nothing was published"));
        }
        prepared = build_and_pack(request, &store, tell) => prepared?,
    };
    if let Some(all) = services {
        let env = &environment.name;
        services::bring_up(ctx, control, lock, env, &all, tell).await?;
    }
    let environment = Environment::load(&ctx.config.home, &request.environment.name)?;
    let build = prepared.build().clone();
    let settings = request.job.resolved.app.clone();
    let rollout = Rollout {
        ctx,
        control,
        store: &store,
        lock,
        line: Some(publication(ctx, &prepared, request.job.validate, &scope)),
        scope,
        environment,
        limits: settings.limits.clone(),
        what: What::Run {
            build: build.clone(),
            settings: Box::new(settings),
            restart: request.restart,
        },
        build,
        how: request.how.clone(),
    };
    rollout.run(tell).await
}

/// The services of the host, where they are a part of it: neither what is for single gateways nor
/// a restart of the gateways touches them.
fn described(
    ctx: &Context,
    request: &Request,
    environment: &Environment,
) -> Result<Option<Vec<ServiceDescription>>, CommandError> {
    if request.gateways.is_some() || request.restart {
        return Ok(None);
    }
    let all = &request.job.resolved.services;
    let described = environment::services::describe(&ctx.config.home, environment, all)?;
    Ok(Some(described))
}

/// For whom it is. Nothing is packed that nobody would get.
fn scope(request: &Request, environment: &Environment) -> Result<Scope, CommandError> {
    if let Some(numbers) = &request.gateways {
        return Ok(Scope::Pin(numbers.clone()));
    }
    let env = &environment.name;
    if environment.unpinned().next().is_none() {
        let error = format!("every gateway of `{env}` is pinned, so none would get the build");
        return Err(CommandError::failed(error).hint(format!(
            "`lockgate deploy {env} --unpin` ends that; `--gateway` deploys to one and pins it to the new build"
        )));
    }
    Ok(Scope::Environment)
}

async fn build_and_pack(
    request: &Request,
    store: &Store,
    tell: &mut dyn FnMut(Event),
) -> Result<Prepared, CommandError> {
    if request.build {
        build::run(request.job.workspace.root(), &request.job.resolved, tell).await?;
    } else if let Some(newer) = prepare::stale(&request.job) {
        tell(Event::warning(newer));
    }
    prepare::prepare(&request.job, store, tell).await
}

fn publication(ctx: &Context, prepared: &Prepared, validated: bool, scope: &Scope) -> Publication {
    Publication {
        build: prepared.build().clone(),
        at: now_ms(),
        commit: prepared.provenance.commit.clone(),
        branch: prepared.provenance.branch.clone(),
        dirty: prepared.provenance.dirty,
        by: ctx.config.caller.clone(),
        validated,
        action: match scope {
            Scope::Pin(numbers) => pin_action(numbers),
            Scope::Environment | Scope::Unpin(_) | Scope::Join(_) | Scope::Again(_) => {
                "deploy".to_owned()
            }
        },
    }
}

/// Publishes without following it: where no server runs, gateways get it when one does.
pub(crate) fn quietly(
    ctx: &Context,
    store: &Store,
    environment: &Environment,
    what: &What,
    gateways: &[u32],
) -> Result<Published, CommandError> {
    let (home, now) = (&ctx.config.home, now_ms());
    let seq = publish::number(home, store, environment, now)?;
    let published = publish::publish(home, store, environment, what, gateways, seq, now)?;
    if !published.renewed.is_empty() {
        let gateways = published.renewed.clone();
        Progress::new(ctx.screen).tell(&Event::Renewed { gateways });
    }
    Ok(published)
}

/// How the history names a build that only some gateways got: `pin 0, 2`.
fn pin_action(numbers: &[u32]) -> String {
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    format!("{PIN} {}", numbers.join(", "))
}

const PIN: &str = "pin";

/// Whether a line of the history is about the whole environment.
pub(crate) fn is_for_all(line: &Publication) -> bool {
    line.action.split(' ').next() != Some(PIN)
}

/// The result of a task on another thread; that it panicked is an error, not ours to repeat.
pub(crate) fn joined<T>(result: Result<T, tokio::task::JoinError>) -> Result<T, CommandError> {
    result.map_err(|error| CommandError::failed("a worker thread ended early").because(&error))
}

/// A time as events tell it: whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Now, for durations.
#[expect(
    clippy::disallowed_methods,
    reason = "a deploy is a driver; `follow` gets times as arguments"
)]
pub(crate) fn clock() -> Instant {
    Instant::now()
}
