//! `lockgate deploy --unpin`: gateways go back to the environment's build.

use lockgate_model::{EnvName, GatewayName};
use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{DeployArgs, teller};
use crate::commands::outcome::show;
use crate::context::Context;
use crate::deploy::events::GatewayOutcome;
use crate::deploy::rollout::{Rollout, Scope};
use crate::deploy::said;
use crate::deploy::strategy::DeployStrategy;
use crate::environment::Environment;
use crate::environment::publish::What;
use crate::error::CommandError;
use crate::views::progress::Progress;

/// Ends pins and publishes the environment's build to the gateways that had one.
pub(super) async fn unpin(
    args: &DeployArgs,
    ctx: &Context,
    stop: &CancellationToken,
) -> Result<(), CommandError> {
    let environment = ctx.environment(args.named.as_ref())?;
    let (control, _) = ctx.server().await?;
    let (home, env) = (&ctx.config.home, &environment.name);
    let mut lock = args.lock.turn_or_stop(ctx, env, "deploy", stop).await?;
    let mut environment = Environment::load(home, env)?;
    let numbers = pinned(args, ctx, &environment)?;
    let store = ctx.store()?;
    let whole = said::desired(home, &environment, &store)?.whole;
    let Some(whole) = whole.filter(|_| !numbers.is_empty()) else {
        let ended = environment.pin(home, &numbers, None)?;
        return nothing_to_publish(ctx, &environment, &ended);
    };
    let rollout = Rollout {
        ctx,
        control: &control,
        store: &store,
        lock: &mut lock,
        environment,
        build: whole.build.clone(),
        limits: whole.settings.limits.clone(),
        what: What::Run {
            build: whole.build,
            settings: Box::new(whole.settings),
            restart: false,
        },
        scope: Scope::Unpin(numbers),
        line: None,
        how: args.wait.how(DeployStrategy::All, stop),
    };
    let mut progress = Progress::new(ctx.screen);
    let outcome = rollout.run(&mut teller(&mut progress)).await?;
    show(progress, &outcome)
}

/// The gateways that are meant and are pinned; that one is not is said.
fn pinned(
    args: &DeployArgs,
    ctx: &Context,
    environment: &Environment,
) -> Result<Vec<u32>, CommandError> {
    let named = crate::commands::gateways::numbers(environment, &args.gateway)?;
    let pinned: Vec<u32> = environment.pinned().map(|(one, _)| one.number).collect();
    let Some(named) = named else {
        return Ok(pinned);
    };
    let (meant, others): (Vec<u32>, Vec<u32>) = named
        .into_iter()
        .partition(|number| pinned.contains(number));
    for number in others {
        let name = environment.gateway_name(environment.gateway(number)?);
        ctx.screen.say(&format!("{name} is not pinned"));
    }
    Ok(meant)
}

/// The last line where pins ended and nothing was published.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Unpinned<'u> {
    /// The pins are gone.
    Result {
        /// Always true.
        ok: bool,
        /// The environment.
        env: &'u EnvName,
        /// The gateways that were pinned.
        unpinned: &'u [GatewayName],
        /// Always empty: no gateway was followed.
        gateways: &'u [GatewayOutcome],
    },
}

/// Without a build of the environment a gateway keeps what it has until the next deploy.
fn nothing_to_publish(
    ctx: &Context,
    environment: &Environment,
    ended: &[GatewayName],
) -> Result<(), CommandError> {
    let env = &environment.name;
    if ctx.screen.is_json() {
        return ctx.screen.document(&Unpinned::Result {
            ok: true,
            env,
            unpinned: ended,
            gateways: &[],
        });
    }
    if ended.is_empty() {
        ctx.screen.say(&format!("no pin of {env} is left to end"));
    }
    for name in ended {
        ctx.screen.say(&format!(
            "{name} is not pinned any more; it keeps its build until the next `lockgate deploy {env}`"
        ));
    }
    Ok(())
}
