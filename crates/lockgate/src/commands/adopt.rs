//! `lockgate adopt`: containers of the shell system become gateways of an environment, one after the
//! other, and their way back.

mod look;
pub(crate) mod one;
mod run;
pub(crate) mod show;
pub(crate) mod undo;

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use lockgate_model::{EnvName, GatewayName};

use self::look::look;
use super::deploy::{WaitArgs, stop_on_signals};
use super::turn::LockArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::runtime::docker::check::connect;

/// Take over the containers of the shell system, one after the other
///
/// Finds the containers named `gw-pool-ENV-N`, and makes the environment where it is missing: with
/// their names, ports, ids and tokens. Then, for one after the other, the old container is stopped and
/// kept as `gw-pool-ENV-N.before-lockgate`, and the gateway is made in its place. One that does not
/// get ready is taken away, the old container is started again, and the others stay as they are.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct AdoptArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    named: EnvName,
    /// Only this gateway, by number or name (repeatable)
    #[arg(long, short, value_name = "GATEWAY")]
    gateway: Vec<String>,
    /// The environment's domain, where the containers' DOMAIN shall not count
    #[arg(long)]
    domain: Option<String>,
    /// The checkout that the environment is deployed from; the one around the current folder where
    /// none is given
    #[arg(long, value_name = "PATH")]
    workspace: Option<PathBuf>,
    /// Say what would be done, and what is in the way
    #[arg(long)]
    dry_run: bool,
    /// The way back: remove the gateways and start the containers that were kept
    #[arg(long, conflicts_with_all = ["domain", "workspace", "finish"])]
    undo: bool,
    /// Remove the containers that were kept; there is no way back then
    #[arg(long, conflicts_with_all = ["domain", "workspace"])]
    finish: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    lock: LockArgs,
}

/// Looks, says what will be done, asks, does it.
pub(crate) async fn adopt(args: AdoptArgs, ctx: &Context) -> Result<(), CommandError> {
    let only = numbers(&args)?;
    let stop = stop_on_signals()?;
    if args.undo || args.finish {
        return undo::undo(&args, ctx, &only, &stop).await;
    }
    let engine = connect(&ctx.config.engine).await?;
    let found = look(&args, ctx, &engine, &only).await?;
    show::plan(ctx, &args.named, &found)?;
    if args.dry_run || found.plan.gateways.is_empty() {
        return show::nothing_done(ctx, &args.named, &found);
    }
    // Who makes the new containers has to be there before an old one is stopped.
    let (control, _) = ctx.server().await?;
    if !args.yes && !agreed("Adopt")? {
        return Err(CommandError::failed("nothing was adopted"));
    }
    Box::pin(run::run(&args, ctx, &engine, &control, found, &stop)).await
}

/// Asks whether what was said shall be done.
fn agreed(verb: &str) -> Result<bool, CommandError> {
    let without = CommandError::usage("changing the containers named above was not confirmed")
        .hint("`--yes` does not ask");
    super::agree::agreed(&format!("{verb} the containers named above?"), without)
}

/// The gateways that are named, by number; they need not be an environment's yet.
fn numbers(args: &AdoptArgs) -> Result<BTreeSet<u32>, CommandError> {
    let number = |text: &String| {
        let by_name = GatewayName::parse(text).ok();
        let by_name = by_name.filter(|name| name.env() == args.named);
        let number = by_name.map(|name| name.number()).or(text.parse().ok());
        number.ok_or_else(|| {
            let env = &args.named;
            CommandError::usage(format!("`{text}` is no gateway of `{env}`"))
                .hint(format!("name it by its number, or as `gw-pool-{env}-0`"))
        })
    };
    args.gateway.iter().map(number).collect()
}
