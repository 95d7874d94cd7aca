//! `lockgate up`: the main job, all of it: serve, create, build, deploy, watch.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use lockgate_model::EnvName;
use tokio_util::sync::CancellationToken;

use super::create::{RuntimeName, docker_settings};
use super::deploy::once;
use super::deploy::watch::{Watching, watch};
use super::serve::Interrupted;
use super::turn::LockArgs;
use super::urls::Doors;
use crate::cli::duration;
use crate::context::Context;
use crate::deploy::prepare::{self, Job};
use crate::deploy::rollout::How;
use crate::deploy::strategy::{DeployStrategy, Until};
use crate::deploy::{Request, clock};
use crate::environment::create::Wanted;
use crate::environment::{Environment, EnvironmentError};
use crate::error::CommandError;
use crate::server::control::ControlClient;
use crate::server::{self, RunningServer, ServeOptions, ServerDescription};
use crate::views::text;
use crate::workspace::Workspace;

/// Do it all: serve, create, build, deploy, watch; Ctrl-C ends what it started
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// The workspace; the one around the current folder where none is given
    workspace: Option<PathBuf>,
    /// Where a new environment's gateways run: `local`, as child processes; `docker`, in containers
    #[arg(long, value_enum, default_value_t = RuntimeName::Local, hide_possible_values = true)]
    runtime: RuntimeName,
    /// How many gateways a new environment gets
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    gateways: u32,
    /// The build server's port, where it is started.
    #[arg(
        long,
        help = "The build server's port, where it is started here [default: 8090, env: LOCKGATE_SERVE_PORT]"
    )]
    port: Option<u16>,
    /// Run the build command whenever a source changes, not only at the start
    #[arg(long, short)]
    build: bool,
    /// Watch by looking twice a second, where the file system gives no notices
    #[arg(long)]
    poll: bool,
    /// How long the gateways may take to be ready [default: what the application's limits allow]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
}

impl UpArgs {
    /// The port that was asked for.
    pub(crate) fn port(&self) -> Option<u16> {
        self.port
    }
}

/// Runs until Ctrl-C, then ends the server if it was started here.
pub(crate) async fn up(args: UpArgs, ctx: &Context) -> Result<(), CommandError> {
    let mut interrupted = Interrupted::new()?;
    let workspace = ctx.workspace(args.workspace.as_deref())?;
    if !workspace.is_recognised() {
        return Err(CommandError::failed(format!(
            "`{}` is no workspace",
            workspace.root().display()
        ))
        .hint("call it in a checkout, name one, or write a lockgate.toml with `lockgate init`"));
    }
    let env = env_for(ctx, &workspace)?;
    // Refused before anything is started.
    workspace.resolve(&env)?;
    let server = Server::join_or_start(ctx).await?;
    let worked = tokio::select! {
        worked = work(&args, ctx, &workspace, &env, &server.control) => worked,
        () = interrupted.wait() => Ok(()),
    };
    server.end(ctx).await;
    worked
}

/// A server that was there, or one of our own.
struct Server {
    control: ControlClient,
    own: Option<RunningServer>,
}

impl Server {
    async fn join_or_start(ctx: &Context) -> Result<Self, CommandError> {
        if let Some((control, description)) = ControlClient::connect(&ctx.config.home).await {
            ctx.screen.say(&format!(
                "joined the server of process {} on {}",
                description.pid,
                address(&description)
            ));
            return Ok(Self { control, own: None });
        }
        let own = server::start(ServeOptions::from_config(&ctx.config)).await?;
        ctx.screen
            .say(&format!("serving on {}", address(&own.description())));
        Ok(Self {
            control: ControlClient::new(&ctx.config.home),
            own: Some(own),
        })
    }

    async fn end(self, ctx: &Context) {
        match self.own {
            Some(own) => {
                ctx.screen.say("\nending gateways and server");
                own.stop().await;
            }
            None => ctx
                .screen
                .say("\nthe server and its gateways run on; `lockgate serve stop` ends them"),
        }
    }
}

fn address(server: &ServerDescription) -> String {
    server
        .listeners
        .first()
        .map_or("no address".to_owned(), |address| {
            format!("http://{address}")
        })
}

async fn work(
    args: &UpArgs,
    ctx: &Context,
    workspace: &Workspace,
    env: &EnvName,
    control: &ControlClient,
) -> Result<(), CommandError> {
    let environment = environment(args, ctx, workspace, env, control).await?;
    let request = request(args, ctx, workspace, env)?;
    let missing = !request.job.resolved.bundle.is_file();
    let stale = missing || prepare::stale(&request.job).is_some();
    let build = stale && request.job.resolved.build_command.is_some();
    let first = Request { build, ..request };
    let builds = first.job.resolved.build_command.is_some();
    if args.build && !builds {
        ctx.screen
            .warn("there is no build command, so only the bundle is watched");
    }
    // Before the first build, so that an edit meanwhile is not lost.
    let how = Watching::new(args.poll, args.build && builds, &first).await;
    let deployed = once(ctx, control, &first, LockArgs::ENDLESS).await;
    match &deployed.result {
        Ok(()) => {
            let found = super::urls::doors(control, env).await?;
            welcome(ctx, &environment, &found, args.build && builds)?;
        }
        // Nothing that an edit of the code could mend.
        Err(error) if error.is_configuration() => return deployed.result,
        Err(error) => ctx.screen.failed(error),
    }
    let again = || self::request(args, ctx, workspace, env);
    match watch(ctx, control, &first, deployed, how, again).await {}
}

/// The environment, made where it is missing.
async fn environment(
    args: &UpArgs,
    ctx: &Context,
    workspace: &Workspace,
    env: &EnvName,
    control: &ControlClient,
) -> Result<Environment, CommandError> {
    match Environment::load(&ctx.config.home, env) {
        Ok(environment) if environment.is_workspace(workspace.root()) => Ok(environment),
        Ok(environment) if !environment.workspace.exists() => {
            super::checkout::adopt(ctx, &environment, workspace)
        }
        Ok(environment) => Err(CommandError::failed(format!(
            "environment `{env}` is deployed from `{}`, and this is `{}`",
            environment.workspace.display(),
            workspace.root().display()
        ))
        .hint("`--env` with another name makes an environment for this checkout")),
        Err(EnvironmentError::Unknown { .. }) => {
            let runtime = args.runtime.kind();
            let docker = docker_settings(ctx, workspace, env, runtime).await?;
            let wanted = Wanted {
                name: env.clone(),
                domain: None,
                workspace: workspace.root().to_owned(),
                gateways: args.gateways,
                runtime,
                docker,
            };
            let environment = super::create::make(ctx, &wanted, workspace).await?;
            control.changed(env).await?;
            let number = text::count(environment.gateways.len(), "gateway");
            ctx.screen
                .say(&format!("created environment {env} with {number}"));
            Ok(environment)
        }
        Err(error) => Err(error.into()),
    }
}

/// Named, or lockgate.toml's default, or this checkout's own, or the first free `dev-NNN`.
fn env_for(ctx: &Context, workspace: &Workspace) -> Result<EnvName, CommandError> {
    if let Some(env) = ctx.config.env.as_ref().or(workspace.default_env()) {
        return Ok(env.clone());
    }
    let all = Environment::list(&ctx.config.home)?;
    if let Some(own) = all
        .iter()
        .find(|found| found.is_workspace(workspace.root()))
    {
        return Ok(own.name.clone());
    }
    let taken = |name: &EnvName| all.iter().any(|found| found.name == *name);
    (1..1000)
        .filter_map(|number| EnvName::parse(&format!("dev-{number:03}")).ok())
        .find(|name| !taken(name))
        .ok_or_else(|| {
            CommandError::failed("no name is free").hint("name the environment with `--env`")
        })
}

fn request(
    args: &UpArgs,
    ctx: &Context,
    workspace: &Workspace,
    env: &EnvName,
) -> Result<Request, CommandError> {
    // Opened again, since lockgate.toml may have changed.
    let workspace = Workspace::open(workspace.root())?;
    let resolved = workspace.resolve(env)?;
    Ok(Request {
        environment: Environment::load(&ctx.config.home, env)?,
        build: false,
        gateways: None,
        restart: false,
        // Who watches sees a later refusal anyway, and shall not wait for the next deploy.
        how: How {
            strategy: DeployStrategy::All,
            wait: Until::Ready,
            within: args.timeout,
            started: clock(),
            // `up` ends by itself what it does.
            stop: CancellationToken::new(),
        },
        job: Job {
            env: env.clone(),
            workspace,
            resolved,
            validate: true,
        },
    })
}

fn welcome(
    ctx: &Context,
    environment: &Environment,
    found: &Doors,
    builds: bool,
) -> Result<(), CommandError> {
    let screen = &ctx.screen;
    if screen.is_json() {
        return Ok(());
    }
    screen.data(&format!("\n{}", super::urls::lines(environment, found)))?;
    let name = &environment.name;
    let edit = if builds {
        "edit                  "
    } else {
        "edit and build        "
    };
    screen.say(&format!(
        "\nTry next, in another terminal:\n  \
         {edit}  every gateway runs it at once\n  \
         lockgate status {name}\n  \
         lockgate logs {name} -f\n  \
         lockgate rollback {name}\n"
    ));
    Ok(())
}
