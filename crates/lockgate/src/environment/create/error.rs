//! Why an environment was not made.

use std::io;
use std::path::{Path, PathBuf};

use lockgate_builds::sign::SignError;
use lockgate_model::{EnvName, GatewayName};

use super::MAX_GATEWAYS;
use crate::environment::admit::AdmitError;
use crate::environment::ports::PortsError;
use crate::environment::tokens::TokensError;
use crate::environment::{Environment, EnvironmentError, Gateway};
use crate::home::HomeError;

/// Why an environment was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    /// There is one of this name.
    #[error("there is an environment `{env}` already")]
    Exists {
        /// The name.
        env: EnvName,
    },
    /// One of this name was not deleted to the end.
    #[error("environment `{env}` was not deleted to the end")]
    Deleting {
        /// The name.
        env: EnvName,
    },
    /// Too many or too few.
    #[error("an environment has 1 to {MAX_GATEWAYS} gateways, not {asked}")]
    Gateways {
        /// The number asked for.
        asked: u32,
    },
    /// The domain cannot be part of a host name.
    #[error(
        "`{domain}` is not a domain: letters, digits and hyphens in parts of 1 to 63, separated by dots"
    )]
    Domain {
        /// The text.
        domain: String,
    },
    /// There is no such folder.
    #[error("the workspace `{path}` cannot be used")]
    Workspace {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The home cannot be used.
    #[error("the home cannot be used")]
    Home(#[from] HomeError),
    /// No ports.
    #[error("environment `{env}` gets no ports")]
    Ports {
        /// The environment.
        env: EnvName,
        /// The cause.
        source: PortsError,
    },
    /// A port that a gateway has is another environment's.
    #[error("port {port} is environment `{other}`'s")]
    Taken {
        /// The port.
        port: u16,
        /// Whose it is.
        other: EnvName,
    },
    /// No signing key.
    #[error("environment `{env}` gets no signing key")]
    Key {
        /// The environment.
        env: EnvName,
        /// The cause.
        source: SignError,
    },
    /// No token towards the platform.
    #[error("the gateways of `{env}` get no tokens")]
    Tokens {
        /// The environment.
        env: EnvName,
        /// The cause.
        source: TokensError,
    },
    /// The environment's file cannot be written.
    #[error("environment `{env}` cannot be written down")]
    Environment {
        /// The environment.
        env: EnvName,
        /// The cause.
        source: EnvironmentError,
    },
    /// A file cannot be written.
    #[error("`{path}` cannot be written")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A gateway is not let in.
    #[error("gateway `{gateway}` cannot be made")]
    Admit {
        /// The gateway.
        gateway: GatewayName,
        /// The cause.
        source: AdmitError,
    },
}

pub(super) fn no_ports(env: &EnvName, source: PortsError) -> CreateError {
    CreateError::Ports {
        env: env.clone(),
        source,
    }
}

pub(super) fn no_key(env: &EnvName, source: SignError) -> CreateError {
    CreateError::Key {
        env: env.clone(),
        source,
    }
}

pub(super) fn cannot_write(path: &Path, source: io::Error) -> CreateError {
    CreateError::File {
        path: path.to_owned(),
        source,
    }
}

pub(crate) fn not_admitted(
    environment: &Environment,
    gateway: &Gateway,
    source: AdmitError,
) -> CreateError {
    CreateError::Admit {
        gateway: environment.gateway_name(gateway),
        source,
    }
}
