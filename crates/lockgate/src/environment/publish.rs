//! Says what every gateway shall run: one signed, numbered statement each.

use lockgate_builds::store::{Publication, Store};
use lockgate_model::{AppSettings, BuildId, EnvName, GatewayName};

use super::Environment;
use crate::home::Home;

/// What is published.
#[derive(Debug, Clone)]
pub(crate) struct Publish {
    /// The build to run.
    pub(crate) build: BuildId,
    /// How the application is started.
    pub(crate) settings: AppSettings,
    /// The gateways it is for, by number; `None` means all.
    pub(crate) gateways: Option<Vec<u32>>,
    /// Restart also where build and settings are unchanged.
    pub(crate) restart: bool,
    /// The line for the history, if it is one.
    pub(crate) publication: Option<Publication>,
}

/// What was published.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    /// The number of these statements; a gateway is done when its report's `settled` reaches it.
    pub(crate) seq: u64,
    /// The gateways it was said to.
    pub(crate) gateways: Vec<Said>,
}

/// One gateway's statement.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// The gateway.
    pub(crate) gateway: GatewayName,
    /// Whether it asks for anything else than the statement before: build, settings, restart, run.
    pub(crate) changed: bool,
    /// Whether the gateway shall run (it is enabled).
    pub(crate) run: bool,
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("stub")]
    Stub,
}

/// Signs and stores a statement for each gateway. Always issues a new number, so that a build a gateway
/// refused is tried again; gateways that already run it do nothing. The caller holds the `DeployLock` and
/// calls `ControlClient::changed` afterwards.
pub(crate) fn publish(
    home: &Home,
    store: &Store,
    environment: &Environment,
    what: &Publish,
    now_ms: u64,
) -> Result<Published, PublishError> {
    todo!()
}

/// Sets `enabled` of one gateway or all (`start` and `stop`), writes it down and says it again to those
/// that have a statement. The caller calls `ControlClient::changed` afterwards. Returns the gateways that changed.
pub(crate) fn enable(
    home: &Home,
    store: &Store,
    env: &EnvName,
    gateway: Option<u32>,
    enabled: bool,
    now_ms: u64,
) -> Result<Vec<GatewayName>, PublishError> {
    todo!()
}

/// Restarts one gateway or all with what they already run. The caller calls `ControlClient::changed` afterwards.
pub(crate) fn restart(
    home: &Home,
    store: &Store,
    environment: &Environment,
    gateways: Option<Vec<u32>>,
    now_ms: u64,
) -> Result<Published, PublishError> {
    todo!()
}
