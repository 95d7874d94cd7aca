//! The one server of a home: build server, control socket, gateways of the local runtime.

pub(crate) mod control;
pub(crate) mod detach;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::home::Home;

/// How a server is started.
#[derive(Debug, Clone)]
pub(crate) struct ServeOptions {
    /// The home it serves.
    pub(crate) home: Home,
    /// The loopback listener's port; 0 takes a free one.
    pub(crate) port: u16,
    /// More addresses, such as the bridge's.
    pub(crate) listen: Vec<SocketAddr>,
    /// The agent program.
    pub(crate) agent: PathBuf,
    /// What agents inherit.
    pub(crate) child_environment: Vec<(String, OsString)>,
}

/// A server as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// When it started, UNIX milliseconds.
    pub(crate) started_at: u64,
}

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// A server of this home runs already.
    #[error("a server of `{home}` runs already", home = home.display())]
    AlreadyRuns {
        /// The home.
        home: PathBuf,
        /// Its process, when it could be told.
        pid: Option<u32>,
    },
}

impl ServeOptions {
    /// The options that the configuration gives; `--listen` is added by the caller.
    pub(crate) fn from_config(config: &Config) -> Self {
        todo!()
    }
}

/// A server that runs in this process.
#[derive(Debug)]
pub(crate) struct RunningServer {}

/// Starts the server: takes the home's lock, binds, starts the gateways of all local environments.
pub(crate) async fn start(options: ServeOptions) -> Result<RunningServer, ServerError> {
    todo!()
}

impl RunningServer {
    /// What it says of itself.
    pub(crate) fn description(&self) -> &ServerDescription {
        todo!()
    }
    /// Waits until somebody asks it to stop (`POST /v1/stop`).
    pub(crate) async fn asked_to_stop(&self) {
        todo!()
    }
    /// Ends gateways and listeners, in this order, and returns when they are gone.
    pub(crate) async fn stop(self) {
        todo!()
    }
}
