//! A deploy, from a workspace to every gateway that runs its build.
//!
//! ```text
//! build? ─▶ validate ┐
//!           pack ────┴▶ publish ─▶ tell the server ─▶ follow every gateway ─▶ current archive
//! ```
//! Each stage says what it did as an [`Event`]; how that looks is a view's affair.
//! Nothing is published when validation finds something.

pub(crate) mod build;
pub(crate) mod events;
pub(crate) mod follow;
pub(crate) mod news;
pub(crate) mod prepare;
mod provenance;
pub(crate) mod refusals;
pub(crate) mod said;

use std::time::{Duration, Instant};

use lockgate_builds::store::{Publication, Store};
use lockgate_model::{BuildId, EnvName};

use crate::context::{Context, now_ms};
use crate::environment::Environment;
use crate::environment::publish::{Publish, Published, publish};
use crate::error::CommandError;
use crate::server::control::{ControlClient, GatewaysView};

use events::{Event, Outcome};
use follow::Follow;
use prepare::{Job, Prepared};
use refusals::Refusals;

/// How many builds an environment keeps to roll back to; 25 MB each for a large bundle.
const KEPT_BUILDS: usize = 20;

/// What is deployed, and how.
#[derive(Debug)]
pub(crate) struct Request {
    /// The environment.
    pub(crate) environment: Environment,
    /// What is packed.
    pub(crate) job: Job,
    /// Run the build command first.
    pub(crate) build: bool,
    /// Only these gateways, by number.
    pub(crate) gateways: Option<Vec<u32>>,
    /// Restart also where nothing changed.
    pub(crate) restart: bool,
    /// How long the gateways may take.
    pub(crate) within: Duration,
}

/// Does all of it. Fails when nothing was published; what became of the gateways is in the outcome.
pub(crate) async fn deploy(
    ctx: &Context,
    control: &ControlClient,
    request: &Request,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, CommandError> {
    let started = clock();
    if request.build {
        build::run(request.job.workspace.root(), &request.job.resolved, tell).await?;
    } else if let Some(newer) = prepare::stale(&request.job) {
        tell(Event::warning(newer));
    }
    let store = ctx.store()?;
    let prepared = prepare::prepare(&request.job, &store, tell).await?;
    let what = Publish {
        build: prepared.build().clone(),
        settings: request.job.resolved.app.clone(),
        gateways: request.gateways.clone(),
        restart: request.restart,
        publication: Some(publication(ctx, &prepared, request.job.validate)),
    };
    let run = Run {
        environment: &request.environment,
        within: request.within,
        started,
    };
    publish_and_follow(ctx, control, &store, &what, run, tell).await
}

/// Whom a publication concerns, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'a> {
    /// The environment.
    pub(crate) environment: &'a Environment,
    /// How long the gateways may take.
    pub(crate) within: Duration,
    /// When the command started.
    pub(crate) started: Instant,
}

/// Publishes a build that the store holds and follows the gateways until they are done with it.
pub(crate) async fn publish_and_follow(
    ctx: &Context,
    control: &ControlClient,
    store: &Store,
    what: &Publish,
    run: Run<'_>,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, CommandError> {
    let env = &run.environment.name;
    let before = control.gateways(env, None, Duration::ZERO).await?;
    remember(ctx, store, env, &before)?;
    let published = publish(&ctx.config.home, store, run.environment, what, now_ms())?;
    tell(Event::Published {
        build: what.build.clone(),
        seq: published.seq,
        gateways: published.gateways.len(),
    });
    let follow = Follow::new(&what.build, &published, &before);
    let outcome = follow_gateways(control, run, follow, &published, tell).await?;
    make_current(store, &what.build, run, tell).await?;
    let in_use = said::builds(run.environment, store)?;
    store.prune(env, KEPT_BUILDS, &in_use)?;
    let after = control.gateways(env, None, Duration::ZERO).await?;
    remember(ctx, store, env, &after)?;
    Ok(outcome)
}

/// Writes down what gateways refuse, before a new statement makes them forget it.
fn remember(
    ctx: &Context,
    store: &Store,
    env: &EnvName,
    view: &GatewaysView,
) -> Result<(), CommandError> {
    let mut refusals = Refusals::load(&ctx.config.home, env)?;
    refusals.see(view);
    refusals.save(&ctx.config.home, env, &store.builds(env)?)
}

/// Follows statements that were published until every gateway is done with its own, or time is up.
pub(crate) async fn follow_gateways(
    control: &ControlClient,
    run: Run<'_>,
    mut follow: Follow,
    published: &Published,
    tell: &mut dyn FnMut(Event),
) -> Result<Outcome, CommandError> {
    let env = &run.environment.name;
    control.changed(env).await?;
    // A gateway's time is its own: building and packing came before it heard of anything.
    let published_at = clock();
    let deadline = published_at + run.within;
    let mut after = None;
    loop {
        let left = deadline.saturating_duration_since(clock());
        let view = control
            .gateways(env, after, left.min(Duration::from_secs(20)))
            .await?;
        after = Some(view.version);
        for event in follow.see(&view, published_at.elapsed()) {
            tell(event);
        }
        if follow.is_done() || left.is_zero() {
            break;
        }
    }
    let outcome = follow.outcome(env, published.seq, published_at.elapsed());
    Ok(Outcome {
        took_ms: millis(run.started.elapsed()),
        ..outcome
    })
}

/// The gzip archive under its well-known name is made off the path: gateways do not wait for it.
async fn make_current(
    store: &Store,
    build: &BuildId,
    run: Run<'_>,
    tell: &mut dyn FnMut(Event),
) -> Result<(), CommandError> {
    let (store, env, build) = (store.clone(), run.environment.name.clone(), build.clone());
    let made = tokio::task::spawn_blocking(move || store.make_current(&env, &build)).await;
    let (path, size_bytes) = joined(made)??;
    tell(Event::Archive { path, size_bytes });
    Ok(())
}

fn publication(ctx: &Context, prepared: &Prepared, validated: bool) -> Publication {
    Publication {
        build: prepared.build().clone(),
        at: now_ms(),
        commit: prepared.provenance.commit.clone(),
        branch: prepared.provenance.branch.clone(),
        dirty: prepared.provenance.dirty,
        by: ctx.config.caller.clone(),
        validated,
        action: "deploy".to_owned(),
    }
}

/// The result of a task on another thread; that it panicked is an error, not ours to repeat.
pub(crate) fn joined<T>(result: Result<T, tokio::task::JoinError>) -> Result<T, CommandError> {
    result.map_err(|error| CommandError::failed("a worker thread ended early").because(&error))
}

/// A time as events tell it: whole milliseconds.
fn millis(time: Duration) -> u64 {
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
