//! The one server of a home: build server, control socket, gateways.
//!
//! ```text
//! 127.0.0.1:8090  agents, curl ─▶ BuildServer ─┬─ Notice ◀── control socket ◀─ deploy, status, …
//!                                              └─ Reports ─▶       │
//!                                                         runtime ◀┘ reconcile
//! ```
//!
//! One flock over the home decides who serves it. Everything stops in this order: gateways of the
//! local runtime (their last reports still arrive; containers go on), services, then listeners.

mod api;
pub(crate) mod bridge;
pub(crate) mod control;
pub(crate) mod detach;
pub(crate) mod front;
mod gateways;
pub(crate) mod listen;
mod organizations;
mod services;

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lockgate_builds::serve::{BuildServer, Notice, Reach, Reports};
use lockgate_builds::store::{Store, StoreError};
use lockgate_model::EnvName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::bridge::Bridges;
use self::front::{Followed, Found, Front, FrontDescription, FrontDriver, FrontPorts, NginxError};
use self::gateways::Gateways;
use self::listen::ListenError;
use self::services::Services;
use crate::config::Config;
use crate::context::now_ms;
use crate::environment::lock::{self, Holder};
use crate::environment::{Environment, EnvironmentError};
use crate::home::{Home, HomeError};
use crate::runtime::docker::DockerRuntime;
use crate::runtime::docker::address::{AddressError, EngineAddress};
use crate::runtime::local::{LocalRuntime, Program};
use crate::runtime::{Runtime, Runtimes};

/// This program in headers: `lockgate/0.1.0`.
pub(crate) const PROGRAM: &str = concat!("lockgate/", env!("CARGO_PKG_VERSION"));

/// How a server is started.
#[derive(Debug, Clone)]
pub(crate) struct ServeOptions {
    /// The home it serves.
    pub(crate) home: Home,
    /// The loopback listener's port; 0 takes a free one.
    pub(crate) port: u16,
    /// More addresses, such as the bridge's.
    pub(crate) listen: Vec<SocketAddr>,
    /// The front door's ports.
    pub(crate) front: FrontPorts,
    /// Who serves it.
    pub(crate) front_driver: FrontDriver,
    /// Who runs it, `user@host`: stands in the authority's name.
    pub(crate) caller: String,
    /// Environments whose current archive needs no token on any listener.
    pub(crate) allow_plain: Vec<EnvName>,
    /// The agent program.
    pub(crate) agent: PathBuf,
    /// What agents inherit.
    pub(crate) child_environment: Vec<(String, OsString)>,
    /// Where the container engine is asked.
    pub(crate) engine: Result<EngineAddress, AddressError>,
    /// The engine's host, where somebody says so.
    pub(crate) host_ip: Option<IpAddr>,
}

/// A server as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ServerDescription {
    /// Its process.
    pub(crate) pid: u32,
    /// Its version.
    pub(crate) version: String,
    /// The home it serves.
    pub(crate) home: PathBuf,
    /// The builds' folder.
    pub(crate) builds: PathBuf,
    /// The build server's addresses; the loopback one first.
    pub(crate) listeners: Vec<SocketAddr>,
    /// The front door.
    #[serde(default)]
    pub(crate) front: FrontDescription,
    /// When it started, UNIX milliseconds.
    pub(crate) started_at: u64,
}

impl ServerDescription {
    /// This process, which serves this home from now on.
    fn new(home: &Home, listeners: Vec<SocketAddr>, front: FrontDescription) -> Self {
        Self {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            home: home.dir().to_owned(),
            builds: home.builds().to_owned(),
            listeners,
            front,
            started_at: now_ms(),
        }
    }
}

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// A server of this home runs already.
    #[error("a server of `{home}` runs already{}", pid.map_or(String::new(), |pid| format!(" (process {pid})")))]
    AlreadyRuns {
        /// The home.
        home: PathBuf,
        /// Its process, when it could be told.
        pid: Option<u32>,
    },
    /// The home cannot be used.
    #[error("the home cannot be served")]
    Home(#[from] HomeError),
    /// The builds' folder cannot be used.
    #[error("the builds cannot be served")]
    Store(#[from] StoreError),
    /// The environments cannot be read.
    #[error("the environments cannot be read")]
    Environments(#[from] EnvironmentError),
    /// An address is not to be had.
    #[error("the build server cannot listen")]
    Listen(#[from] ListenError),
    /// nginx cannot have the front door.
    #[error("nginx cannot serve the front door")]
    Nginx(#[from] NginxError),
    /// A lock or the control socket cannot be used.
    #[error("`{path}` cannot be used")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl ServeOptions {
    /// The options that the configuration gives; the caller adds the rest.
    pub(crate) fn from_config(config: &Config) -> Self {
        Self {
            home: config.home.clone(),
            port: config.serve_port,
            listen: Vec::new(),
            front: config.front,
            front_driver: config.front_driver,
            caller: config.caller.clone(),
            allow_plain: Vec::new(),
            agent: config.agent.clone(),
            child_environment: config.child_environment.clone(),
            engine: config.engine.clone(),
            host_ip: config.host_ip,
        }
    }
}

/// A server that runs in this process.
#[derive(Debug)]
pub(crate) struct RunningServer {
    bridges: Arc<Bridges>,
    gateways: Arc<Gateways>,
    asked: CancellationToken,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    control_socket: PathBuf,
    _lock: File,
}

/// Who hands out builds; to anybody those of the environments that are opened.
fn build_server(
    store: &Store,
    reports: &Reports,
    notice: &Notice,
    opened: Vec<EnvName>,
) -> BuildServer {
    let (reports, notice) = (reports.clone(), notice.clone());
    let builds = BuildServer::new(store.clone(), reports, notice, PROGRAM.to_owned());
    opened.into_iter().fold(builds, BuildServer::allow_plain)
}

/// Starts the server: takes the home's lock, binds, starts the gateways of all local environments.
pub(crate) async fn start(options: ServeOptions) -> Result<RunningServer, ServerError> {
    let home = &options.home.clone();
    home.prepare()?;
    let lock = take_lock(home)?;
    let id = home.id()?;
    let store = Store::open(home.builds())?;
    let environments = Environment::names(home)?;
    let (addresses, listeners) = bind_all(&options)?;
    let front = Front::bind(options.front.https, options.front.http)?.by_nginx(nginx(&options)?);
    let control_socket = home.control_socket();
    let control = bind_control(&control_socket)?;

    let description = ServerDescription::new(home, addresses, front.description());
    let (reports, notice) = (Reports::default(), Notice::default());
    let (asked, stop) = (CancellationToken::new(), CancellationToken::new());
    let mut tasks = JoinSet::new();
    let builds = Arc::new(build_server(&store, &reports, &notice, options.allow_plain));
    let near = (front.near(&stop), home.trusted_file());
    let bridges = Bridges::new(Arc::clone(&builds), description, near, stop.clone());
    let bridges = Arc::new(bridges);
    let (engine, host_ip) = (options.engine, options.host_ip);
    let program = Arc::new(Program {
        path: options.agent,
        inherited: options.child_environment,
    });
    let agent = Arc::clone(&program);
    let services = Services::new(home, &program);
    let runtimes = Runtimes {
        local: Runtime::Local(LocalRuntime::new(program)),
        docker: Runtime::Docker(DockerRuntime::new(engine, host_ip, id, bridges.clone())),
    };
    let kept = (runtimes, services);
    let gateways = Gateways::new(home.clone(), kept, reports, notice, &bridges);
    let gateways = Arc::new(gateways);
    serve_builds(&builds, listeners, (&asked, &stop), &mut tasks);
    let known = gateways.clone();
    let api = api::router(bridges.clone(), known, asked.clone(), stop.clone());
    tasks.spawn(api::serve(control, api, stop.clone()));
    let followed = Followed {
        caller: options.caller,
        gateways: gateways.clone(),
        store,
        bridges: bridges.clone(),
        agent,
    };
    // Before anything is started that trusts what the front door shows.
    front.serve(followed, &stop, &mut tasks);
    for env in &environments {
        gateways.reconcile(env).await;
    }
    let listeners = bridges.description().listeners;
    tracing::info!(?listeners, home = %home.dir().display(), "server started");
    Ok(RunningServer {
        bridges,
        gateways,
        asked,
        stop,
        tasks,
        control_socket,
        _lock: lock,
    })
}

impl RunningServer {
    /// What it says of itself.
    pub(crate) fn description(&self) -> ServerDescription {
        self.bridges.description()
    }

    /// Waits until somebody asks it to stop (`POST /v1/stop`), or a listener broke, which is logged.
    pub(crate) async fn asked_to_stop(&self) {
        self.asked.cancelled().await;
    }

    /// Ends gateways and listeners, in this order, and returns when they are gone.
    pub(crate) async fn stop(mut self) {
        tracing::info!("server stops");
        self.gateways.end().await;
        self.stop.cancel();
        self.bridges.ended().await;
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "listener did not end as it should");
            }
        }
        if let Err(error) = fs::remove_file(&self.control_socket) {
            tracing::warn!(path = %self.control_socket.display(), %error, "control socket stays");
        }
        tracing::info!("server stopped");
    }
}

/// The lock of the home's one server; kept until the server's end, also when that is a KILL.
fn take_lock(home: &Home) -> Result<File, ServerError> {
    let path = home.server_lock();
    let me = Holder {
        pid: std::process::id(),
        since: now_ms(),
        what: "serve".to_owned(),
    };
    match lock::take(&path, &me) {
        Ok(Ok(file)) => Ok(file),
        Ok(Err(holder)) => Err(ServerError::AlreadyRuns {
            home: home.dir().to_owned(),
            pid: holder.map(|holder| holder.pid),
        }),
        Err(source) => Err(ServerError::File { path, source }),
    }
}

/// Serves builds on these listeners until `stop`; `asked` is cancelled where one of them breaks.
fn serve_builds(
    builds: &Arc<BuildServer>,
    listeners: Listeners,
    (asked, stop): (&CancellationToken, &CancellationToken),
    tasks: &mut JoinSet<()>,
) {
    for (listener, reach) in listeners {
        let serve = Arc::clone(builds).serve(listener, reach, stop.clone());
        let asked = asked.clone();
        tasks.spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "build server ended");
                asked.cancel();
            }
        });
    }
}

/// nginx, where it shall serve the front door.
fn nginx(options: &ServeOptions) -> Result<Option<Found>, NginxError> {
    match options.front_driver {
        FrontDriver::Embedded => Ok(None),
        FrontDriver::Nginx => {
            let mut all = options.child_environment.iter();
            let path = all.find(|(name, _)| name == "PATH");
            let path = path.map(|(_, path)| path.to_string_lossy());
            Found::look(&options.home, &path.unwrap_or_default()).map(Some)
        }
    }
}

type Listeners = Vec<(TcpListener, Reach)>;

/// Binds the loopback address and all others, or none.
fn bind_all(options: &ServeOptions) -> Result<(Vec<SocketAddr>, Listeners), ServerError> {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let mut addresses = Vec::new();
    let mut listeners = Vec::new();
    for wanted in std::iter::once(&loopback).chain(&options.listen) {
        if wanted.ip().is_unspecified() {
            tracing::warn!(address = %wanted, "the build server is open to every network of this machine");
        }
        let (listener, address) = listen::bind(*wanted)?;
        let reach = if address.ip().is_loopback() {
            Reach::Loopback
        } else {
            Reach::Bridge
        };
        addresses.push(address);
        listeners.push((listener, reach));
    }
    Ok((addresses, listeners))
}

/// Binds the control socket. Whatever lies there is of a server that ended: the lock says so.
fn bind_control(path: &Path) -> Result<UnixListener, ServerError> {
    let wrap = |source| ServerError::File {
        path: path.to_owned(),
        source,
    };
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wrap(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(wrap)?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(wrap)?;
    Ok(listener)
}

#[cfg(test)]
mod tests;
