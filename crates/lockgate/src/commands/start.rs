//! `lockgate start` and `lockgate stop`: gateways and services that shall run, and those that shall
//! not.

use clap::Args;
use lockgate_model::{EnvName, GatewayName, ServiceName};
use schemars::JsonSchema;
use serde::Serialize;

use super::services;
use super::turn::LockArgs;
use super::what::{What, what, what_now};
use crate::context::Context;
use crate::environment::Environment;
use crate::environment::services::renew_one;
use crate::error::CommandError;
use crate::workspace::services::Service;

/// Start gateways and services that were stopped
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    which: Which,
}

/// Stop gateways and services; they stay stopped until `start`
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
    /// One gateway, by number or name, or one service; all of them where none is given
    #[arg(value_name = "WHAT")]
    what: Option<String>,
    #[command(flatten)]
    lock: LockArgs,
}

/// What was started.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Enabled<'s> {
    /// The gateways that were stopped before.
    started: &'s [GatewayName],
    /// The services that were.
    services: &'s [ServiceName],
    /// Whether a server runs, which starts them.
    server_runs: bool,
}

/// What was stopped.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Disabled<'s> {
    /// The gateways that were to run before.
    stopped: &'s [GatewayName],
    /// The services that were.
    services: &'s [ServiceName],
    /// Whether a server runs.
    server_runs: bool,
}

/// Lets gateways and services run again.
pub(crate) async fn start(args: &StartArgs, ctx: &Context) -> Result<(), CommandError> {
    set(&args.which, ctx, true).await
}

/// Ends gateways and services and keeps them ended.
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
    let part = part(which, &environment, enabled)?;
    let lock = which.lock.turn(ctx, &environment.name, what, false).await?;
    let changed = change(ctx, &environment.name, &part, enabled)?;
    drop(lock);
    let told = match part {
        Part::All | Part::Gateway(_) if enabled => {
            ctx.start_gateways(&environment.name, part.gateway())
                .await?
        }
        _ => ctx.tell_server(&environment.name).await?,
    };
    if ctx.screen.is_json() {
        let (gateways, services) = (&changed.gateways, &changed.services);
        return if enabled {
            ctx.screen.document(&Enabled {
                started: gateways,
                services,
                server_runs: told,
            })
        } else {
            ctx.screen.document(&Disabled {
                stopped: gateways,
                services,
                server_runs: told,
            })
        };
    }
    let gateways = changed.gateways.iter().map(ToString::to_string);
    let services = changed.services.iter().map(ToString::to_string);
    let names: Vec<String> = gateways.chain(services).collect();
    if names.is_empty() {
        ctx.screen
            .say(&format!("nothing to {what}: all were {done} already"));
    }
    for name in &names {
        ctx.screen.data(&format!("{done} {name}\n"))?;
    }
    if enabled && !told {
        ctx.screen
            .warn("no server runs; what shall run starts with `lockgate serve --detach`");
    }
    Ok(())
}

/// What is started or stopped.
enum Part {
    /// Everything.
    All,
    /// One gateway.
    Gateway(u32),
    /// A service; where it is started, as its workspace has it.
    Service(ServiceName, Vec<Service>),
}

impl Part {
    fn gateway(&self) -> Option<u32> {
        match self {
            Self::Gateway(number) => Some(*number),
            Self::All | Self::Service(..) => None,
        }
    }
}

/// The part that is meant. To be started, a service needs not be known yet.
fn part(which: &Which, environment: &Environment, enabled: bool) -> Result<Part, CommandError> {
    let Some(text) = which.what.as_deref() else {
        return Ok(Part::All);
    };
    let (what, services) = if enabled {
        what_now(environment, text)?
    } else {
        (what(environment, text)?, Vec::new())
    };
    Ok(match what {
        What::Gateway(number) => Part::Gateway(number),
        What::Service(name) => Part::Service(name, services),
    })
}

/// What is not as it was.
#[derive(Default)]
struct Changed {
    gateways: Vec<GatewayName>,
    services: Vec<ServiceName>,
}

fn change(
    ctx: &Context,
    env: &EnvName,
    part: &Part,
    enabled: bool,
) -> Result<Changed, CommandError> {
    let home = &ctx.config.home;
    let mut environment = Environment::load(home, env)?;
    let mut changed = Changed::default();
    match part {
        Part::All | Part::Gateway(_) => {
            changed.gateways = environment.enable(home, part.gateway(), enabled)?;
            if matches!(part, Part::All) {
                changed.services = environment.enable_services(home, None, enabled)?;
            }
        }
        Part::Service(name, all) if enabled => {
            let description = services::describe(ctx, &environment, all, name)?;
            if !renew_one(home, env, &description, false)? {
                changed.services.push(name.clone());
            }
        }
        Part::Service(name, _) => {
            changed.services = environment.enable_services(home, Some(name), enabled)?;
        }
    }
    Ok(changed)
}
