//! `lockgate scale`: more or fewer gateways.

use clap::Args;
use lockgate_builds::store::Store;
use lockgate_model::{EnvName, GatewayName};
use tokio_util::sync::CancellationToken;

use super::deploy::{WaitArgs, stop_on_signals, teller};
use super::outcome::show;
use super::quiet::done;
use super::turn::LockArgs;
use crate::context::{Context, now_ms};
use crate::deploy::events::{Event, Scaled};
use crate::deploy::rollout::{Rollout, Scope};
use crate::deploy::strategy::DeployStrategy;
use crate::deploy::{self, said};
use crate::environment::Environment;
use crate::environment::desired::Whole;
use crate::environment::lock::DeployLock;
use crate::environment::publish::What;
use crate::environment::scale::{Growth, going, shrink};
use crate::error::CommandError;
use crate::server::control::ControlClient;
use crate::views::progress::Progress;
use crate::workspace::Workspace;

/// Give an environment more or fewer gateways
#[derive(Debug, Args)]
pub(crate) struct ScaleArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    named: EnvName,
    /// How many gateways it shall have. New ones get the environment's build at once; the highest
    /// numbers go first
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    gateways: u32,
    /// Take away also gateways that are pinned or serve an organization
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    lock: LockArgs,
}

/// What growing and shrinking work with.
struct Work<'a> {
    ctx: &'a Context,
    store: Store,
    environment: Environment,
    control: Option<ControlClient>,
    progress: Progress,
}

/// Grows or shrinks the environment; a server that runs starts and ends gateways at once.
pub(crate) async fn scale(args: ScaleArgs, ctx: &Context) -> Result<(), CommandError> {
    let stop = stop_on_signals()?;
    let env = ctx.environment(Some(&args.named))?.name;
    let mut lock = args.lock.turn_or_stop(ctx, &env, "scale", &stop).await?;
    let control = ControlClient::connect(&ctx.config.home).await;
    let mut work = Work {
        ctx,
        store: ctx.store()?,
        environment: Environment::load(&ctx.config.home, &env)?,
        control: control.map(|(control, _)| control),
        progress: Progress::new(ctx.screen),
    };
    let has = work.environment.gateways.len();
    if (args.gateways as usize) < has {
        return work.shrink(&args).await;
    }
    let (added, failed) = work.grow(args.gateways, &stop).await;
    work.tell_scaled(added.clone(), Vec::new(), Vec::new());
    if let Some(error) = failed {
        let have = work.environment.gateways.len();
        let told = error.hint(format!(
            "`{env}` has {have} gateways now, all of them whole"
        ));
        if added.is_empty() {
            return Err(told);
        }
        // What was made works; that not all of it was is the command's result.
        ctx.screen.error(&told);
        work.join(&args, &mut lock, added, &stop).await?;
        return Err(CommandError::said());
    }
    work.join(&args, &mut lock, added, &stop).await
}

impl Work<'_> {
    /// One gateway after the other, until one cannot be made.
    async fn grow(
        &mut self,
        wanted: u32,
        stop: &CancellationToken,
    ) -> (Vec<GatewayName>, Option<CommandError>) {
        let mut added = Vec::new();
        let failed = tokio::select! {
            grown = self.try_grow(wanted, &mut added) => grown.err(),
            // A gateway is made between two waits, so none is half made.
            () = stop.cancelled() => Some(CommandError::interrupted("interrupted")),
        };
        (added, failed)
    }

    async fn try_grow(
        &mut self,
        wanted: u32,
        added: &mut Vec<GatewayName>,
    ) -> Result<(), CommandError> {
        let home = &self.ctx.config.home;
        let environment = &mut self.environment;
        if environment.gateways.len() >= wanted as usize {
            return Ok(());
        }
        let workspace = Workspace::open(&environment.workspace)?;
        let registration = workspace.resolve(&environment.name)?.registration;
        let mut growth = Growth::begin(home, environment, wanted)?;
        while let Some(gateway) = growth.next_gateway() {
            let registered = match &registration {
                Some(registration) => Some(registration.register(environment, &gateway).await?),
                None => None,
            };
            let name = environment.gateway_name(&gateway);
            let registered = registered.as_ref();
            growth.add(
                home,
                &self.store,
                environment,
                gateway,
                registered,
                now_ms(),
            )?;
            added.push(name);
        }
        Ok(())
    }

    /// Publishes the environment's build to gateways that are new, and follows them.
    async fn join(
        self,
        args: &ScaleArgs,
        lock: &mut DeployLock,
        added: Vec<GatewayName>,
        stop: &CancellationToken,
    ) -> Result<(), CommandError> {
        let (ctx, env) = (self.ctx, self.environment.name.clone());
        let numbers: Vec<u32> = added.iter().map(GatewayName::number).collect();
        let home = &ctx.config.home;
        let whole = said::desired(home, &self.environment, &self.store)?.whole;
        let Some(whole) = whole.filter(|_| !numbers.is_empty()) else {
            ctx.tell_server(&env).await?;
            return done(self.ctx, &self.environment.name, &[]);
        };
        let what = run(&whole);
        let Some(control) = &self.control else {
            let published = deploy::quietly(ctx, &self.store, &self.environment, &what, &numbers)?;
            ctx.screen
                .warn("no server runs; the gateways start with `lockgate serve --detach`");
            let names: Vec<_> = published
                .gateways
                .into_iter()
                .map(|it| it.gateway)
                .collect();
            return done(self.ctx, &self.environment.name, &names);
        };
        let rollout = Rollout {
            ctx,
            control,
            store: &self.store,
            lock,
            environment: self.environment,
            build: whole.build,
            limits: whole.settings.limits,
            what,
            scope: Scope::Join(numbers),
            line: None,
            how: args.wait.how(DeployStrategy::All, stop),
        };
        let mut progress = self.progress;
        let outcome = rollout.run(&mut teller(&mut progress)).await?;
        show(progress, &outcome)
    }

    async fn shrink(mut self, args: &ScaleArgs) -> Result<(), CommandError> {
        let going = going(&self.environment, args.gateways);
        if !args.force {
            self.refuse_held(&going)?;
        }
        let (home, control) = (&self.ctx.config.home, self.control.as_ref());
        let wanted = args.gateways;
        let environment = &mut self.environment;
        let shrunk = shrink(home, &self.store, environment, wanted, control).await?;
        self.tell_scaled(Vec::new(), shrunk.removed, shrunk.left.clone());
        let env = self.environment.name.clone();
        if shrunk.left.is_empty() {
            return done(self.ctx, &self.environment.name, &[]);
        }
        Err(CommandError::failed(format!(
            "not all of the gateways of `{env}` could be taken away\n{}",
            shrunk.left.join("\n")
        ))
        .hint(format!(
            "once that is out of the way, `lockgate scale {env} {}` takes the rest",
            args.gateways
        )))
    }

    /// Gateways that somebody chose for something do not go by the way.
    fn refuse_held(&self, going: &[u32]) -> Result<(), CommandError> {
        let environment = &self.environment;
        let mut held = Vec::new();
        for (gateway, pin) in environment.pinned() {
            if going.contains(&gateway.number) {
                let name = environment.gateway_name(gateway);
                held.push(format!("`{name}` is pinned to build {}", pin.build));
            }
        }
        for gateway in &environment.gateways {
            if let Some(organization) = &gateway.organization
                && going.contains(&gateway.number)
            {
                let name = environment.gateway_name(gateway);
                held.push(format!("`{name}` serves organization {organization}"));
            }
        }
        if held.is_empty() {
            return Ok(());
        }
        let (env, wanted) = (&environment.name, environment.gateways.len() - going.len());
        Err(CommandError::failed(format!(
            "`{env}` stays as it is, since gateways would go that are in use\n{}",
            held.join("\n")
        ))
        .hint(format!(
            "`lockgate scale {env} {wanted} --force` takes them all the same"
        )))
    }

    fn tell_scaled(
        &mut self,
        added: Vec<GatewayName>,
        removed: Vec<GatewayName>,
        left_behind: Vec<String>,
    ) {
        self.progress.tell(&Event::Scaled(Scaled {
            env: self.environment.name.clone(),
            gateways: self.environment.gateways.len(),
            added,
            removed,
            left_behind,
        }));
    }
}

/// The environment's build, as it was published to all gateways.
fn run(whole: &Whole) -> What {
    What::Run {
        build: whole.build.clone(),
        settings: Box::new(whole.settings.clone()),
        restart: false,
    }
}
