//! `lockgate delete`: ends an environment and everything of it.

use clap::Args;
use lockgate_model::{EnvName, GatewayName};
use schemars::JsonSchema;
use serde::Serialize;

use super::turn::LockArgs;
use crate::adoption::kept::AllKept;
use crate::context::Context;
use crate::environment::delete::delete as remove;
use crate::environment::{Environment, EnvironmentError};
use crate::error::CommandError;
use crate::runtime::docker::found::aside;
use crate::server::control::ControlClient;

/// Delete an environment: its gateways, ports, builds and keys
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Its name
    #[arg(value_name = "ENV")]
    named: EnvName,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    lock: LockArgs,
}

/// What was deleted.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Deleted<'d> {
    /// The environment.
    deleted: &'d EnvName,
    /// What could not be removed, a sentence each.
    left_behind: &'d [String],
}

/// Asks (on a terminal), then deletes, and says what it could not.
pub(crate) async fn delete(args: DeleteArgs, ctx: &Context) -> Result<(), CommandError> {
    let name = &args.named;
    // Without its file it may be what an interrupted delete left; that is deleted, too.
    match Environment::load(&ctx.config.home, name) {
        Err(error @ EnvironmentError::Unknown { .. })
            if !ctx.config.home.env_dir(name).exists() =>
        {
            return Err(error.into());
        }
        _ => {}
    }
    if !args.yes && !agreed(name)? {
        return Err(CommandError::failed(format!("`{name}` was not deleted")));
    }
    let server = ControlClient::connect(&ctx.config.home)
        .await
        .map(|(control, _)| control);
    let lock = args.lock.turn(ctx, name, "delete", false).await?;
    let kept = AllKept::load(&ctx.config.home, name).unwrap_or_default();
    let store = ctx.store()?;
    let left = remove(
        &ctx.config.home,
        &store,
        name,
        server.as_ref(),
        &ctx.config.engine,
        lock,
    )
    .await?;
    if ctx.screen.is_json() {
        ctx.screen.document(&Deleted {
            deleted: name,
            left_behind: &left,
        })?;
    } else if left.is_empty() {
        ctx.screen.data(&format!("deleted {name}\n"))?;
    }
    for (number, _) in kept.iter() {
        let before = aside(&GatewayName::new(name, number));
        ctx.screen.warn(&format!(
            "the container `{before}` of before stays: `docker rm {before}` removes it, \
             `docker rename` and `docker start` bring it back"
        ));
    }
    match left.as_slice() {
        [] => Ok(()),
        left => Err(CommandError::failed(format!(
            "not all of `{name}` could be deleted\n{}",
            left.join("\n")
        ))
        .hint(format!(
            "once that is out of the way, `lockgate delete {name}` takes the rest"
        ))),
    }
}

/// Asks on a terminal.
fn agreed(name: &EnvName) -> Result<bool, CommandError> {
    let without = CommandError::usage(format!("deleting `{name}` was not confirmed"))
        .hint(format!("`lockgate delete {name} --yes` does not ask"));
    super::agree::agreed(
        &format!("Delete {name} with its gateways, builds and keys?"),
        without,
    )
}
