//! `lockgate restart`: build, deploy, and restart also where nothing changed.

use std::time::Duration;

use clap::Args;
use lockgate_model::EnvName;

use super::deploy::{allowed, once, show};
use crate::cli::duration;
use crate::context::{Context, now_ms};
use crate::deploy::follow::Follow;
use crate::deploy::prepare::Job;
use crate::deploy::{Request, Run, clock, follow_gateways, said};
use crate::environment::Environment;
use crate::environment::lock::DeployLock;
use crate::environment::publish::restart as say_restart;
use crate::error::CommandError;
use crate::views::progress::Progress;

/// Build, deploy, and restart also where nothing changed
#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    named: Option<EnvName>,
    /// `gateway` for all of them, or one by number or name
    #[arg(value_name = "WHAT", default_value = "gateway")]
    what: String,
    /// Restart what runs already; nothing is built, packed or published
    #[arg(long)]
    no_build: bool,
    /// How long the gateways may take [default: what the application's limits allow]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
}

/// Restarts, and waits until every gateway is back.
pub(crate) async fn restart(args: RestartArgs, ctx: &Context) -> Result<(), CommandError> {
    let environment = ctx.environment(args.named.as_ref())?;
    let (control, _) = ctx.server().await?;
    let gateways = match args.what.as_str() {
        "gateway" | "gateways" => None,
        one => Some(vec![super::gateways::number(&environment, one)?]),
    };
    if args.no_build {
        return as_it_is(ctx, &control, &environment, gateways, args.timeout).await;
    }
    let workspace = super::checkout::checkout(ctx, &environment, None)?;
    let resolved = workspace.resolve(&environment.name)?;
    let request = Request {
        gateways,
        build: resolved.build_command.is_some(),
        restart: true,
        within: args.timeout.unwrap_or_else(|| allowed(&resolved.app)),
        job: Job {
            env: environment.name.clone(),
            workspace,
            resolved,
            validate: true,
        },
        environment,
    };
    once(ctx, &control, &request).await
}

async fn as_it_is(
    ctx: &Context,
    control: &crate::server::control::ControlClient,
    environment: &Environment,
    gateways: Option<Vec<u32>>,
    timeout: Option<Duration>,
) -> Result<(), CommandError> {
    let started = clock();
    let store = ctx.store()?;
    let _lock = DeployLock::take(&ctx.config.home, &environment.name, "restart", now_ms())?;
    let last = said::newest(environment, &store)?;
    let before = control
        .gateways(&environment.name, None, Duration::ZERO)
        .await?;
    let published = say_restart(
        &ctx.config.home,
        &store,
        environment,
        gateways.as_deref(),
        now_ms(),
    )?;
    let follow = Follow::new(&last.build, &published, &before);
    let run = Run {
        environment,
        within: timeout.unwrap_or_else(|| allowed(&last.settings)),
        started,
    };
    let mut progress = Progress::new(ctx.screen);
    let outcome = follow_gateways(
        control,
        run,
        follow,
        &published,
        &mut super::deploy::teller(&mut progress),
    )
    .await?;
    show(progress, &outcome)
}
