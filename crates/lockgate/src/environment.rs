//! An environment: its name, its domain, its workspace and its gateways, kept in `envs/{env}/env.toml`.
//!
//! ```text
//! envs/{env}/env.toml     what this module reads and writes
//!            key          the signing key, 0600           (create)
//!            seq          the last statement's number     (publish)
//!            deploy.lock  who deploys                     (lock)
//!            gateways/{n}/token  the gateway's token towards the build server, 0600
//! ```

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod lock;
pub(crate) mod ports;
pub(crate) mod publish;

use std::io;
use std::path::{Path, PathBuf};

use lockgate_model::{EnvName, GatewayName};
use serde::{Deserialize, Serialize};

use crate::home::Home;

/// Everything that is written down about an environment, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Environment {
    /// Its name.
    pub(crate) name: EnvName,
    /// The domain its gateways serve.
    pub(crate) domain: String,
    /// The checkout it is deployed from, absolute.
    pub(crate) workspace: PathBuf,
    /// Where its gateways run.
    pub(crate) runtime: RuntimeKind,
    /// When it was made, UNIX milliseconds.
    pub(crate) created_at: u64,
    /// The public half of its signing key, one base64 line.
    pub(crate) public_key: String,
    /// True while it is being deleted; its gateways are not wanted any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) deleting: bool,
    /// Its gateways, by number.
    pub(crate) gateways: Vec<Gateway>,
}

/// One gateway of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gateway {
    /// Its number, from 0.
    pub(crate) number: u32,
    /// Its identity towards the platform's API.
    pub(crate) id: String,
    /// The HTTP port on the host.
    pub(crate) http_port: u16,
    /// The OpenVPN port on the host, UDP.
    pub(crate) vpn_port: u16,
    /// Whether it shall run; `lockgate stop` clears it.
    pub(crate) enabled: bool,
}

/// Where an environment's gateways run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RuntimeKind {
    /// As child processes of the server.
    Local,
    /// In containers.
    Docker,
}

/// An environment that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvironmentError {
    /// There is none of this name.
    #[error("there is no environment `{env}`")]
    Unknown {
        /// The name asked for.
        env: EnvName,
        /// The names there are.
        known: Vec<EnvName>,
    },
    /// There is no gateway of this number.
    #[error("environment `{env}` has no gateway {number}")]
    UnknownGateway {
        /// The environment.
        env: EnvName,
        /// The number asked for.
        number: u32,
    },
    /// A file could not be read or written.
    #[error("`{path}` cannot be read or written")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file does not say what it should.
    #[error("`{path}` is not an environment's file")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The parser's message.
        source: Box<toml::de::Error>,
    },
}

impl Environment {
    /// Reads `envs/{env}/env.toml`.
    pub(crate) fn load(home: &Home, env: &EnvName) -> Result<Self, EnvironmentError> {
        todo!()
    }
    /// All environments of a home, by name.
    pub(crate) fn list(home: &Home) -> Result<Vec<Self>, EnvironmentError> {
        todo!()
    }
    /// Writes `env.toml`, whole or not at all.
    pub(crate) fn save(&self, home: &Home) -> Result<(), EnvironmentError> {
        todo!()
    }
    /// The name of one of its gateways.
    pub(crate) fn gateway_name(&self, gateway: &Gateway) -> GatewayName {
        GatewayName::new(&self.name, gateway.number)
    }
    /// Finds a gateway by number (`0`) or name (`gw-pool-dev-001-0`).
    pub(crate) fn gateway(&self, number: u32) -> Result<&Gateway, EnvironmentError> {
        todo!()
    }
    /// The platform's API, `ganymede.{domain}`.
    pub(crate) fn ganymede_fqdn(&self) -> String {
        format!("ganymede.{}", self.domain)
    }
    /// Whether this is the checkout the environment remembers (symlinks resolved).
    pub(crate) fn is_workspace(&self, workspace: &Path) -> bool {
        todo!()
    }
}
