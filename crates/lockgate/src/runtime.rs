//! Where gateways run: the seam between an environment and what its gateways are made of.
//!
//! A runtime is told what is wanted and sees to it; it starts, restarts and ends agents and
//! knows nothing of builds. One runtime so far, `local`: agents as child processes of the server.
//! Containers are the second; they take the same `GatewaySpec`.

pub(crate) mod local;

use std::ffi::OsString;
use std::path::PathBuf;

use lockgate_model::environment as variable;
use lockgate_model::{EnvName, GatewayName};
use tokio::sync::watch;

use self::local::LocalRuntime;
use crate::environment::create::TOKEN;
use crate::environment::tokens::{TokensError, renew};
use crate::environment::{Environment, Gateway};
use crate::home::Home;

/// One gateway as a runtime needs it. Two that are equal are the same running gateway.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct GatewaySpec {
    /// Its name.
    pub(crate) name: GatewayName,
    /// Its folder on the host.
    pub(crate) folder: PathBuf,
    /// The variables of its agent; one of them is a secret, so this has no `Debug`.
    pub(crate) variables: Vec<(&'static str, OsString)>,
}

/// What a runtime sees of one gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// The agent's process, while it runs.
    pub(crate) pid: Option<u32>,
    /// Why the agent does not run, or did not the last time.
    pub(crate) problem: Option<String>,
}

/// The runtime of an environment, chosen once by its `RuntimeKind`.
#[derive(Debug)]
pub(crate) enum Runtime {
    /// Child processes of this server.
    Local(LocalRuntime),
}

impl Runtime {
    /// The runtime's name in messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Local(_) => "local",
        }
    }

    /// Makes an environment run exactly these gateways; returns when those not wanted have ended.
    /// The others are started, not awaited.
    pub(crate) async fn reconcile(&self, env: &EnvName, wanted: Vec<GatewaySpec>) {
        match self {
            Self::Local(local) => local.reconcile(env, wanted).await,
        }
    }

    /// What is known of a gateway; `None` when it is not wanted.
    pub(crate) fn observe(&self, gateway: &GatewayName) -> Option<Observed> {
        match self {
            Self::Local(local) => local.observe(gateway),
        }
    }

    /// Changes whenever `observe` may answer something else.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        match self {
            Self::Local(local) => local.changes(),
        }
    }

    /// Ends all gateways and returns when they are gone.
    pub(crate) async fn end_all(&self) {
        match self {
            Self::Local(local) => local.end_all().await,
        }
    }
}

impl GatewaySpec {
    /// What a gateway of this environment is started with, the same in every runtime.
    fn new(
        home: &Home,
        environment: &Environment,
        gateway: &Gateway,
        server: &str,
    ) -> Result<Self, TokensError> {
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
            (variable::LOCKGATE_SERVER, server.to_owned()),
        ];
        let variables = variables.map(|(name, text)| (name, text.into())).into();
        Ok(Self {
            name,
            folder,
            variables,
        })
    }

    /// The gateway as a child process: everything in its own folder, on loopback.
    pub(crate) fn local(
        home: &Home,
        environment: &Environment,
        gateway: &Gateway,
        server: &str,
    ) -> Result<Self, TokensError> {
        let mut spec = Self::new(home, environment, gateway, server)?;
        let below = |name: &str| spec.folder.join(name).into_os_string();
        let more = [
            (variable::LOCKGATE_TOKEN_FILE, below(TOKEN)),
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
