//! The engine over its API: each method one request, named in its error.

mod error;
mod inside;
mod network;
mod others;
mod put;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use bollard::errors::Error;
use bollard::models::{
    ContainerSummary, ContainerSummaryStateEnum, EndpointSettings, EventMessage,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, EventsOptionsBuilder, ListContainersOptionsBuilder,
    LogsOptionsBuilder, RemoveContainerOptionsBuilder, StatsOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::{Stream, StreamExt as _};
use lockgate_model::EnvName;
use tokio::time::timeout;

pub(crate) use self::error::EngineError;
pub(crate) use self::inside::Exec;
pub(super) use self::put::{File, Private};
use super::address::EngineAddress;
use super::blueprint::{Blueprint, ENVIRONMENT, HOME};
use super::plan::State;

/// The oldest API that is spoken: that of Docker 20.10.
const OLDEST_API: (usize, usize) = (1, 41);
/// How long one request may take, in seconds: a container that is stopped takes its twenty.
const REQUEST_SECS: u64 = 60;
/// How long an engine may take to say who it is.
const ANSWER: Duration = Duration::from_secs(5);
/// How long somebody else's removal may take, and how often it is looked.
const GONE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_millis(100));
/// How long a container's own figures may take.
const FIGURES: Duration = Duration::from_secs(2);
/// The shortest beginning of an id that stands for it, in hex digits.
const SHORT_ID: usize = 12;
/// What happens to containers and networks and changes what has to be done.
const EVENTS: [&str; 10] = [
    "create",
    "start",
    "die",
    "stop",
    "destroy",
    "rename",
    "pause",
    "unpause",
    "connect",
    "disconnect",
];

/// An engine that answered.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    docker: Docker,
    address: EngineAddress,
    /// Podman's log drivers are others.
    rotates_logs: bool,
    /// What it is, and its version: `Docker 20.10.24`.
    name: String,
}

/// A container in the engine's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its id.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
    /// The image it was made from, as it was named.
    pub(crate) image: String,
    /// That image's own id.
    pub(crate) image_id: Option<String>,
    /// Its labels.
    pub(crate) labels: HashMap<String, String>,
    /// What it does.
    pub(super) state: State,
    /// The code it ended with, where it ended.
    pub(super) exit_code: Option<i64>,
    /// Whose network it has: `host`, `container:ID`, or the name of its first one.
    pub(super) network_mode: String,
    /// The networks in which it has an address, by name.
    pub(super) networks: BTreeMap<String, Attached>,
}

/// A container in a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attached {
    /// The network's id.
    pub(super) id: String,
    /// The container's address in it.
    pub(super) address: IpAddr,
}

impl Listed {
    /// Its address in a network that is named by its name, its id, or the beginning of that.
    pub(super) fn address_in(&self, network: &str) -> Option<IpAddr> {
        let by_id = |it: &&Attached| network.len() >= SHORT_ID && it.id.starts_with(network);
        let by_name = self.networks.get(network);
        let found = by_name.or_else(|| self.networks.values().find(by_id))?;
        Some(found.address)
    }
}

/// Something that happened to a container or a network.
#[derive(Debug)]
pub(super) struct Happened {
    /// Which.
    pub(super) id: String,
    /// The code, where its process ended.
    pub(super) exit_code: Option<i64>,
}

impl Engine {
    /// Asks the engine who it is.
    pub(crate) async fn connect(address: &EngineAddress) -> Result<Self, EngineError> {
        let away = |source| EngineError::Away {
            address: address.clone(),
            source,
        };
        let text = address.to_string();
        let docker = match address {
            EngineAddress::Socket(_) => {
                Docker::connect_with_unix(&text, REQUEST_SECS, API_DEFAULT_VERSION)
            }
            EngineAddress::Tcp(_) => {
                Docker::connect_with_http(&text, REQUEST_SECS, API_DEFAULT_VERSION)
            }
        };
        let introduced = async {
            let docker = docker?.negotiate_version().await?;
            let version = docker.version().await?;
            Ok((docker, version))
        };
        let (docker, version) = timeout(ANSWER, introduced)
            .await
            .map_err(|_| EngineError::Silent {
                address: address.clone(),
            })?
            .map_err(away)?;
        let spoken = docker.client_version();
        if (spoken.major_version, spoken.minor_version) < OLDEST_API {
            return Err(EngineError::TooOld {
                address: address.clone(),
                api: spoken.to_string(),
            });
        }
        let components = version.components.unwrap_or_default();
        let is_podman = components.iter().any(|one| one.name.contains("Podman"));
        let kind = if is_podman { "Podman" } else { "Docker" };
        let version = version.version.unwrap_or_default();
        Ok(Self {
            docker,
            address: address.clone(),
            rotates_logs: !is_podman,
            name: format!("{kind} {version}").trim_end().to_owned(),
        })
    }

    /// Where it is, what it is, and which API is spoken.
    pub(crate) fn described(&self) -> String {
        let (address, name, api) = (&self.address, &self.name, self.docker.client_version());
        format!("{address}: {name}, API {api}")
    }

    /// Where it was asked.
    pub(crate) fn address(&self) -> &EngineAddress {
        &self.address
    }

    /// The API itself, for what is not about gateways: images.
    pub(crate) fn api(&self) -> &Docker {
        &self.docker
    }

    /// What is to be said when it tells nothing any more.
    pub(super) fn closed(&self) -> EngineError {
        EngineError::Closed {
            address: self.address.clone(),
        }
    }

    fn refused(&self, act: impl Into<String>) -> impl FnOnce(Error) -> EngineError {
        let (address, act) = (self.address.clone(), act.into());
        |source| EngineError::Refused {
            address,
            act,
            source,
        }
    }

    /// The containers of an environment of a home, also those that do not run.
    pub(crate) async fn containers_of(
        &self,
        home: &str,
        env: &EnvName,
    ) -> Result<Vec<Listed>, EngineError> {
        let ours = self.containers(Some(&format!("{HOME}={home}"))).await?;
        let is_its = |one: &Listed| {
            let name = one.labels.get(ENVIRONMENT);
            name.is_some_and(|name| name == env.as_str())
        };
        Ok(ours.into_iter().filter(is_its).collect())
    }

    /// All containers, also those that do not run; of one home where one is named.
    pub(crate) async fn containers(&self, label: Option<&str>) -> Result<Vec<Listed>, EngineError> {
        let options = ListContainersOptionsBuilder::default().all(true);
        let options = match label {
            Some(label) => options.filters(&HashMap::from([("label", vec![label])])),
            None => options,
        };
        let all = self.docker.list_containers(Some(options.build())).await;
        let all = all.map_err(self.refused("list its containers"))?;
        Ok(all.into_iter().filter_map(listed).collect())
    }

    /// What happens to containers and networks from now on.
    pub(super) fn events(
        &self,
    ) -> impl Stream<Item = Result<Happened, EngineError>> + Send + use<> {
        let types = vec!["container", "network"];
        let filters = HashMap::from([("type", types), ("event", EVENTS.to_vec())]);
        let options = EventsOptionsBuilder::default().filters(&filters).build();
        let address = self.address.clone();
        self.docker.events(Some(options)).map(move |event| {
            event.map(happened).map_err(|source| EngineError::Refused {
                address: address.clone(),
                act: "go on telling what happens".to_owned(),
                source,
            })
        })
    }

    /// The id of the image of this name, where there is one.
    pub(crate) async fn image_id(&self, image: &str) -> Result<Option<String>, EngineError> {
        match self.docker.inspect_image(image).await {
            Ok(found) => Ok(found.id),
            Err(Error::DockerResponseServerError {
                status_code: 404, ..
            }) => Ok(None),
            Err(error) => Err(self.refused(format!("show the image `{image}`"))(error)),
        }
    }

    /// The host's address in a network.
    pub(crate) async fn gateway_of(&self, network: &str) -> Result<IpAddr, EngineError> {
        let found = self.docker.inspect_network(network, None).await;
        let found = found.map_err(self.refused(format!("show the network `{network}`")))?;
        let address = network::gateway(&found);
        address.ok_or_else(|| EngineError::NoGateway {
            address: self.address.clone(),
            network: network.to_owned(),
        })
    }

    /// Makes a container and gives its id; it is not started.
    pub(super) async fn create(&self, blueprint: &Blueprint) -> Result<String, EngineError> {
        let (name, image) = (blueprint.gateway().as_str(), blueprint.image());
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let body = blueprint.body(self.rotates_logs);
        let created = self.docker.create_container(Some(options), body).await;
        let act = format!("create the container `{name}` from `{image}`");
        Ok(created.map_err(self.refused(act))?.id)
    }

    /// Starts a container.
    pub(crate) async fn start(&self, id: &str, name: &str) -> Result<(), EngineError> {
        let started = self.docker.start_container(id, None).await;
        started.map_err(self.refused(format!("start the container `{name}`")))
    }

    /// Stops a container in the time that it was made with; one that is gone or stopped is.
    pub(crate) async fn stop(&self, id: &str, name: &str) -> Result<(), EngineError> {
        let stopped = self.docker.stop_container(id, None).await;
        gone_is_done(stopped).map_err(self.refused(format!("stop the container `{name}`")))
    }

    /// Removes a container, after it had the time to stop.
    pub(crate) async fn remove(&self, id: &str, name: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        self.stop(id, name).await?;
        let removed = self.docker.remove_container(id, Some(options)).await;
        let removed =
            gone_is_done(removed).map_err(self.refused(format!("remove the container `{name}`")));
        match removed {
            // Somebody else is at it.
            Err(error) if error.is_conflict() && self.goes(id).await => Ok(()),
            removed => removed,
        }
    }

    /// Waits until a container that is being removed is gone; false where that takes too long.
    async fn goes(&self, id: &str) -> bool {
        let gone = async {
            while self.started(id).await.is_ok() {
                tokio::time::sleep(GONE.1).await;
            }
        };
        timeout(GONE.0, gone).await.is_ok()
    }

    /// The last lines that a container's first process wrote to its standard error.
    pub(super) async fn last_errors(&self, id: &str, lines: usize) -> Result<String, EngineError> {
        let options = LogsOptionsBuilder::default()
            .stderr(true)
            .tail(&lines.to_string())
            .build();
        let mut log = self.docker.logs(id, Some(options));
        let mut text = Vec::new();
        while let Some(part) = log.next().await {
            let part = part.map_err(self.refused("show a container's log"))?;
            text.extend_from_slice(&part.into_bytes());
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// When a container was started, UNIX milliseconds.
    pub(super) async fn started(&self, id: &str) -> Result<Option<u64>, EngineError> {
        let found = self.docker.inspect_container(id, None).await;
        let found = found.map_err(self.refused("show a container"))?;
        let text = found.state.and_then(|state| state.started_at);
        Ok(text.as_deref().and_then(unix_ms))
    }

    /// The memory that a container uses, without what the kernel would give up for others.
    pub(crate) async fn memory(&self, id: &str) -> Option<u64> {
        let options = StatsOptionsBuilder::default()
            .stream(false)
            .one_shot(true)
            .build();
        let mut figures = Box::pin(self.docker.stats(id, Some(options)));
        let first = timeout(FIGURES, figures.next()).await.ok()??.ok()?;
        let memory = first.memory_stats?;
        let detail = memory.stats.unwrap_or_default();
        let cache = detail
            .get("total_inactive_file")
            .or(detail.get("inactive_file"));
        Some(memory.usage?.saturating_sub(cache.copied().unwrap_or(0)))
    }
}

/// "It is gone" (404) and "it did not run" (304, which is no error here) are what was wanted.
fn gone_is_done(done: Result<(), Error>) -> Result<(), Error> {
    match done {
        Err(Error::DockerResponseServerError {
            status_code: 404 | 304,
            ..
        }) => Ok(()),
        done => done,
    }
}

fn listed(summary: ContainerSummary) -> Option<Listed> {
    let state = match summary.state? {
        ContainerSummaryStateEnum::RUNNING | ContainerSummaryStateEnum::STOPPING => State::Running,
        ContainerSummaryStateEnum::PAUSED => State::Paused,
        ContainerSummaryStateEnum::RESTARTING => State::Restarting,
        ContainerSummaryStateEnum::EXITED => State::Exited,
        ContainerSummaryStateEnum::REMOVING => State::Removing,
        ContainerSummaryStateEnum::DEAD => State::Dead,
        ContainerSummaryStateEnum::CREATED | ContainerSummaryStateEnum::EMPTY => State::Created,
    };
    // A link gives a container names below another one's.
    let own = |name: &String| name.trim_start_matches('/').split('/').count() == 1;
    let names = summary.names.unwrap_or_default();
    let name = names.iter().find(|name| own(name))?;
    let networks = summary.network_settings.and_then(|it| it.networks);
    let attached = |(name, it): (String, EndpointSettings)| {
        let address = it.ip_address?.parse().ok()?;
        let id = it.network_id.unwrap_or_default();
        Some((name, Attached { id, address }))
    };
    let host_config = summary.host_config.unwrap_or_default();
    Some(Listed {
        id: summary.id?,
        name: name.trim_start_matches('/').to_owned(),
        image: summary.image.unwrap_or_default(),
        image_id: summary.image_id,
        labels: summary.labels.unwrap_or_default(),
        exit_code: summary.status.as_deref().and_then(exit_code),
        state,
        network_mode: host_config.network_mode.unwrap_or_default(),
        networks: networks
            .into_iter()
            .flatten()
            .filter_map(attached)
            .collect(),
    })
}

/// The code in an engine's words: `Exited (78) 2 minutes ago`, `Restarting (1) 1 second ago`.
fn exit_code(status: &str) -> Option<i64> {
    let (word, rest) = status.split_once(" (")?;
    let ended = word == "Exited" || word == "Restarting";
    let (code, _) = rest.split_once(')').filter(|_| ended)?;
    code.parse().ok()
}

fn happened(event: EventMessage) -> Happened {
    let actor = event.actor.unwrap_or_default();
    let attributes = actor.attributes.unwrap_or_default();
    let code = attributes
        .get("exitCode")
        .or_else(|| attributes.get("containerExitCode"));
    let died = event
        .action
        .as_deref()
        .is_some_and(|it| it.starts_with("die"));
    Happened {
        id: actor.id.unwrap_or_default(),
        exit_code: code.filter(|_| died).and_then(|code| code.parse().ok()),
    }
}

/// A moment as the engine writes it: `2026-11-28T03:15:50.123456789Z`.
fn unix_ms(text: &str) -> Option<u64> {
    let moment = humantime::parse_rfc3339(text).ok()?;
    let since = moment.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_from_the_engines_words() {
        let check = |text, expected| assert_eq!(exit_code(text), expected, "{text}");
        check("Exited (78) 2 minutes ago", Some(78));
        check("Restarting (1) Less than a second ago", Some(1));
        check("Exited (0) 3 weeks ago", Some(0));
        check("Up 2 minutes (healthy)", None);
        check("Up 5 seconds", None);
        check("Created", None);
    }

    #[test]
    fn moments_are_read_to_the_millisecond() {
        assert_eq!(
            unix_ms("2027-01-15T08:00:00.123456789Z"),
            Some(1_800_000_000_123)
        );
        assert_eq!(unix_ms("0001-01-01T00:00:00Z"), None);
    }

    #[tokio::test]
    async fn an_engine_that_is_away_is_named_with_its_address() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let address = EngineAddress::Socket(socket.clone());
        let told = Engine::connect(&address).await.unwrap_err().in_one_line();
        let expected = format!("no engine answers at `unix://{}`", socket.display());
        assert!(told.starts_with(&expected), "{told}");
        // The file of one that is gone.
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let told = Engine::connect(&address).await.unwrap_err().in_one_line();
        assert!(
            told.starts_with(&expected) && told.contains("refused"),
            "{told}"
        );
    }
}
