//! The control socket from the asking side: what the server of a home can be told by its owner.

use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use lockgate_builds::client::{Client, ClientError, Endpoint};
use lockgate_model::{
    EnvName, GatewayName, LONGEST_STOP, NotAnswering, Report, ServiceName, ServiceReport,
};
use serde::{Deserialize, Serialize};

use super::{PROGRAM, ServerDescription};
use crate::home::Home;
use crate::runtime::{Container, Reach};

/// How long the server may take for what needs no waiting.
const AT_ONCE: Duration = Duration::from_secs(5);
/// How long `changed` may take: an agent's longest way to its end, and a margin.
const GATEWAYS_END: Duration = Duration::from_secs(40);
/// What is added to a blocking query's own time.
const MARGIN: Duration = Duration::from_secs(5);

/// Asks a home's server.
#[derive(Debug, Clone)]
pub(crate) struct ControlClient {
    client: Client,
    socket: PathBuf,
    home: Home,
}

/// Why the server gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("the server at `{socket}` gave no usable answer")]
pub(crate) struct ControlError {
    /// Its control socket.
    pub(crate) socket: PathBuf,
    /// The cause.
    #[source]
    pub(crate) source: ClientError,
}

/// All gateways of an environment at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct GatewaysView {
    /// Differs whenever anything below may differ; pass it as `after`.
    pub(crate) version: u64,
    /// The gateways, by number.
    pub(crate) gateways: Vec<GatewayView>,
    /// The services, by name.
    #[serde(default)]
    pub(crate) services: Vec<ServiceView>,
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
    /// Whether that stays so until somebody does something about it.
    #[serde(default)]
    pub(crate) agent_stuck: bool,
    /// Its container, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) container: Option<Container>,
    /// Where the server reaches its door.
    #[serde(default)]
    pub(crate) reach: Reach,
    /// UNIX milliseconds of its last request to the build server.
    pub(crate) last_contact: Option<u64>,
    /// Its own account, since the server started.
    pub(crate) report: Option<Report>,
}

/// One service as the server sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ServiceView {
    /// Its name.
    pub(crate) name: ServiceName,
    /// Whether it shall run.
    pub(crate) enabled: bool,
    /// Its log.
    pub(crate) log: PathBuf,
    /// Its keeper's process, while it runs.
    pub(crate) agent_pid: Option<u32>,
    /// Why the keeper does not run.
    pub(crate) agent_problem: Option<String>,
    /// The keeper's account.
    pub(crate) report: Option<ServiceReport>,
}

impl ServiceView {
    /// That it runs and has stopped answering.
    pub(crate) fn not_answering(&self) -> Option<&NotAnswering> {
        self.report.as_ref()?.not_answering.as_ref()
    }

    /// What went wrong last and is being tried again.
    pub(crate) fn problem(&self) -> Option<&String> {
        let report = self.report.as_ref();
        self.agent_problem
            .as_ref()
            .or_else(|| report?.problem.as_ref())
    }
}

impl ControlError {
    /// Whether there is no server at all.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.source.is_unreachable()
    }
}

/// An answer without content; what later servers add to it is ignored.
#[derive(Deserialize)]
struct Done {}

impl ControlClient {
    /// The client for a home, whether or not a server runs.
    pub(crate) fn new(home: &Home) -> Self {
        let socket = home.control_socket();
        Self {
            client: Client {
                endpoint: Endpoint::Unix(socket.clone()),
                program: PROGRAM.to_owned(),
                token: None,
            },
            socket,
            home: home.clone(),
        }
    }

    /// The server of a home if one answers, else `None`.
    pub(crate) async fn connect(home: &Home) -> Option<(Self, ServerDescription)> {
        let client = Self::new(home);
        match client.server().await {
            Ok(description) => Some((client, description)),
            Err(error) => {
                tracing::debug!(socket = %error.socket.display(), cause = %error.source, "no server");
                None
            }
        }
    }

    /// `GET /v1/server`.
    pub(crate) async fn server(&self) -> Result<ServerDescription, ControlError> {
        self.wrap(self.client.get_json("/v1/server", AT_ONCE).await)
    }

    /// `POST /v1/stop`: answered when it is on its way; `detach::stop` also waits for the end.
    pub(crate) async fn stop(&self) -> Result<(), ControlError> {
        self.post("/v1/stop", AT_ONCE).await
    }

    /// `POST /v1/environments/{env}/changed`: wakes agents, starts and ends gateways; answered when
    /// those that are not wanted have ended. Quick where nothing has to end.
    pub(crate) async fn changed(&self, env: &EnvName) -> Result<(), ControlError> {
        let path = format!("/v1/environments/{env}/changed");
        self.post(&path, self.longest_end(env)).await
    }

    /// `POST /v1/environments/{env}/start`: as `changed`, and gateways that were given up are tried again.
    pub(crate) async fn start(
        &self,
        env: &EnvName,
        gateway: Option<u32>,
    ) -> Result<(), ControlError> {
        let which = gateway.map_or_else(String::new, |number| format!("?gateway={number}"));
        let path = format!("/v1/environments/{env}/start{which}");
        self.post(&path, self.longest_end(env)).await
    }

    /// How long it may take until what is not wanted has ended. A service that is described
    /// otherwise by now may still take as long as was said before.
    fn longest_end(&self, env: &EnvName) -> Duration {
        if self.home.services_dir(env).exists() {
            GATEWAYS_END + LONGEST_STOP
        } else {
            GATEWAYS_END
        }
    }

    /// `GET /v1/environments/{env}/gateways`: at once when the version is not `after`, else when it
    /// changes or `wait` (in whole seconds, at most 55) is over; then the same version comes back.
    pub(crate) async fn gateways(
        &self,
        env: &EnvName,
        after: Option<u64>,
        wait: Duration,
    ) -> Result<GatewaysView, ControlError> {
        let after = after.map_or_else(String::new, |version| format!("after={version}&"));
        let path = format!(
            "/v1/environments/{env}/gateways?{after}wait={}",
            wait.as_secs()
        );
        self.wrap(self.client.get_json(&path, wait + MARGIN).await)
    }

    async fn post(&self, path: &str, within: Duration) -> Result<(), ControlError> {
        let nothing = serde_json::Map::new();
        let answer = self
            .client
            .send_json::<Done, _>(Method::POST, path, &nothing, within)
            .await;
        self.wrap(answer).map(|Done {}| ())
    }

    fn wrap<T>(&self, answer: Result<T, ClientError>) -> Result<T, ControlError> {
        answer.map_err(|source| ControlError {
            socket: self.socket.clone(),
            source,
        })
    }
}
