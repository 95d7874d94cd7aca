//! `lockgate restart`: build, deploy, and restart also where nothing changed; or restart a service.

use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use lockgate_model::{EnvName, ServiceName};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::deploy::{WaitArgs, once, stop_on_signals, teller};
use super::outcome::show;
use super::services;
use super::status::{ServiceDocument, service_document};
use super::turn::LockArgs;
use super::what::{What, what_now};
use crate::context::{Context, now_ms};
use crate::deploy::prepare::Job;
use crate::deploy::rollout::{Rollout, Scope};
use crate::deploy::services::is_ready;
use crate::deploy::strategy::DeployStrategy;
use crate::deploy::{Request, clock, millis, said};
use crate::environment::Environment;
use crate::environment::publish;
use crate::environment::services::renew_one;
use crate::error::CommandError;
use crate::server::control::ControlClient;
use crate::views::progress::Progress;
use crate::views::text;
use crate::workspace::services::Service;

/// Build, deploy, and restart also where nothing changed; or restart a service
#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    named: Option<EnvName>,
    /// `gateway` for all of them; one by number or name is restarted with the build it has, a
    /// service as lockgate.toml has it now
    #[arg(value_name = "WHAT", default_value = "gateway")]
    what: String,
    /// Restart what runs already; nothing is built, packed or published
    #[arg(long)]
    no_build: bool,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    lock: LockArgs,
}

/// Restarts, and waits until every gateway is back.
pub(crate) async fn restart(args: RestartArgs, ctx: &Context) -> Result<(), CommandError> {
    let stop = stop_on_signals()?;
    let environment = ctx.environment(args.named.as_ref())?;
    let (control, _) = ctx.server().await?;
    let only = match args.what.as_str() {
        "gateway" | "gateways" => None,
        one => match what_now(&environment, one)? {
            (What::Gateway(number), _) => Some(number),
            (What::Service(name), all) => {
                return service(&args, ctx, &control, &environment, (&name, &all), &stop).await;
            }
        },
    };
    if args.no_build || only.is_some() {
        return as_it_is(&args, ctx, &control, &environment, only, &stop).await;
    }
    let workspace = super::checkout::checkout(ctx, &environment, None)?;
    let resolved = workspace.resolve(&environment.name)?;
    let request = Request {
        gateways: None,
        build: resolved.build_command.is_some(),
        restart: true,
        how: args.wait.how(resolved.strategy, &stop),
        job: Job {
            env: environment.name.clone(),
            workspace,
            resolved,
            validate: true,
        },
        environment,
    };
    once(ctx, &control, &request, args.lock).await.result
}

/// The last line where a service was restarted.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Restarted<'r> {
    /// The service is ready.
    Result {
        /// Always true.
        ok: bool,
        /// The environment.
        env: &'r EnvName,
        /// The service.
        service: ServiceDocument<'r>,
        /// From the command's start.
        took_ms: u64,
    },
}

/// A service, as lockgate.toml has it now; waits until it is ready.
async fn service(
    args: &RestartArgs,
    ctx: &Context,
    control: &ControlClient,
    environment: &Environment,
    (name, all): (&ServiceName, &[Service]),
    stop: &CancellationToken,
) -> Result<(), CommandError> {
    let (home, env) = (&ctx.config.home, &environment.name);
    let lock = args.lock.turn_or_stop(ctx, env, "restart", stop).await?;
    let (started, since) = (clock(), UNIX_EPOCH + Duration::from_millis(now_ms()));
    let description = services::describe(ctx, environment, all, name)?;
    renew_one(home, env, &description, true)?;
    control.changed(env).await?;
    drop(lock);
    let settled = services::settled(control, env, &description, args.wait.within());
    let view = tokio::select! {
        biased;
        () = stop.cancelled() => {
            let error = CommandError::interrupted(format!("interrupted: service `{name}` is starting"));
            return Err(error.hint(format!("`lockgate status {env}` shows how far it is")));
        }
        view = settled => view?,
    };
    let Some(view) = view.as_ref().filter(|view| is_ready(view)) else {
        return Err(services::not_ready(ctx, env, &description, view.as_ref(), since).await);
    };
    let took = started.elapsed();
    if ctx.screen.is_json() {
        return ctx.screen.document(&Restarted::Result {
            ok: true,
            env,
            service: service_document(view),
            took_ms: millis(took),
        });
    }
    let pid = view.report.as_ref().and_then(|report| report.pid);
    let pid = pid.map_or(String::new(), |pid| format!(" as process {pid}"));
    ctx.screen.data(&format!(
        "restarted {name}: ready{pid} after {}\n",
        text::span(took)
    ))
}

/// Each gateway with the build it was told last, pinned ones with their own.
async fn as_it_is(
    args: &RestartArgs,
    ctx: &Context,
    control: &ControlClient,
    environment: &Environment,
    only: Option<u32>,
    stop: &CancellationToken,
) -> Result<(), CommandError> {
    let (home, env) = (&ctx.config.home, &environment.name);
    let store = ctx.store()?;
    let mut lock = args.lock.turn_or_stop(ctx, env, "restart", stop).await?;
    let environment = Environment::load(home, env)?;
    let last = said::last(&environment, only, &store)?;
    let all = environment.gateways.iter().map(|one| one.number);
    let rollout = Rollout {
        ctx,
        control,
        store: &store,
        lock: &mut lock,
        build: last.build,
        limits: last.settings.limits,
        what: publish::What::Again,
        scope: Scope::Again(only.map_or_else(|| all.collect(), |one| vec![one])),
        line: None,
        how: args.wait.how(DeployStrategy::All, stop),
        environment,
    };
    let mut progress = Progress::new(ctx.screen);
    let outcome = rollout.run(&mut teller(&mut progress)).await?;
    show(progress, &outcome)
}
