//! The HTTP contract between agent and build server, version 1.

use crate::{BuildId, EnvName, GatewayName};

/// The protocol version this program speaks. A server also speaks the one before.
pub const VERSION: u32 = 1;

/// Request and response header with the sender's protocol version: `1`.
pub const VERSION_HEADER: &str = "lockgate-protocol";

/// Request and response header with program and version: `lockgate-agent/0.1.0`.
pub const PROGRAM_HEADER: &str = "lockgate-program";

/// Response header of a gateway's door: the build that answered.
pub const BUILD_HEADER: &str = "lockgate-build";

/// Where a gateway's door says who it is, to whoever asks it by its address.
pub const DOOR_PATH: &str = "/.well-known/lockgate";

/// Where an agent's control socket says what listens in its gateway.
pub const LISTENERS_PATH: &str = "/v1/listeners";

/// The longest a blocking query may wait, in seconds.
pub const MAX_WAIT_SECS: u64 = 55;

/// The archive of an environment's current build, as the shell system named it.
pub fn archive_path(env: &EnvName) -> String {
    format!("/gateway-{env}.tar.gz")
}

/// The blocking query for a gateway's statement.
pub fn desired_path(gateway: &GatewayName) -> String {
    format!("/v1/gateways/{gateway}/desired")
}

/// Where a gateway puts its report.
pub fn status_path(gateway: &GatewayName) -> String {
    format!("/v1/gateways/{gateway}/status")
}

/// A build's manifest.
pub fn manifest_path(env: &EnvName, build: &BuildId) -> String {
    format!("/v1/builds/{env}/{build}/manifest.json")
}

/// A build's archive, as identity, gzip or zstd by negotiation.
pub fn build_path(env: &EnvName, build: &BuildId) -> String {
    format!("/v1/builds/{env}/{build}.tar")
}

/// Whether a peer with this version can be talked to, and if not, which side is older.
pub fn compatible(server: u32, client: u32) -> Result<(), VersionGap> {
    if client > server {
        Err(VersionGap::ServerOlder { server, client })
    } else if client + 1 < server {
        Err(VersionGap::ClientOlder { server, client })
    } else {
        Ok(())
    }
}

/// Two protocol versions that do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VersionGap {
    /// The server cannot speak what the client asks.
    #[error(
        "the build server speaks protocol {server}, the agent {client}: restart the server with the newer `lockgate serve`"
    )]
    ServerOlder {
        /// The server's version.
        server: u32,
        /// The client's version.
        client: u32,
    },
    /// The client is more than one version behind.
    #[error(
        "the agent speaks protocol {client}, the build server {server}: restart the gateway with the newer `lockgate-agent`"
    )]
    ClientOlder {
        /// The server's version.
        server: u32,
        /// The client's version.
        client: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_speaks_its_own_version_and_the_one_before() {
        assert_eq!(compatible(2, 2), Ok(()));
        assert_eq!(compatible(2, 1), Ok(()));
        assert!(matches!(
            compatible(3, 1),
            Err(VersionGap::ClientOlder { .. })
        ));
        assert!(matches!(
            compatible(1, 2),
            Err(VersionGap::ServerOlder { .. })
        ));
    }
}
