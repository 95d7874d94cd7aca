//! The control socket: what the server of a home can be asked by its owner.

use std::time::Duration;

use lockgate_model::{EnvName, GatewayName, Report};
use serde::{Deserialize, Serialize};

use super::ServerDescription;
use crate::home::Home;

/// Asks a home's server.
#[derive(Debug, Clone)]
pub(crate) struct ControlClient {}

/// Why the server gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    #[error("stub")]
    Stub,
}

/// All gateways of an environment at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct GatewaysView {
    /// Differs whenever anything below may differ; pass it as `after`.
    pub(crate) version: u64,
    /// The gateways, by number.
    pub(crate) gateways: Vec<GatewayView>,
}

/// One gateway as the server sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct GatewayView {
    /// Its name.
    pub(crate) name: GatewayName,
    /// The HTTP port on the host.
    pub(crate) http_port: u16,
    /// The OpenVPN port on the host, UDP.
    pub(crate) vpn_port: u16,
    /// Whether it shall run.
    pub(crate) enabled: bool,
    /// Its agent's process, where the server started it and it runs.
    pub(crate) agent_pid: Option<u32>,
    /// Why the agent does not run, as in `exited with code 78: …`.
    pub(crate) agent_problem: Option<String>,
    /// UNIX milliseconds of its last request to the build server.
    pub(crate) last_contact: Option<u64>,
    /// Its own account, since the server started.
    pub(crate) report: Option<Report>,
}

impl ControlClient {
    /// The client for a home, whether or not a server runs.
    pub(crate) fn new(home: &Home) -> Self {
        todo!()
    }
    /// The server of a home if one answers, else `None`.
    pub(crate) async fn connect(home: &Home) -> Option<(Self, ServerDescription)> {
        todo!()
    }
    /// `GET /v1/server`.
    pub(crate) async fn server(&self) -> Result<ServerDescription, ControlError> {
        todo!()
    }
    /// `POST /v1/stop`: answered when it is on its way; the socket is gone when it has ended.
    pub(crate) async fn stop(&self) -> Result<(), ControlError> {
        todo!()
    }
    /// `POST /v1/environments/{env}/changed`: wakes agents, starts and ends gateways; answered when
    /// those that are not wanted have ended. Cheap where nothing has to end.
    pub(crate) async fn changed(&self, env: &EnvName) -> Result<(), ControlError> {
        todo!()
    }
    /// `GET /v1/environments/{env}/gateways`: at once when the version is not `after`, else when it
    /// changes or `wait` is over (then the same version comes back).
    pub(crate) async fn gateways(
        &self,
        env: &EnvName,
        after: Option<u64>,
        wait: Duration,
    ) -> Result<GatewaysView, ControlError> {
        todo!()
    }
}
