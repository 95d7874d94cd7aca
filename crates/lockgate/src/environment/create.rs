//! Makes an environment: key, tokens, ports, all or nothing.

use std::path::PathBuf;

use lockgate_builds::store::Store;
use lockgate_model::EnvName;

use super::{Environment, RuntimeKind};
use crate::home::Home;

/// What is made.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The environment's name.
    pub(crate) name: EnvName,
    /// Its domain; `{env}.localhost` where none is given.
    pub(crate) domain: Option<String>,
    /// The checkout it is deployed from.
    pub(crate) workspace: PathBuf,
    /// How many gateways.
    pub(crate) gateways: u32,
    /// Where they run.
    pub(crate) runtime: RuntimeKind,
}

/// Why an environment was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    #[error("stub")]
    Stub,
}

/// Makes the environment; a server that runs learns of it by `ControlClient::changed`.
pub(crate) fn create(
    home: &Home,
    store: &Store,
    wanted: &Wanted,
    now_ms: u64,
) -> Result<Environment, CreateError> {
    todo!()
}
