//! The way back, and the end of it: containers that were kept are started again, or removed.

use std::collections::BTreeSet;
use std::time::Duration;

use lockgate_model::{EnvName, GatewayName, Phase};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::AdoptArgs;
use crate::adoption::kept::{AllKept, Kept};
use crate::adoption::steps;
use crate::context::Context;
use crate::environment::Environment;
use crate::error::CommandError;
use crate::runtime::docker::check::connect;
use crate::runtime::docker::engine::Engine;
use crate::runtime::docker::found::aside;
use crate::server::control::ControlClient;

/// What the way back is gone with.
pub(super) struct Back<'a> {
    pub(super) ctx: &'a Context,
    pub(super) engine: &'a Engine,
    /// The server, where one runs.
    pub(super) control: Option<&'a ControlClient>,
    pub(super) env: &'a EnvName,
}

impl Back<'_> {
    /// Ends a gateway and starts the container of before. The caller holds the `DeployLock`.
    pub(super) async fn bring(&self, gateway: &GatewayName, kept: &Kept) -> Result<(), String> {
        let (home, number) = (&self.ctx.config.home, gateway.number());
        let written = Environment::load(home, self.env)
            .and_then(|mut environment| environment.enable(home, Some(number), false));
        written.map_err(|error| error.to_string())?;
        if let Some(control) = self.control {
            match control.changed(self.env).await {
                // A server that is gone makes nothing anew; its containers go on.
                Err(error) if !error.is_unreachable() => {
                    return Err(format!("{error}: {}", error.source));
                }
                Ok(()) | Err(_) => {}
            }
        }
        let id = home.id().map_err(|error| error.to_string())?;
        steps::bring_back(self.engine, &id, gateway, kept)
            .await
            .map_err(|error| error.in_one_line())?;
        self.forget(number)
    }

    async fn remove(&self, gateway: &GatewayName, kept: &Kept) -> Result<(), String> {
        steps::remove(self.engine, gateway, kept)
            .await
            .map_err(|error| error.in_one_line())?;
        self.forget(gateway.number())
    }

    fn forget(&self, number: u32) -> Result<(), String> {
        let home = &self.ctx.config.home;
        let forgotten = AllKept::load(home, self.env).and_then(|mut all| {
            all.forget(number);
            all.save(home, self.env)
        });
        forgotten.map_err(|error| error.to_string())
    }
}

/// `--undo` and `--finish`: names the containers, asks, and goes on after a failure.
pub(super) async fn undo(
    args: &AdoptArgs,
    ctx: &Context,
    only: &BTreeSet<u32>,
    stop: &CancellationToken,
) -> Result<(), CommandError> {
    let (env, home) = (&args.named, &ctx.config.home);
    Environment::load(home, env)?;
    let engine = connect(&ctx.config.engine).await?;
    let kept = chosen(args, ctx, only)?;
    let control = ControlClient::connect(home)
        .await
        .map(|(control, _)| control);
    if args.finish {
        all_ready(args, ctx, &kept).await?;
    }
    let what = if args.undo {
        "started again"
    } else {
        "removed"
    };
    if ctx.screen.is_json() {
        let gateways = kept.iter().map(described).collect();
        ctx.screen.document(&Undoing::Plan { env, gateways })?;
    }
    for (gateway, one) in &kept {
        let id: String = one.id.chars().take(12).collect();
        let (name, image) = (aside(gateway), &one.image);
        ctx.screen
            .say(&format!("  {name}  {id}  {image}  is {what}"));
    }
    if args.dry_run || kept.is_empty() {
        return done(args, ctx, &[], &[]);
    }
    if !args.yes && !super::agreed(if args.undo { "Start" } else { "Remove" })? {
        return Err(CommandError::failed("nothing was changed"));
    }
    let _lock = args.lock.turn_or_stop(ctx, env, "adopt", stop).await?;
    let back = Back {
        ctx,
        engine: &engine,
        control: control.as_ref(),
        env,
    };
    let (mut changed, mut left) = (Vec::new(), Vec::new());
    for (gateway, one) in &kept {
        if stop.is_cancelled() {
            left.push(format!("`{gateway}`: interrupted before its turn"));
            continue;
        }
        let result = if args.undo {
            back.bring(gateway, one).await
        } else {
            back.remove(gateway, one).await
        };
        match result {
            Ok(()) => {
                if !ctx.screen.is_json() {
                    ctx.screen
                        .data(&format!("{gateway}: container of before {what}\n"))?;
                }
                changed.push(gateway.clone());
            }
            Err(error) => left.push(format!("`{gateway}`: {error}")),
        }
    }
    done(args, ctx, &changed, &left)
}

/// What is told of `--undo` and `--finish`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Undoing<'u> {
    /// What will be done.
    Plan {
        /// The environment.
        env: &'u EnvName,
        /// The kept containers that something is done to.
        gateways: Vec<KeptContainer<'u>>,
    },
    /// What was done.
    Result {
        /// Whether all of it was.
        ok: bool,
        /// The environment.
        env: &'u EnvName,
        /// Of `--undo`: the gateways whose container of before was started again.
        #[serde(skip_serializing_if = "Option::is_none")]
        brought_back: Option<&'u [GatewayName]>,
        /// Of `--finish`: those whose container of before was removed.
        #[serde(skip_serializing_if = "Option::is_none")]
        removed: Option<&'u [GatewayName]>,
        /// What was not done, a sentence each.
        left_behind: &'u [String],
    },
}

/// A container that is kept.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KeptContainer<'k> {
    /// The gateway in its place.
    gateway: &'k GatewayName,
    /// Its name.
    container: String,
    /// Its id.
    container_id: &'k str,
    /// The image it was made from.
    image: &'k str,
}

/// A container that is kept, for programs.
fn described((gateway, kept): &(GatewayName, Kept)) -> KeptContainer<'_> {
    KeptContainer {
        gateway,
        container: aside(gateway),
        container_id: &kept.id,
        image: &kept.image,
    }
}

/// The containers that are meant.
fn chosen(
    args: &AdoptArgs,
    ctx: &Context,
    only: &BTreeSet<u32>,
) -> Result<Vec<(GatewayName, Kept)>, CommandError> {
    let env = &args.named;
    let all = AllKept::load(&ctx.config.home, env)?;
    let missing: Vec<String> = only
        .iter()
        .filter(|number| all.of(**number).is_none())
        .map(|number| {
            format!(
                "no container is kept of `{}`",
                GatewayName::new(env, *number)
            )
        })
        .collect();
    if !missing.is_empty() {
        return Err(CommandError::failed(missing.join("\n")));
    }
    let meant = all
        .iter()
        .filter(|(number, _)| only.is_empty() || only.contains(number));
    Ok(meant
        .map(|(number, kept)| (GatewayName::new(env, number), kept.clone()))
        .collect())
}

/// A container is not removed that may yet be needed.
async fn all_ready(
    args: &AdoptArgs,
    ctx: &Context,
    kept: &[(GatewayName, Kept)],
) -> Result<(), CommandError> {
    let env = &args.named;
    let (control, _) = ctx.server().await?;
    let view = control.gateways(env, None, Duration::ZERO).await?;
    let ready = |gateway: &GatewayName| {
        let mut views = view.gateways.iter();
        let report = views.find(|one| one.name == *gateway)?.report.as_ref()?;
        (report.phase == Phase::Ready).then_some(())
    };
    let not: Vec<String> = kept
        .iter()
        .filter(|(gateway, _)| ready(gateway).is_none())
        .map(|(gateway, _)| format!("`{gateway}` is not ready"))
        .collect();
    if not.is_empty() {
        return Ok(());
    }
    Err(CommandError::failed(format!(
        "the containers of before may yet be needed, so none was removed\n{}",
        not.join("\n")
    ))
    .hint(format!(
        "`lockgate status {env}` shows why; `lockgate adopt {env} --undo` starts them again"
    )))
}

fn done(
    args: &AdoptArgs,
    ctx: &Context,
    changed: &[GatewayName],
    left: &[String],
) -> Result<(), CommandError> {
    let env = &args.named;
    if ctx.screen.is_json() {
        ctx.screen.document(&Undoing::Result {
            ok: left.is_empty(),
            env,
            brought_back: args.undo.then_some(changed),
            removed: (!args.undo).then_some(changed),
            left_behind: left,
        })?;
    } else if changed.is_empty() && left.is_empty() {
        ctx.screen.say(if args.dry_run {
            "nothing was changed"
        } else {
            "no container is kept"
        });
    }
    if left.is_empty() {
        return Ok(());
    }
    Err(CommandError::failed(format!(
        "not all containers of before were {}\n{}",
        if args.undo {
            "started again"
        } else {
            "removed"
        },
        left.join("\n")
    ))
    .hint("called again, it takes the rest")
    .in_result())
}
