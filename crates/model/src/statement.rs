//! What a gateway shall run, said once and signed.

use serde::{Deserialize, Serialize};

use crate::{AppSettings, BuildId, Digest, EnvName, GatewayName, KeyId, VpnAllowance};

/// "Gateway G of environment E runs build B": numbered, so that an agent can tell
/// new from old, and signed, so that nobody else can say it.
///
/// Rolling back is a statement with a *higher* number that names an old build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The environment.
    pub env: EnvName,
    /// The gateway it is meant for.
    pub gateway: GatewayName,
    /// The build to run.
    pub build: BuildId,
    /// The digest of the build's `manifest.json`.
    pub manifest: Digest,
    /// Whether the application runs at all.
    pub run: bool,
    /// Restart once when this number grows.
    pub restart: u64,
    /// The organization the gateway serves, if any.
    pub organization: Option<String>,
    /// What the organization's VPN clients may reach beside the gateway's door.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vpn_allow: Vec<VpnAllowance>,
    /// How the application is started, checked and stopped.
    pub settings: AppSettings,
    /// The build that was desired before, for humans and for collecting releases.
    pub previous: Option<BuildId>,
    /// The key that signs.
    pub key_id: KeyId,
    /// Counts per key; at least the UNIX time in milliseconds at which its publication
    /// began, so that a recreated environment is always newer.
    pub seq: u64,
    /// UNIX time in milliseconds. Shown, never compared.
    pub issued_at: u64,
}

impl Statement {
    /// The number after `last`, issued at `now_ms` (UNIX milliseconds). A clock
    /// that was set back changes nothing: numbers only grow.
    pub fn next_seq(last: u64, now_ms: u64) -> u64 {
        now_ms.max(last.saturating_add(1))
    }
}

/// A statement as it travels: the exact bytes that were signed, and the signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedStatement {
    /// The statement's JSON, base64.
    pub statement: String,
    /// The minisign signature file over those bytes, base64.
    pub signature: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_when_the_clock_is_set_back() {
        assert_eq!(Statement::next_seq(0, 1_000), 1_000);
        assert_eq!(Statement::next_seq(1_000, 1_000), 1_001);
        assert_eq!(Statement::next_seq(5_000, 10), 5_001);
    }
}
