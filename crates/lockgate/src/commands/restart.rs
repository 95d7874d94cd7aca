//! `lockgate restart`: build, deploy, and restart also where nothing changed.

use clap::Args;
use lockgate_model::EnvName;
use tokio_util::sync::CancellationToken;

use super::deploy::{WaitArgs, once, stop_on_signals, teller};
use super::outcome::show;
use super::turn::LockArgs;
use crate::context::Context;
use crate::deploy::prepare::Job;
use crate::deploy::rollout::{Rollout, Scope};
use crate::deploy::strategy::DeployStrategy;
use crate::deploy::{Request, said};
use crate::environment::Environment;
use crate::environment::publish::What;
use crate::error::CommandError;
use crate::server::control::ControlClient;
use crate::views::progress::Progress;

/// Build, deploy, and restart also where nothing changed
#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    named: Option<EnvName>,
    /// `gateway` for all of them; one by number or name is restarted with the build it has
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
        one => Some(super::gateways::number(&environment, one)?),
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
        what: What::Again,
        scope: Scope::Again(only.map_or_else(|| all.collect(), |one| vec![one])),
        line: None,
        how: args.wait.how(DeployStrategy::All, stop),
        environment,
    };
    let mut progress = Progress::new(ctx.screen);
    let outcome = rollout.run(&mut teller(&mut progress)).await?;
    show(progress, &outcome)
}
