//! Where gateways run: the seam between an environment and what its gateways are made of.
//!
//! A runtime is told what is wanted and sees to it; it starts, restarts and ends agents and
//! knows nothing of builds. `local`: agents as child processes of the server, which end with it.
//! `docker`: containers, which outlive it. `services` keeps what an environment has beside its
//! gateways, whatever these are made of, and `nginx` the front door's nginx in the same way.

mod backoff;
pub(crate) mod docker;
mod keepers;
mod last_words;
pub(crate) mod local;
pub(crate) mod nginx;
pub(crate) mod services;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use lockgate_model::environment as variable;
use lockgate_model::{EnvName, GatewayName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use self::docker::DockerRuntime;
use self::local::LocalRuntime;
use crate::environment::create::TOKEN;
use crate::environment::docker::Publish;
use crate::environment::tokens::{TokensError, renew};
use crate::environment::{Environment, Gateway, RuntimeKind};
use crate::home::Home;

/// The code of an agent whose configuration cannot be used (`EX_CONFIG` of sysexits.h).
const MISCONFIGURED: i32 = 78;

/// One gateway as a runtime needs it. Two that are equal are the same running gateway.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct GatewaySpec {
    /// Its name.
    pub(crate) name: GatewayName,
    /// Its folder on the host.
    pub(crate) folder: PathBuf,
    /// Its HTTP port.
    pub(crate) http_port: u16,
    /// The variables of its agent; one of them is a secret, so this has no `Debug`.
    pub(crate) variables: Vec<(&'static str, OsString)>,
    /// What its container is made from, where it is one.
    pub(crate) container: Option<ContainerPart>,
}

/// What a container needs besides variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerPart {
    /// The image.
    pub(crate) image: String,
    /// What tells this image from one of the same name before.
    pub(crate) image_id: Option<String>,
    /// The network.
    pub(crate) network: String,
    /// On which of the host's addresses its ports are open.
    pub(crate) publish: Publish,
    /// The OpenVPN port, in the container and on the host, UDP.
    pub(crate) vpn_port: u16,
}

/// What is wanted of one gateway of an environment.
#[derive(Clone)]
pub(crate) enum Wanted {
    /// It runs.
    Running(GatewaySpec),
    /// It does not run; what is kept of it stays.
    Stopped(GatewayName),
    /// It should run, and cannot be described: why. What runs of it stays as it is.
    Unclear(GatewayName, String),
}

impl Wanted {
    /// Whose wish it is.
    pub(crate) fn gateway(&self) -> &GatewayName {
        match self {
            Self::Running(spec) => &spec.name,
            Self::Stopped(gateway) | Self::Unclear(gateway, _) => gateway,
        }
    }
}

/// What a runtime sees of one gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// The agent's process on this host, where the runtime started it and it runs.
    pub(crate) pid: Option<u32>,
    /// Why the agent does not run, or did not the last time.
    pub(crate) problem: Option<String>,
    /// Whether that stays so until somebody does something about it: nothing is starting.
    pub(crate) stuck: bool,
    /// What may keep its agent from finding this server; past once the agent reports.
    pub(crate) doubt: Option<String>,
    /// Its container, where it has one.
    pub(crate) container: Option<Container>,
    /// Where its door is.
    pub(crate) reach: Reach,
}

/// Where this server reaches a gateway's door.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reach {
    /// The address at which the gateway answers.
    pub(crate) address: Option<SocketAddr>,
    /// Why there is none, where it was asked for in vain. Of no interest while the gateway boots.
    pub(crate) problem: Option<String>,
}

impl Reach {
    /// A door whose place needs no asking.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self {
            address: Some(address),
            problem: None,
        }
    }
}

/// A gateway's container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Container {
    /// The beginning of its id.
    pub(crate) id: String,
    /// The image it was made from.
    pub(crate) image: String,
    /// When it was started, UNIX milliseconds; `None` where it does not run.
    pub(crate) started: Option<u64>,
    /// Whether it runs.
    pub(crate) running: bool,
}

/// The runtimes of a server, one of each kind.
#[derive(Debug)]
pub(crate) struct Runtimes {
    /// Child processes.
    pub(crate) local: Runtime,
    /// Containers.
    pub(crate) docker: Runtime,
}

impl Runtimes {
    /// The runtime of this kind.
    pub(crate) fn of(&self, kind: RuntimeKind) -> &Runtime {
        match kind {
            RuntimeKind::Local => &self.local,
            RuntimeKind::Docker => &self.docker,
        }
    }

    /// Where this server reaches a gateway's door, while it runs. `Runtime::changes` of both tells
    /// when that may be another address.
    pub(crate) fn reach(&self, gateway: &GatewayName) -> Option<SocketAddr> {
        let mut known = self.each().into_iter();
        known.find_map(|(_, runtime)| runtime.observe(gateway)?.reach.address)
    }

    /// Both, for what concerns all.
    pub(crate) fn each(&self) -> [(RuntimeKind, &Runtime); 2] {
        [
            (RuntimeKind::Local, &self.local),
            (RuntimeKind::Docker, &self.docker),
        ]
    }
}

/// The runtime of an environment, chosen once by its `RuntimeKind`.
#[derive(Debug)]
pub(crate) enum Runtime {
    /// Child processes of this server.
    Local(LocalRuntime),
    /// Containers of an engine.
    Docker(DockerRuntime),
}

impl Runtime {
    /// Makes an environment run exactly these gateways; returns when those not wanted have ended.
    /// The others are started, not awaited.
    pub(crate) async fn reconcile(&self, env: &EnvName, wanted: Vec<Wanted>) {
        match self {
            Self::Local(local) => {
                let running = |one| match one {
                    Wanted::Running(spec) => Some(spec),
                    Wanted::Stopped(_) | Wanted::Unclear(..) => None,
                };
                let wanted = wanted.into_iter().filter_map(running).collect();
                local.reconcile(env, wanted).await;
            }
            Self::Docker(docker) => docker.reconcile(env, wanted).await,
        }
    }

    /// Tries gateways again that were given up. Child processes are tried again all the time.
    pub(crate) fn try_again(&self, gateways: impl Iterator<Item = GatewayName>) {
        if let Self::Docker(docker) = self {
            docker.try_again(gateways);
        }
    }

    /// What is known of a gateway; `None` when it is not wanted.
    pub(crate) fn observe(&self, gateway: &GatewayName) -> Option<Observed> {
        match self {
            Self::Local(local) => local.observe(gateway),
            Self::Docker(docker) => docker.observe(gateway),
        }
    }

    /// Changes whenever `observe` may answer something else.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        match self {
            Self::Local(local) => local.changes(),
            Self::Docker(docker) => docker.changes(),
        }
    }

    /// Ends what ends with the server, and returns when it is gone.
    pub(crate) async fn end(&self) {
        match self {
            Self::Local(local) => local.end_all().await,
            Self::Docker(docker) => docker.end().await,
        }
    }
}

impl GatewaySpec {
    /// What a gateway of this environment is started with, the same in every runtime.
    fn new(home: &Home, environment: &Environment, gateway: &Gateway) -> Result<Self, TokensError> {
        let name = environment.gateway_name(gateway);
        let folder = home.gateway_dir(&name);
        let app_token = renew::first(&folder)?;
        let variables = [
            (variable::ENV_NAME, environment.name.to_string()),
            (variable::GATEWAY_HTTP_PORT, gateway.http_port.to_string()),
            (variable::GATEWAY_VPN_PORT, gateway.vpn_port.to_string()),
            (variable::GATEWAY_ID, gateway.id.clone()),
            (variable::GATEWAY_TOKEN, app_token),
            (variable::GANYMEDE_FQDN, environment.ganymede_fqdn()),
            (variable::DOMAIN, environment.domain.clone()),
            (variable::LOCKGATE_GATEWAY, name.to_string()),
            (variable::LOCKGATE_KEY, environment.public_key.clone()),
        ];
        let variables = variables.map(|(name, text)| (name, text.into())).into();
        Ok(Self {
            name,
            folder,
            http_port: gateway.http_port,
            variables,
            container: None,
        })
    }

    /// The gateway as a container. Where it finds the build server is no part of it: that may change.
    pub(crate) fn docker(
        home: &Home,
        environment: &Environment,
        gateway: &Gateway,
    ) -> Result<Self, TokensError> {
        let settings = environment.docker.clone().unwrap_or_default();
        let mut spec = Self::new(home, environment, gateway)?;
        spec.container = Some(ContainerPart {
            image: settings.image().to_owned(),
            image_id: environment.image_id.clone(),
            network: settings.network().to_owned(),
            publish: settings.publish,
            vpn_port: gateway.vpn_port,
        });
        Ok(spec)
    }

    /// The gateway as a child process: everything in its own folder, on loopback.
    pub(crate) fn local(
        home: &Home,
        environment: &Environment,
        gateway: &Gateway,
        server: &str,
    ) -> Result<Self, TokensError> {
        let mut spec = Self::new(home, environment, gateway)?;
        let below = |name: &str| spec.folder.join(name).into_os_string();
        let more = [
            (variable::LOCKGATE_SERVER, server.into()),
            (variable::LOCKGATE_TOKEN_FILE, below(TOKEN)),
            (variable::LOCKGATE_CA_FILE, home.trusted_file().into()),
            (variable::GATEWAY_ROOT, below("gateway")),
            (variable::LOCKGATE_RELEASES, below("releases")),
            (variable::LOG_FILE, home.gateway_log(&spec.name).into()),
            (
                variable::LOCKGATE_SOCKET,
                home.agent_socket(&spec.name).into(),
            ),
            // Port 0: several gateways, each with the application's port to itself.
            (variable::LOCKGATE_APP_ADDRESS, "127.0.0.1:0".into()),
            (variable::LOCKGATE_DOOR_IP, "127.0.0.1".into()),
        ];
        spec.variables.extend(more);
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::environment::tests::{home, sample};

    #[test]
    fn a_local_gateway_gets_all_required_variables_and_its_own_places() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let environment = sample("dev-001");
        let gateway = &environment.gateways[0];
        let place = home.gateway_dir(&environment.gateway_name(gateway));
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("app-token"), "opaque\n").unwrap();
        let spec =
            GatewaySpec::local(&home, &environment, gateway, "http://127.0.0.1:8090").unwrap();
        let value = |name: &str| {
            let found = spec.variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.to_str().unwrap()).unwrap()
        };
        assert_eq!(value("ENV_NAME"), "dev-001");
        assert_eq!(value("GATEWAY_HTTP_PORT"), "7100");
        assert_eq!(value("GATEWAY_TOKEN"), "opaque");
        assert_eq!(value("GANYMEDE_FQDN"), "ganymede.dev-001.localhost");
        assert_eq!(value("LOCKGATE_GATEWAY"), "gw-pool-dev-001-0");
        assert_eq!(value("LOCKGATE_APP_ADDRESS"), "127.0.0.1:0");
        for name in [
            "GATEWAY_ROOT",
            "LOCKGATE_RELEASES",
            "LOG_FILE",
            "LOCKGATE_TOKEN_FILE",
        ] {
            assert!(Path::new(value(name)).starts_with(&place), "{name}");
        }
        let names: std::collections::BTreeSet<_> =
            spec.variables.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), spec.variables.len());
    }

    #[test]
    fn a_missing_token_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let environment = sample("dev-001");
        let spec = GatewaySpec::local(
            &home(folder.path()),
            &environment,
            &environment.gateways[0],
            "",
        );
        let Err(error) = spec else {
            panic!("there is no token");
        };
        assert!(
            error.to_string().contains("gateways/0/app-token"),
            "{error}"
        );
    }
}
