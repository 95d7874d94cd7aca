//! What the VPN's clients may reach, as lockgate.toml's `[vpn]` says it.

use lockgate_model::VpnAllowance;
use serde::{Deserialize, Serialize};

/// `[vpn]` of lockgate.toml, and of `env.toml` once an environment was made or deployed. It goes
/// into each statement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct VpnSettings {
    /// What clients may reach beside the gateway's door.
    pub(crate) allow: Vec<VpnAllowance>,
}

impl VpnSettings {
    /// Whether clients may reach nothing but the door.
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}
