//! `lockgate deploy`: validate, pack, publish, wait until every gateway runs it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use lockgate_model::{AppSettings, EnvName};

use super::serve::Interrupted;
use crate::cli::duration;
use crate::context::{Context, now_ms};
use crate::deploy::events::{Event, Outcome, Verdict};
use crate::deploy::prepare::Job;
use crate::deploy::{self, Request, news};
use crate::environment::lock::{DeployLock, LockError};
use crate::error::CommandError;
use crate::server::control::ControlClient;
use crate::views::progress::Progress;
use crate::watch::{Sources, Watch};

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
    /// Deploy again whenever the bundle changes, until Ctrl-C
    #[arg(long, short)]
    watch: bool,
    /// Watch by looking twice a second, where the file system gives no notices
    #[arg(long, requires = "watch")]
    poll: bool,
    /// Only this gateway, by number or name (repeatable)
    #[arg(long, short, value_name = "GATEWAY")]
    gateway: Vec<String>,
    /// Deploy another checkout than the environment's own
    #[arg(long, value_name = "PATH")]
    workspace: Option<PathBuf>,
    /// Deploy although bundles may hold what no back end may; `builds` shows it
    #[arg(long)]
    no_validate: bool,
    /// How long the gateways may take [default: what the application's limits allow]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
}

/// Deploys once, or with `--watch` until Ctrl-C.
pub(crate) async fn deploy(args: DeployArgs, ctx: &Context) -> Result<(), CommandError> {
    let mut interrupted = Interrupted::new()?;
    let request = request(&args, ctx)?;
    let (control, _) = ctx.server().await?;
    // Before the first build, so that an edit meanwhile is not lost.
    let how = Watching::new(args.poll, args.watch && args.build, &request).await;
    let first = tokio::select! {
        first = once(ctx, &control, &request) => first,
        () = interrupted.wait() => return Err(given_up(&request.job.env)),
    };
    if !args.watch {
        return first;
    }
    match first {
        // Nothing that an edit of the code could mend.
        Err(error) if error.is_configuration() => return Err(error),
        Err(error) => ctx.screen.failed(&error),
        Ok(()) => {}
    }
    let again = || self::request(&args, ctx);
    tokio::select! {
        never = watch(ctx, &control, &request, how, again) => match never {},
        () = interrupted.wait() => Ok(()),
    }
}

/// What Ctrl-C leaves: a build that was published goes on without us.
pub(crate) fn given_up(env: &EnvName) -> CommandError {
    CommandError::failed("interrupted").hint(format!(
        "what was published stays, and gateways go on by themselves; `lockgate status {env}` shows how far they are"
    ))
}

fn request(args: &DeployArgs, ctx: &Context) -> Result<Request, CommandError> {
    let environment = ctx.environment(args.named.as_ref())?;
    let workspace = super::checkout::checkout(ctx, &environment, args.workspace.as_deref())?;
    let resolved = workspace.resolve(&environment.name)?;
    Ok(Request {
        gateways: super::gateways::numbers(&environment, &args.gateway)?,
        build: args.build,
        restart: false,
        within: args.timeout.unwrap_or_else(|| allowed(&resolved.app)),
        job: Job {
            env: environment.name.clone(),
            workspace,
            resolved,
            validate: !args.no_validate,
        },
        environment,
    })
}

/// What the application's limits allow: fetch, three starts in the worst case, and a way back.
pub(crate) fn allowed(settings: &AppSettings) -> Duration {
    Duration::from_secs(30) + settings.limits.grace * 2 + settings.limits.ready * 4
}

/// One deploy under the environment's lock, shown as it goes. A gateway that does not
/// run the build makes it an error.
pub(crate) async fn once(
    ctx: &Context,
    control: &ControlClient,
    request: &Request,
) -> Result<(), CommandError> {
    let lock = DeployLock::take(
        &ctx.config.home,
        &request.environment.name,
        "deploy",
        now_ms(),
    )?;
    locked(ctx, control, request, &lock).await
}

async fn locked(
    ctx: &Context,
    control: &ControlClient,
    request: &Request,
    _lock: &DeployLock,
) -> Result<(), CommandError> {
    let mut progress = Progress::new(ctx.screen);
    let outcome = deploy::deploy(ctx, control, request, &mut teller(&mut progress)).await?;
    show(progress, &outcome)
}

/// A deploy that nobody called for by hand waits for whoever is at it.
async fn once_it_is_free(
    ctx: &Context,
    control: &ControlClient,
    request: &Request,
) -> Result<(), CommandError> {
    let env = &request.environment.name;
    loop {
        match DeployLock::take(&ctx.config.home, env, "deploy", now_ms()) {
            Ok(lock) => return locked(ctx, control, request, &lock).await,
            Err(LockError::Held { .. }) => tokio::time::sleep(LOOK_AGAIN).await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// How often a lock is looked at that another process holds.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Prints the result, and makes an error of gateways that do not run the build.
pub(crate) fn show(progress: Progress, outcome: &Outcome) -> Result<(), CommandError> {
    progress.finish(outcome)?;
    if outcome.ok {
        return Ok(());
    }
    let (env, build) = (&outcome.env, &outcome.build);
    let what = if settings_only(outcome) {
        format!("build `{build}` with its new settings")
    } else {
        format!("build `{build}`")
    };
    let bad = || {
        let all = outcome.gateways.iter();
        all.filter(|gateway| !gateway.verdict.is_good())
    };
    let refused = bad().any(|gateway| matches!(gateway.verdict, Verdict::Kept { .. }));
    let mut bad = bad();
    let message = match (bad.next(), bad.count(), outcome.gateways.len()) {
        (Some(only), 0, _) => format!("gateway `{}` does not run {what}", only.gateway),
        (_, others, all) if others + 1 == all => {
            format!("none of {all} gateways runs {what}")
        }
        (_, others, all) => format!("{} of {all} gateways do not run {what}", others + 1),
    };
    let more = if refused {
        format!(
            "`lockgate logs {env} --crash` and `lockgate status {env}` show more; fix the build and deploy again"
        )
    } else {
        format!("gateways catch up by themselves; `lockgate status {env}` shows how far they are")
    };
    Err(CommandError::failed(message).hint(more).in_result())
}

/// Whether some gateway runs the build, but as it was started before.
fn settings_only(outcome: &Outcome) -> bool {
    let kept = |verdict: &Verdict| {
        matches!(
            verdict,
            Verdict::Kept {
                settings_only: true,
                ..
            }
        )
    };
    outcome.gateways.iter().any(|one| kept(&one.verdict))
}

/// What is watched beside the bundle, and how.
#[derive(Debug)]
pub(crate) struct Watching {
    /// By looking twice a second, not by notices.
    poll: bool,
    /// An edit of these runs the build command.
    sources: Option<Sources>,
}

impl Watching {
    /// From now on. With `build` sources are watched, too.
    pub(crate) async fn new(poll: bool, build: bool, request: &Request) -> Self {
        let folders = &request.job.resolved.sources;
        let sources = if build && !folders.is_empty() {
            Some(Sources::new(folders).await)
        } else {
            None
        };
        Self { poll, sources }
    }

    /// Waits for an edit; for ever, where sources are not watched.
    async fn edited(&mut self) {
        match &mut self.sources {
            Some(sources) => sources.edited().await,
            None => std::future::pending().await,
        }
    }
}

/// Deploys whenever the bundle's folder changes, and builds when a source does, where that
/// is wanted. What fails is told and deploys nothing.
pub(crate) async fn watch(
    ctx: &Context,
    control: &ControlClient,
    first: &Request,
    mut how: Watching,
    again: impl Fn() -> Result<Request, CommandError>,
) -> std::convert::Infallible {
    let bundle = &first.job.resolved.bundle;
    let folder = bundle.parent().unwrap_or(bundle);
    let mut watch = Watch::new(folder, how.poll);
    let polls = if watch.polls() {
        " (looking twice a second)"
    } else {
        ""
    };
    let sources = how.sources.as_ref().map_or("", |_| " and the sources");
    ctx.screen.say(&format!(
        "watching {}{sources}{polls}; Ctrl-C ends",
        folder.display()
    ));
    loop {
        let build = tokio::select! {
            () = watch.changed() => false,
            () = how.edited() => true,
            never = news::tell(ctx, control, &first.job.env) => match never {},
        };
        ctx.screen.say("");
        present(ctx, control).await;
        // lockgate.toml may have changed, too, so everything is read again.
        let deployed = match again() {
            Ok(request) => once_it_is_free(ctx, control, &Request { build, ..request }).await,
            Err(error) => Err(error),
        };
        if build {
            watch.settle();
        }
        if let Err(error) = deployed {
            ctx.screen.failed(&error);
            ctx.screen.say("still watching");
        }
    }
}

/// Waits for the server: what changed while it was away is not lost.
async fn present(ctx: &Context, control: &ControlClient) {
    let mut told = false;
    while control.server().await.is_err() {
        if !told {
            ctx.screen
                .warn("the server is away; this change is deployed when it is back");
        }
        told = true;
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Shows events of a command that deploys in its own way.
pub(crate) fn teller(progress: &mut Progress) -> impl FnMut(Event) + '_ {
    |event| progress.tell(&event)
}
