//! Ends an environment: its gateways, its ports, its files.

use lockgate_builds::store::Store;
use lockgate_model::EnvName;

use crate::home::Home;
use crate::server::control::ControlClient;

/// Why nothing was deleted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeleteError {
    #[error("stub")]
    Stub,
}

/// Ends the gateways (through the server, when one runs), then removes builds, statements and files. Goes on
/// after a failure; returns what was left behind, a sentence each, empty when all is gone.
pub(crate) async fn delete(
    home: &Home,
    store: &Store,
    env: &EnvName,
    server: Option<&ControlClient>,
) -> Result<Vec<String>, DeleteError> {
    todo!()
}
