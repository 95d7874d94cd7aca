//! `lockgate-agent run`: puts the parts together, and takes them apart in order.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Args;
use lockgate_builds::fetch::sweep;
use lockgate_model::GatewayName;
use lockgate_route::Place;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::asking::runtime;
use super::signals::{Asked, Askers};
use crate::config::{self, Config};
use crate::control::{self, Control, Listening};
use crate::converge::{self, Asker, Converging, Means, Remembered};
use crate::door::{Door, Driver, Opening, Taken};
use crate::error::{CommandError, in_one_line};
use crate::hosts::Hosts;
use crate::logs::OwnLog;
use crate::report::{Reporting, Us, tell};
use crate::state::State;
use crate::supervisor::{Handle, Kind, Supervisor, SupervisorConfig, Swap};
use crate::vpn::{Facts, Vpn};
use crate::{arenas, door, open_files, release, shims, vpn};

/// Run this gateway: the entrypoint of its container
///
/// Everything is told by environment variables: ENV_NAME, GATEWAY_HTTP_PORT,
/// GATEWAY_VPN_PORT, GATEWAY_ID, GATEWAY_TOKEN, GANYMEDE_FQDN, DOMAIN, LOCKGATE_KEY
/// and LOCKGATE_TOKEN_FILE are required. TERM, INT and QUIT end it in good order, HUP
/// reloads, USR1, USR2, WINCH, ALRM, CONT and the like go to the application's own
/// process. Where its terminal has hung up, HUP ends it.
#[derive(Debug, Args)]
#[expect(
    clippy::doc_markdown,
    reason = "the text is shown as help, as it stands"
)]
pub(crate) struct RunArgs {
    /// End when stdin ends: whoever holds its other end is gone then
    #[arg(long)]
    stop_on_stdin_eof: bool,
    /// Leave the application's log out of stdout
    #[arg(long)]
    quiet: bool,
}

/// How long the last words to server and clients may take after the application's end.
const FAREWELL: Duration = Duration::from_secs(2);

pub(crate) fn run(args: &RunArgs) -> Result<(), CommandError> {
    arenas::keep_to_one();
    let log = start_log()
        .map_err(|error| CommandError::failed("cannot write to stderr").because(&error))?;
    let done = run_configured(args);
    log.flush();
    done
}

fn run_configured(args: &RunArgs) -> Result<(), CommandError> {
    let config = config::load().map_err(|problems| {
        let count = problems.len();
        let these = if count == 1 { "problem" } else { "problems" };
        problems
            .iter()
            .fold(
                CommandError::configuration(format!(
                    "this gateway's environment cannot be used: {count} {these}"
                )),
                |error, problem| error.cause(problem.to_string()),
            )
            .hint("`lockgate create` makes gateways with all of these; in a container of your own set them with `--env`")
    })?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let runtime = runtime()?;
    let done = runtime.block_on(run_until_asked_to_end(config, args));
    // A fetch that was under way ends with its connection; nobody waits for it.
    runtime.shutdown_timeout(FAREWELL);
    done
}

/// The agent's own log goes to stderr; `RUST_LOG` changes how much of it. Nobody waits
/// for whoever reads it.
pub(super) fn start_log() -> std::io::Result<OwnLog> {
    let log = OwnLog::open()?;
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing::Level::INFO.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log.clone())
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .log_internal_errors(false)
        .init();
    Ok(log)
}

/// The parts that run until they are told to end.
struct Parts {
    supervisor: Handle,
    supervising: JoinHandle<()>,
    converging: Converging,
    following: JoinHandle<()>,
    /// Loop, control socket: ended before the application is.
    ending_first: CancellationToken,
    /// The door: stops accepting while the application finishes its requests.
    door: JoinHandle<()>,
    /// The VPN: ends when the application has.
    vpn: JoinHandle<()>,
    /// Reports what happens until the very end.
    teller: JoinHandle<()>,
    ending_last: CancellationToken,
    socket: PathBuf,
}

async fn run_until_asked_to_end(config: Config, args: &RunArgs) -> Result<(), CommandError> {
    let mut askers = Askers::listen(args.stop_on_stdin_eof)
        .map_err(|error| CommandError::failed("cannot listen to signals").because(&error))?;
    let mut parts = start(config, args).await?;
    let failed = loop {
        tokio::select! {
            asked = askers.next() => match asked {
                Asked::Reload => {
                    info!("reload asked by HUP");
                    let converging = parts.converging.clone();
                    tokio::spawn(async move { converging.reload().await });
                }
                Asked::Forward(signal) => parts.supervisor.forward(signal).await,
                Asked::End(signal) => {
                    info!(signal, "ending");
                    break None;
                }
                Asked::TerminalGone => {
                    info!("the terminal has hung up: ending");
                    break None;
                }
                Asked::ParentGone => {
                    info!("stdin has ended: ending");
                    break None;
                }
            },
            // Whoever started the agent starts it again; half of it is no gateway.
            _ = &mut parts.supervising => break Some("the supervisor"),
            _ = &mut parts.following => break Some("the loop that follows the build server"),
            _ = &mut parts.door => break Some("the door"),
        }
    };
    if let Some(part) = failed {
        error!(part, "ended by itself: ending the rest");
    }
    end(parts, &mut askers).await;
    match failed {
        None => Ok(()),
        Some(part) => Err(CommandError::failed(format!("{part} ended by itself"))),
    }
}

async fn start(config: Config, args: &RunArgs) -> Result<Parts, CommandError> {
    let gateway = config.gateway.clone();
    info!(%gateway, env = %config.env(), door = %config.door, "agent starts");
    let places = take_places(&config).await?;
    let remembered = Remembered::load(&places.state, &config.key, &config.gateway);
    let hosts = names_of_the_front_door(&config, &remembered);
    let releases = places.releases;
    let place = door::prepare_place(&config).map_err(|error| cannot_start(&gateway, &error))?;
    let (state_dir, application) = (config.state(), door::likely_application(&config));
    let listening = Listening::new(&config);
    let (supervisor, supervising) = supervise(&config, args, &remembered, (&releases, &place))?;
    let (ending_first, ending_last) = (CancellationToken::new(), CancellationToken::new());
    // In this order: the VPN, of which the application reads while it loads; then the door;
    // then the application, whose start waits for the VPN.
    let (vpn, keeping_vpn) = start_vpn(&config, &remembered, &supervisor, &ending_last).await;
    let parts = door::Parts {
        gateway: gateway.clone(),
        snapshots: supervisor.watch(),
        state: places.state.clone(),
        application,
        forwarded: config.forwarded,
        stop: ending_first.clone(),
    };
    let door = open_door(&supervisor, (places.door, place, state_dir, parts)).await?;

    let asker = Asker {
        servers: config.servers,
        key: config.key,
        gateway: gateway.clone(),
        token: config.token,
    };
    let means = Means {
        asker: asker.clone(),
        releases,
        state: places.state,
        supervisor: supervisor.clone(),
        vpn: vpn.clone(),
    };
    let (converging, following) = converge::start(means, remembered, ending_first.clone());
    let us = Us::this_process(gateway.clone());
    let reporting = Reporting::new(us, converging.watch(), supervisor.watch())
        .with_door(door.problem)
        .with_hosts(hosts.problem())
        .with_vpn(vpn.watch());
    tokio::spawn(hosts.follow(converging.watch(), ending_first.clone()));
    let control = Control {
        converging: converging.clone(),
        supervisor: supervisor.clone(),
        routes: door.routes,
        reporting: reporting.clone(),
        listening,
        vpn,
    };
    tokio::spawn(answer(places.control, control, ending_first.clone()));
    Ok(Parts {
        supervisor,
        supervising,
        converging,
        following,
        ending_first,
        door: door.serving,
        vpn: keeping_vpn,
        teller: tokio::spawn(tell(reporting, asker, ending_last.clone())),
        ending_last,
        socket: config.socket,
    })
}

/// Before the application's first start: it may ask for these names while it loads.
fn names_of_the_front_door(config: &Config, remembered: &Remembered) -> Hosts {
    let servers = config.servers.clone();
    let hosts = Hosts::new(config.hosts.clone(), servers, &config.domain);
    let wanted = remembered.wanted.as_ref();
    hosts.bring(wanted.and_then(|it| it.statement.organization.as_deref()));
    hosts
}

/// Starts what runs the application.
fn supervise(
    config: &Config,
    args: &RunArgs,
    remembered: &Remembered,
    (releases, place): (&Path, &Place),
) -> Result<(Handle, JoinHandle<()>), CommandError> {
    Supervisor::start(SupervisorConfig {
        kind: Kind::Application,
        state_dir: config.state(),
        log_file: config.log_file.clone(),
        copy_to_stdout: !args.quiet,
        app_address: config.app_address,
        swap: swap(config, releases, place),
        environment: config.environment.clone(),
        authority: config.authority.clone(),
        exec_step: "/proc/self/exe".into(),
        open_files: open_files::raise(),
        good: remembered.good.as_ref().map(|good| good.target(releases)),
        refused: remembered.refused.clone(),
    })
    .map_err(|error| cannot_start(&config.gateway, &error))
}

/// Starts what keeps the VPN, and tells it what the last statement said: it comes up while
/// the door does.
async fn start_vpn(
    config: &Config,
    remembered: &Remembered,
    supervisor: &Handle,
    stop: &CancellationToken,
) -> (Vpn, JoinHandle<()>) {
    let path = config.environment.iter().find(|(name, _)| name == "PATH");
    let path = path.map(|(_, folders)| folders.to_string_lossy().into_owned());
    let facts = Facts {
        gateway: config.gateway.clone(),
        hostname: config.hostname.clone(),
        port: config.vpn_port,
        path: path.unwrap_or_default(),
        alone: config.alone,
        state_dir: config.state(),
        supervisor: supervisor.clone(),
    };
    let (vpn, keeping) = vpn::start(facts, stop.clone());
    if let Some(wanted) = &remembered.wanted {
        vpn.follow(&wanted.statement).await;
    }
    (vpn, keeping)
}

async fn answer(listener: UnixListener, control: Control, stop: CancellationToken) {
    if let Err(error) = control::serve(listener, control, stop).await {
        error!(%error, "the control socket failed");
    }
}

async fn open_door(
    supervisor: &Handle,
    (taken, place, state_dir, parts): (Taken, Place, PathBuf, door::Parts),
) -> Result<Door, CommandError> {
    let gateway = parts.gateway.clone();
    let spawner = supervisor.spawner().ok_or_else(|| {
        CommandError::failed(format!("gateway `{gateway}` cannot start"))
            .cause("the supervisor has ended")
    })?;
    let opening = Opening {
        taken,
        spawner,
        place,
        state_dir,
        parts,
    };
    let opened = door::open(opening).await;
    opened.map_err(|error| cannot_start(&gateway, &error))
}

fn cannot_start(gateway: &GatewayName, error: &(dyn std::error::Error + 'static)) -> CommandError {
    CommandError::failed(format!("gateway `{gateway}` cannot start")).because(error)
}

/// What only one agent can have.
struct Places {
    state: State,
    releases: PathBuf,
    control: UnixListener,
    door: Taken,
}

async fn take_places(config: &Config) -> Result<Places, CommandError> {
    let gateway = &config.gateway;
    let state = State::open(&config.state()).map_err(|error| cannot_start(gateway, &error))?;
    let releases = prepare_releases(config).map_err(|error| cannot_start(gateway, &error))?;
    let control = control::bind(&config.socket)
        .await
        .map_err(|error| cannot_start(gateway, &error))?;
    let door = door::take(config)?;
    Ok(Places {
        state,
        releases,
        control,
        door,
    })
}

/// Makes the folder of releases; its real path is where applications are started.
fn prepare_releases(config: &Config) -> Result<PathBuf, FolderError> {
    let make = || {
        std::fs::create_dir_all(&config.releases)?;
        config.releases.canonicalize()
    };
    let releases = make().map_err(|source| FolderError {
        path: config.releases.clone(),
        source,
    })?;
    // The state is locked and nothing runs: what lies there half done is nobody's.
    if let Err(error) = sweep(&releases) {
        warn!(why = in_one_line(&error), "leftovers stay");
    }
    Ok(releases)
}

/// A folder that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the folder of releases `{path}`")]
struct FolderError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is moved aside is named by the time at which it was found"
)]
fn swap(config: &Config, releases: &Path, place: &Place) -> Swap {
    let (root, releases) = (config.gateway_root.clone(), releases.to_owned());
    let socket = config.socket.clone();
    // Its link in /proc names the file itself, not how it was called.
    let agent = std::env::current_exe().unwrap_or_else(|_| "lockgate-agent".into());
    let nginx = (config.driver == Driver::Nginx).then(|| place.clone());
    Box::new(move |target| {
        // Before the new process can answer: its answers carry its own name.
        if let Some(Err(error)) = nginx.as_ref().map(|it| it.point_to(Some(&target.build))) {
            warn!(why = in_one_line(&error), "answers name another build");
        }
        if let Err(error) = shims::lay(&target.release, &agent, &socket) {
            warn!(%error, release = %target.release.display(), "the scripts below app/ do not lead to this agent");
        }
        release::swap(&root, &releases, &target.release, SystemTime::now())
            .map(drop)
            .map_err(std::io::Error::other)
    })
}

/// Takes the parts apart: nothing new is begun, the application ends, the last word
/// goes to the server. A second signal ends the application at once.
async fn end(mut parts: Parts, askers: &mut Askers) {
    parts.ending_first.cancel();
    parts.supervisor.shutdown().await;
    while !parts.supervising.is_finished() {
        tokio::select! {
            _ = &mut parts.supervising => break,
            asked = askers.next() => match asked {
                Asked::End(signal) => {
                    warn!(signal, "asked again: the application is killed");
                    parts.supervisor.shutdown().await;
                }
                Asked::Forward(signal) => parts.supervisor.forward(signal).await,
                Asked::ParentGone | Asked::TerminalGone | Asked::Reload => {}
            },
        }
    }
    parts.ending_last.cancel();
    let stop_door = parts.door.abort_handle();
    let farewell = async {
        let _ = parts.vpn.await;
        let _ = parts.teller.await;
        if !parts.door.is_finished() {
            let _ = parts.door.await;
        }
    };
    if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
        // What serves the door ends with the task that attends to it.
        stop_door.abort();
        warn!("some connections were cut");
    }
    let _ = std::fs::remove_file(&parts.socket);
    info!("ended");
}
