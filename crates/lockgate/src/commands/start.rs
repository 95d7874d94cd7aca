//! `lockgate start` and `lockgate stop`: gateways that shall run, and those that shall not.

use clap::Args;
use lockgate_model::EnvName;
use serde_json::json;

use super::turn::LockArgs;
use crate::context::Context;
use crate::environment::Environment;
use crate::error::CommandError;

/// Start gateways that were stopped
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    which: Which,
}

/// Stop gateways; they stay stopped until `start`
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
struct Which {
    /// The environment
    #[arg(value_name = "ENV")]
    named: Option<EnvName>,
    /// One gateway, by number or name; all where none is given
    gateway: Option<String>,
    #[command(flatten)]
    lock: LockArgs,
}

/// Lets gateways run again.
pub(crate) async fn start(args: &StartArgs, ctx: &Context) -> Result<(), CommandError> {
    set(&args.which, ctx, true).await
}

/// Ends gateways and keeps them ended.
pub(crate) async fn stop(args: &StopArgs, ctx: &Context) -> Result<(), CommandError> {
    set(&args.which, ctx, false).await
}

async fn set(which: &Which, ctx: &Context, enabled: bool) -> Result<(), CommandError> {
    let (what, done) = if enabled {
        ("start", "started")
    } else {
        ("stop", "stopped")
    };
    let environment = ctx.environment(which.named.as_ref())?;
    let number = which
        .gateway
        .as_deref()
        .map(|text| super::gateways::number(&environment, text))
        .transpose()?;
    let lock = which.lock.turn(ctx, &environment.name, what, false).await?;
    let mut environment = Environment::load(&ctx.config.home, &environment.name)?;
    let changed = environment.enable(&ctx.config.home, number, enabled)?;
    drop(lock);
    let told = if enabled {
        ctx.start_gateways(&environment.name, number).await?
    } else {
        ctx.tell_server(&environment.name).await?
    };
    if ctx.screen.is_json() {
        return ctx
            .screen
            .json(&json!({done: changed, "server_runs": told}));
    }
    if changed.is_empty() {
        ctx.screen
            .say(&format!("nothing to {what}: all were {done} already"));
    }
    for name in &changed {
        ctx.screen.data(&format!("{done} {name}\n"))?;
    }
    if enabled && !told {
        ctx.screen
            .warn("no server runs; the gateways start with `lockgate serve --detach`");
    }
    Ok(())
}
