//! The environment, and one gateway after the other.

use lockgate_builds::store::Store;
use lockgate_model::GatewayName;
use tokio_util::sync::CancellationToken;

use super::AdoptArgs;
use super::look::Look;
use super::one::{Failed, Stands};
use super::show::Adoption;
use crate::adoption::plan::Planned;
use crate::context::{Context, now_ms};
use crate::deploy::said;
use crate::environment::admit::Registered;
use crate::environment::adopted::{Adopted, join};
use crate::environment::create::{Draft, Wanted};
use crate::environment::desired::Whole;
use crate::environment::lock::DeployLock;
use crate::environment::{Environment, Gateway, RuntimeKind};
use crate::error::CommandError;
use crate::runtime::docker::engine::Engine;
use crate::server::control::ControlClient;

/// What adopting works with.
pub(super) struct Work<'a> {
    pub(super) args: &'a AdoptArgs,
    pub(super) ctx: &'a Context,
    pub(super) engine: &'a Engine,
    pub(super) control: &'a ControlClient,
    pub(super) stop: &'a CancellationToken,
    pub(super) store: Store,
    pub(super) lock: DeployLock,
    pub(super) whole: Whole,
}

/// Makes the environment and adopts, until one does not get ready or somebody ends the command.
pub(super) async fn run(
    args: &AdoptArgs,
    ctx: &Context,
    engine: &Engine,
    control: &ControlClient,
    found: Look,
    stop: &CancellationToken,
) -> Result<(), CommandError> {
    let store = ctx.store()?;
    let gateways = found.plan.gateways.clone();
    let (Some(whole), Some(line)) = (found.whole.clone(), found.line.clone()) else {
        unreachable!("a plan with gateways has a build for them");
    };
    let lock = prepare(args, ctx, &store, found, stop).await?;
    let home = &ctx.config.home;
    let environment = Environment::load(home, &args.named)?;
    let mut desired = said::desired(home, &environment, &store)?;
    if desired.whole.as_ref() != Some(&whole) {
        store.publish(&args.named, &line)?;
        desired.whole = Some(whole.clone());
        desired.save(home, &args.named)?;
    }
    // The keeper hears of gateways that it leaves alone.
    control.changed(&args.named).await?;
    let mut work = Work {
        args,
        ctx,
        engine,
        control,
        stop,
        store,
        lock,
        whole,
    };
    let mut adopted: Vec<&GatewayName> = Vec::new();
    for (at, one) in gateways.iter().enumerate() {
        let failed = if stop.is_cancelled() {
            Some(Failed::before(CommandError::interrupted("interrupted")))
        } else {
            work.adopt(one).await.err()
        };
        let Some(failed) = failed else {
            adopted.push(&one.gateway);
            continue;
        };
        let rest = gateways
            .iter()
            .skip(at + usize::from(failed.stands != Stands::Untouched));
        let untouched: Vec<&GatewayName> = rest.map(|one| &one.gateway).collect();
        return Err(work.failed(one, failed, &adopted, &untouched)?);
    }
    if ctx.screen.is_json() {
        return ctx.screen.document(&Adoption::Result {
            ok: true,
            env: &args.named,
            adopted: &adopted,
            brought_back: &[],
            untouched: &[],
        });
    }
    let env = &args.named;
    ctx.screen.say(&format!(
        "\nThe containers of before are kept: `lockgate adopt {env} --undo` starts them again, \
         `lockgate adopt {env} --finish` removes them."
    ));
    Ok(())
}

/// Makes the environment, or takes the gateways into the one that is there; none of them is wanted yet.
async fn prepare(
    args: &AdoptArgs,
    ctx: &Context,
    store: &Store,
    found: Look,
    stop: &CancellationToken,
) -> Result<DeployLock, CommandError> {
    let (env, home) = (&args.named, &ctx.config.home);
    let plan = found.plan;
    let gateways: Vec<Adopted> = plan.gateways.into_iter().map(adopted).collect();
    if found.environment.is_none() {
        let resolved = found.workspace.resolve(env)?;
        let wanted = Wanted {
            name: env.clone(),
            domain: Some(plan.domain),
            workspace: found.workspace.root().to_owned(),
            gateways: 0,
            runtime: RuntimeKind::Docker,
            docker: found.docker,
        };
        let mut draft = Draft::of(home, &wanted, plan.ganymede, gateways, now_ms())?;
        draft.front(resolved.front);
        draft.vpn(resolved.vpn);
        draft.finish(home, store)?;
        return args.lock.turn_or_stop(ctx, env, "adopt", stop).await;
    }
    let lock = args.lock.turn_or_stop(ctx, env, "adopt", stop).await?;
    let mut environment = Environment::load(home, env)?;
    join(home, store, &mut environment, gateways, now_ms())?;
    Ok(lock)
}

fn adopted(one: Planned) -> Adopted {
    let identity = one.identity;
    Adopted {
        gateway: Gateway {
            number: one.gateway.number(),
            id: identity.id.clone(),
            http_port: identity.http_port,
            vpn_port: identity.vpn_port,
            enabled: false,
            organization: None,
            pinned: None,
        },
        registered: Registered {
            gateway_id: identity.id,
            token: identity.token,
        },
    }
}

impl Work<'_> {
    /// Prints the result where a gateway was not adopted, and gives the error that it is.
    fn failed(
        &self,
        one: &Planned,
        failed: Failed,
        adopted: &[&GatewayName],
        untouched: &[&GatewayName],
    ) -> Result<CommandError, CommandError> {
        let back = failed.stands == Stands::Back;
        let brought_back: Vec<&GatewayName> = back.then_some(&one.gateway).into_iter().collect();
        if self.ctx.screen.is_json() {
            self.ctx.screen.document(&Adoption::Result {
                ok: false,
                env: &self.args.named,
                adopted,
                brought_back: &brought_back,
                untouched,
            })?;
        }
        let mut error = failed.error.in_result();
        if !untouched.is_empty() {
            let names: Vec<String> = untouched.iter().map(|name| format!("`{name}`")).collect();
            error = error.hint(format!("as they were: {}", names.join(", ")));
        }
        Ok(error)
    }
}
