//! `lockgate serve`: the build server and the gateways of this host.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Subcommand};
use lockgate_model::EnvName;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::context::{Context, now_ms};
use crate::error::{CommandError, Kind};
use crate::server::control::ControlClient;
use crate::server::detach::{self, DetachError};
use crate::server::front::{FrontDescription, FrontDriver};
use crate::server::{self, ServeOptions, ServerDescription};
use crate::views::text;

/// Serve builds and run the gateways of this host
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ServeArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// Return when it serves; it goes on in the background
    #[arg(long, short)]
    detach: bool,
    /// The build server's port on 127.0.0.1; 0 takes a free one.
    #[arg(
        long,
        help = "The build server's port on 127.0.0.1; 0 takes a free one [default: 8090, env: LOCKGATE_SERVE_PORT]"
    )]
    port: Option<u16>,
    /// Who serves the front door.
    #[arg(
        long,
        value_name = "embedded|nginx",
        value_enum,
        hide_possible_values = true,
        help = "Who serves the front door: the server itself, or an nginx that it keeps [default: embedded, env: LOCKGATE_FRONT]"
    )]
    front: Option<FrontDriver>,
    /// Another address to serve on, for gateways with a token (repeatable)
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Vec<SocketAddr>,
    /// Open this environment's current archive to everybody who reaches a listener, for containers
    /// that have no agent yet (repeatable)
    #[arg(long, value_name = "ENV")]
    allow_plain: Vec<EnvName>,
    /// Set by `--detach` for the process it starts.
    #[arg(long, hide = true)]
    in_background: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// End the server; services and gateways of the local runtime end with it, containers go on
    Stop {
        /// How long that may take
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = crate::cli::duration)]
        timeout: Duration,
    },
    /// Show whether a server runs, and where
    Status,
}

/// How long a server may take to start: a home with many gateways on a slow disk.
const START_WITHIN: Duration = Duration::from_secs(20);

impl ServeArgs {
    /// The port that was asked for.
    pub(crate) fn port(&self) -> Option<u16> {
        self.port
    }

    /// Who was asked for to serve the front door.
    pub(crate) fn front(&self) -> Option<FrontDriver> {
        self.front
    }
}

/// Serves until it is told to stop, or does what is asked about a server that runs.
pub(crate) async fn serve(args: ServeArgs, ctx: &Context) -> Result<(), CommandError> {
    match args.action {
        Some(Action::Stop { timeout }) => return stop(ctx, timeout).await,
        Some(Action::Status) => return status(ctx).await,
        None => {}
    }
    for env in &args.allow_plain {
        ctx.screen.warn(&format!(
            "the archive of `{env}` is open to everybody who reaches a listener"
        ));
    }
    let options = ServeOptions {
        listen: args.listen,
        allow_plain: args.allow_plain,
        ..ServeOptions::from_config(&ctx.config)
    };
    if args.detach {
        let description = detach::detach(&options, START_WITHIN)
            .await
            .map_err(not_started)?;
        return describe(ctx, &description);
    }
    if args.in_background {
        detach::become_session_leader()?;
    }
    let mut interrupted = Interrupted::new()?;
    let running = server::start(options).await?;
    if args.in_background {
        detach::announce(&running.description())?;
    } else {
        describe(ctx, &running.description())?;
    }
    tokio::select! {
        () = interrupted.wait() => {}
        () = running.asked_to_stop() => {}
    }
    running.stop().await;
    Ok(())
}

/// Ctrl-C and TERM, listened to before anything is started that they should end.
#[derive(Debug)]
pub(crate) struct Interrupted {
    int: tokio::signal::unix::Signal,
    term: tokio::signal::unix::Signal,
}

impl Interrupted {
    /// Listens from now on.
    pub(crate) fn new() -> Result<Self, CommandError> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| CommandError::failed("cannot listen to signals").because(&error))
        };
        Ok(Self {
            int: listen(SignalKind::interrupt())?,
            term: listen(SignalKind::terminate())?,
        })
    }

    /// Waits for either.
    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
        }
    }
}

/// The server of this home.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Served<'s> {
    /// The server; null where none runs.
    server: Option<&'s ServerDescription>,
}

/// Whether the server was ended.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Stopped {
    /// False where none ran.
    stopped: bool,
}

async fn stop(ctx: &Context, within: Duration) -> Result<(), CommandError> {
    let stopped = detach::stop(&ctx.config.home, within).await?;
    if ctx.screen.is_json() {
        return ctx.screen.document(&Stopped { stopped });
    }
    ctx.screen.data(if stopped {
        "server stopped\n"
    } else {
        "no server runs\n"
    })
}

async fn status(ctx: &Context) -> Result<(), CommandError> {
    match ControlClient::connect(&ctx.config.home).await {
        Some((_, description)) => describe(ctx, &description),
        None if ctx.screen.is_json() => {
            ctx.screen.document(&Served { server: None })?;
            Err(CommandError::said())
        }
        None => {
            ctx.screen.data("no server runs\n")?;
            ctx.screen.hint("`lockgate serve --detach` starts it");
            Err(CommandError::said())
        }
    }
}

fn describe(ctx: &Context, server: &ServerDescription) -> Result<(), CommandError> {
    if ctx.screen.is_json() {
        return ctx.screen.document(&Served {
            server: Some(server),
        });
    }
    let addresses: Vec<String> = server
        .listeners
        .iter()
        .map(|address| format!("http://{address}"))
        .collect();
    ctx.screen.data(&format!(
        "serving {} on {}\n",
        server.builds.display(),
        addresses.join(", ")
    ))?;
    if let Some(port) = server.front.https_port {
        ctx.screen.say(&front_door(&server.front, port));
    }
    for address in &server.front.containers {
        ctx.screen
            .say(&format!("  front door for containers on https://{address}"));
    }
    if let Some(problem) = &server.front.problem {
        ctx.screen
            .say(&format!("  front door is not whole: {problem}"));
    }
    ctx.screen.say(&format!(
        "  process {}, version {}, started {}",
        server.pid,
        server.version,
        text::ago(server.started_at, now_ms())
    ));
    Ok(())
}

fn front_door(front: &FrontDescription, https_port: u16) -> String {
    let by = match front.driver {
        FrontDriver::Embedded => "",
        FrontDriver::Nginx => ", served by nginx",
    };
    let http = front.http_port.map(|port| format!(", http port {port}"));
    let http = http.unwrap_or_default();
    format!("  front door on https port {https_port}{http}{by}")
}

/// What the child said itself is the best error there is.
fn not_started(error: DetachError) -> CommandError {
    let DetachError::Ended {
        status,
        output,
        log,
    } = &error
    else {
        return error.into();
    };
    let own = output.rfind("error: ").and_then(|at| output.get(at..));
    let Some(own) = own else {
        return CommandError::from(error);
    };
    let what = "the server did not start";
    let mut told = match status.code() {
        Some(code) if code == i32::from(Kind::Configuration.exit_code()) => {
            CommandError::configuration(what)
        }
        _ => CommandError::failed(what),
    };
    for line in own.lines() {
        let line = line.trim();
        if let Some(hint) = line.strip_prefix("hint: ") {
            told = told.hint(hint);
        } else {
            let cause = line
                .strip_prefix("error: ")
                .or_else(|| line.strip_prefix("caused by: "));
            told = told.because_of(cause.unwrap_or(line));
        }
    }
    told.hint(format!("its log is `{}`", log.display()))
}
