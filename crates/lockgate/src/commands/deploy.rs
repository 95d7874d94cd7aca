//! `lockgate deploy`: validate, pack, publish, wait until every gateway runs it.

pub(crate) mod unpin;
pub(crate) mod watch;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use lockgate_model::{EnvName, Phase};
use tokio_util::sync::CancellationToken;

use self::watch::{Watching, watch};
use super::outcome::show;
use super::serve::Interrupted;
use super::turn::LockArgs;
use crate::cli::duration;
use crate::context::Context;
use crate::deploy::events::Event;
use crate::deploy::prepare::Job;
use crate::deploy::rollout::How;
use crate::deploy::strategy::{DeployStrategy, Until};
use crate::deploy::{self, Request, clock, services};
use crate::environment::docker::{DockerSettings, Renewed, renew};
use crate::environment::{Environment, RuntimeKind};
use crate::error::CommandError;
use crate::runtime::docker::check::{self, CheckError};
use crate::server::control::{ControlClient, GatewaysView};
use crate::views::progress::Progress;

/// Bring what was built into every gateway, and wait for it
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct DeployArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    named: Option<EnvName>,
    /// Run the build command first; with `--watch`, again whenever a source changes
    #[arg(long, short)]
    build: bool,
    /// Deploy again whenever the bundle changes, until Ctrl-C; the trial is not waited for
    #[arg(long, short, conflicts_with_all = ["strategy", "wait"])]
    watch: bool,
    /// Watch by looking twice a second, where the file system gives no notices
    #[arg(long, requires = "watch")]
    poll: bool,
    /// Which gateways get it first: `all` at once; `rolling`, the next when the one before is ready;
    /// `canary`, the first alone through its trial, then the others [default: `[deploy] strategy`]
    #[arg(
        long,
        value_enum,
        value_name = "all|rolling|canary",
        hide_possible_values = true
    )]
    strategy: Option<DeployStrategy>,
    /// Only this gateway, by number or name (repeatable); it is pinned to the build: deploys to the
    /// environment leave it there
    #[arg(long, short, value_name = "GATEWAY")]
    gateway: Vec<String>,
    /// End the pin of `--gateway`, or all pins: back to the environment's build; nothing is packed
    #[arg(long, conflicts_with_all = ["build", "watch", "strategy", "workspace", "no_validate"])]
    unpin: bool,
    /// Deploy another checkout than the environment's own
    #[arg(long, value_name = "PATH")]
    workspace: Option<PathBuf>,
    /// Deploy although bundles may hold what no back end may; `builds` shows it
    #[arg(long)]
    no_validate: bool,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    lock: LockArgs,
}

/// How far gateways are followed, and for how long.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct WaitArgs {
    /// What to wait for: `ready`, the build answers; `good`, it has passed its trial, too
    #[arg(long, value_enum, value_name = "ready|good", hide_possible_values = true, default_value_t = Until::Good)]
    wait: Until,
    /// How long all of it may take, the trial too [default: what the application's limits allow]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
}

impl WaitArgs {
    /// How long all of it may take, where that was said.
    pub(crate) fn within(self) -> Option<Duration> {
        self.timeout
    }

    /// How it is published and followed. The token is cancelled by who ends the command.
    pub(crate) fn how(self, strategy: DeployStrategy, stop: &CancellationToken) -> How {
        How {
            strategy,
            wait: self.wait,
            within: self.timeout,
            started: clock(),
            stop: stop.clone(),
        }
    }
}

/// What became of one deploy.
#[derive(Debug)]
pub(crate) struct Deployed {
    /// Whether every gateway did what was wanted.
    pub(crate) result: Result<(), CommandError>,
    /// How gateways stood when it was done, if it came to publishing.
    pub(crate) seen: Option<GatewaysView>,
}

impl Deployed {
    /// It came to nothing.
    pub(crate) fn failed(error: CommandError) -> Self {
        Self {
            result: Err(error),
            seen: None,
        }
    }
}

/// Deploys once, or with `--watch` until Ctrl-C.
pub(crate) async fn deploy(args: DeployArgs, ctx: &Context) -> Result<(), CommandError> {
    let stop = stop_on_signals()?;
    if args.unpin {
        return unpin::unpin(&args, ctx, &stop).await;
    }
    let request = request(&args, ctx, &stop)?;
    let (control, _) = ctx.server().await?;
    // Before the first build, so that an edit meanwhile is not lost.
    let how = Watching::new(args.poll, args.watch && args.build, &request).await;
    let first = once(ctx, &control, &request, args.lock).await;
    if !args.watch {
        return first.result;
    }
    match &first.result {
        // Nothing that an edit of the code could mend, or nobody who would make one.
        Err(error) if error.is_configuration() || error.is_interrupted() => return first.result,
        Err(error) => ctx.screen.failed(error),
        Ok(()) => {}
    }
    let again = || self::request(&args, ctx, &stop);
    tokio::select! {
        never = watch(ctx, &control, &request, first, how, again) => match never {},
        () = stop.cancelled() => Ok(()),
    }
}

/// A token that Ctrl-C and TERM cancel, for commands that end in order.
pub(crate) fn stop_on_signals() -> Result<CancellationToken, CommandError> {
    let mut interrupted = Interrupted::new()?;
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    // It ends with the program.
    tokio::spawn(async move {
        interrupted.wait().await;
        cancelled.cancel();
    });
    Ok(stop)
}

fn request(
    args: &DeployArgs,
    ctx: &Context,
    stop: &CancellationToken,
) -> Result<Request, CommandError> {
    let environment = ctx.environment(args.named.as_ref())?;
    let workspace = super::checkout::checkout(ctx, &environment, args.workspace.as_deref())?;
    let resolved = workspace.resolve(&environment.name)?;
    let how = if args.watch {
        How {
            wait: Until::Ready,
            ..args.wait.how(DeployStrategy::All, stop)
        }
    } else {
        let strategy = args.strategy.unwrap_or(resolved.strategy);
        args.wait.how(strategy, stop)
    };
    Ok(Request {
        gateways: super::gateways::numbers(&environment, &args.gateway)?,
        build: args.build,
        restart: false,
        how,
        job: Job {
            env: environment.name.clone(),
            workspace,
            resolved,
            validate: !args.no_validate,
        },
        environment,
    })
}

/// One deploy under the environment's lock, shown as it goes. A gateway that does not
/// run the build makes it an error.
pub(crate) async fn once(
    ctx: &Context,
    control: &ControlClient,
    request: &Request,
    lock: LockArgs,
) -> Deployed {
    let (env, stop) = (&request.environment.name, &request.how.stop);
    let what = if request.restart { "restart" } else { "deploy" };
    let mut lock = match lock.turn_or_stop(ctx, env, what, stop).await {
        Ok(lock) => lock,
        Err(error) => return Deployed::failed(error),
    };
    if let Err(error) = renew_containers(ctx, control, request).await {
        return Deployed::failed(error);
    }
    if let Err(error) = renew_doors(ctx, control, request).await {
        return Deployed::failed(error);
    }
    let mut progress = Progress::new(ctx.screen);
    let deployed =
        deploy::deploy(ctx, control, request, &mut lock, &mut teller(&mut progress)).await;
    match deployed {
        Err(error) => Deployed::failed(error),
        Ok(outcome) => {
            let result = show(progress, &outcome);
            for failing in outcome
                .seen
                .iter()
                .flat_map(|it| [services::failing(env, it), complaining(it)].concat())
            {
                ctx.screen.warn(&failing);
            }
            if result.is_ok() && request.gateways.is_some() {
                ctx.screen.hint(&format!(
                    "pinned to this build until `lockgate deploy {env} --unpin`; deploys to {env} leave that as it is"
                ));
            }
            Deployed {
                result,
                seen: outcome.seen,
            }
        }
    }
}

/// What is to be said after a deploy of gateways that serve and have something to say all the same:
/// a VPN that does not run, or does not keep its clients apart.
fn complaining(view: &GatewaysView) -> Vec<String> {
    let reports = view.gateways.iter().filter_map(|it| it.report.as_ref());
    let serving = reports.filter(|report| report.phase == Phase::Ready);
    serving
        .filter_map(|report| Some(format!("{}: {}", report.gateway, report.problem.as_ref()?)))
        .collect()
}

/// Makes containers anew where lockgate.toml's `[docker]` says something else than before, or their
/// image was built again under its name.
async fn renew_containers(
    ctx: &Context,
    control: &ControlClient,
    request: &Request,
) -> Result<(), CommandError> {
    let env = &request.environment.name;
    let (home, settings) = (&ctx.config.home, &request.job.resolved.docker);
    let other_image = match request.environment.runtime {
        RuntimeKind::Local => None,
        RuntimeKind::Docker => other_image(ctx, env, settings).await?,
    };
    let why = match renew(home, env, settings, other_image)? {
        None => return Ok(()),
        Some(Renewed::Settings) => "`[docker]` changed".to_owned(),
        Some(Renewed::Image) => format!("`{}` is another image now", settings.image()),
    };
    ctx.screen
        .say(&format!("the containers of {env} are made anew: {why}"));
    control.changed(env).await?;
    Ok(())
}

/// Brings what lockgate.toml's `[front]` says to the front door. What `[vpn]` says goes along with the
/// statements of this deploy.
async fn renew_doors(
    ctx: &Context,
    control: &ControlClient,
    request: &Request,
) -> Result<(), CommandError> {
    let (home, env) = (&ctx.config.home, &request.environment.name);
    let resolved = &request.job.resolved;
    if Environment::rewrite(home, env, |it| it.front = resolved.front.clone())? {
        ctx.screen
            .say(&format!("the front door of {env} changed: `[front]`"));
        control.changed(env).await?;
    }
    if Environment::rewrite(home, env, |it| it.vpn = resolved.vpn.clone())? {
        ctx.screen.say(&format!(
            "what clients of {env}'s VPNs may reach changed: `[vpn] allow`"
        ));
    }
    Ok(())
}

/// An engine that is away has no other image: what runs goes on, and so does the deploy.
async fn other_image(
    ctx: &Context,
    env: &EnvName,
    settings: &DockerSettings,
) -> Result<Option<String>, CommandError> {
    let id = ctx.config.home.id();
    let home = id.map_err(|error| CommandError::failed("the home has no id").because(&error))?;
    let Ok(engine) = check::connect(&ctx.config.engine).await else {
        return Ok(None);
    };
    let found = check::other_image(&engine, &home, env, settings).await;
    Ok(found.map_err(CheckError::from)?)
}

/// Shows events of a command that deploys in its own way.
pub(crate) fn teller(progress: &mut Progress) -> impl FnMut(Event) + '_ {
    |event| progress.tell(&event)
}
