//! The environment variables of a gateway, each named once.

/// The environment's name, such as `dev-001`. Required.
pub const ENV_NAME: &str = "ENV_NAME";
/// The port on which the gateway answers HTTP. Required.
pub const GATEWAY_HTTP_PORT: &str = "GATEWAY_HTTP_PORT";
/// The UDP port of the gateway's OpenVPN server. Required.
pub const GATEWAY_VPN_PORT: &str = "GATEWAY_VPN_PORT";
/// The gateway's UUID. Required.
pub const GATEWAY_ID: &str = "GATEWAY_ID";
/// The application's token towards the platform's API. Required; a secret.
pub const GATEWAY_TOKEN: &str = "GATEWAY_TOKEN";
/// The host name of the platform's API. Required.
pub const GANYMEDE_FQDN: &str = "GANYMEDE_FQDN";
/// The base domain. Required.
pub const DOMAIN: &str = "DOMAIN";

/// The organization that the gateway serves, a UUID; said to the application alone.
pub const ORGANIZATION_ID: &str = "ORGANIZATION_ID";

/// The build server's address; found by itself where it is not set.
pub const BUILD_SERVER_IP: &str = "BUILD_SERVER_IP";
/// The build server's port; 8090 where it is not set.
pub const BUILD_SERVER_PORT: &str = "BUILD_SERVER_PORT";
/// The path at which the running release is found; `/opt/gateway` by default.
pub const GATEWAY_ROOT: &str = "GATEWAY_ROOT";
/// The application's log; `/tmp/gateway.log` by default.
pub const LOG_FILE: &str = "LOG_FILE";

/// URLs of the build server, separated by commas. The first that answers is used.
pub const LOCKGATE_SERVER: &str = "LOCKGATE_SERVER";
/// A file with more of them, one a line; they are asked first. The server that put it
/// there can replace it when its address changes, without a new container.
pub const LOCKGATE_SERVERS_FILE: &str = "LOCKGATE_SERVERS_FILE";
/// The environment's public key (minisign, one base64 line). Required.
pub const LOCKGATE_KEY: &str = "LOCKGATE_KEY";
/// A file (0600) with the gateway's token towards the build server. Required.
pub const LOCKGATE_TOKEN_FILE: &str = "LOCKGATE_TOKEN_FILE";
/// The gateway's name; `gw-pool-{ENV_NAME}-{n}`, the host name where it is not set.
pub const LOCKGATE_GATEWAY: &str = "LOCKGATE_GATEWAY";
/// Where releases are kept; `/opt/lockgate/releases` by default.
pub const LOCKGATE_RELEASES: &str = "LOCKGATE_RELEASES";
/// The agent's control socket; `/run/lockgate/agent.sock` by default.
pub const LOCKGATE_SOCKET: &str = "LOCKGATE_SOCKET";
/// The address on which the agent holds the application's socket; by default
/// `127.0.0.1` and the port the application names. `127.0.0.1:0` takes a free one,
/// so that several gateways fit on one host.
pub const LOCKGATE_APP_ADDRESS: &str = "LOCKGATE_APP_ADDRESS";
/// The address of the gateway's HTTP door; `0.0.0.0` by default.
pub const LOCKGATE_DOOR_IP: &str = "LOCKGATE_DOOR_IP";
/// Which driver serves the door: `embedded` (the agent itself; the default) or `nginx`.
pub const LOCKGATE_DOOR: &str = "LOCKGATE_DOOR";
/// What the door does on `GATEWAY_HTTP_PORT` with a request's `X-Forwarded-*` headers:
/// `append` (they are a front door's; the default) or `replace` (whoever asks is the client).
pub const LOCKGATE_DOOR_FORWARDED: &str = "LOCKGATE_DOOR_FORWARDED";

/// A file with the certificate of the host's authority (PEM), which signs what the front door
/// shows. It may come later, or be replaced; children are told to trust what is there.
pub const LOCKGATE_CA_FILE: &str = "LOCKGATE_CA_FILE";
/// The file in which the agent keeps the front door's names, `/etc/hosts` in a container that
/// Lockgate makes. Without it the agent touches none.
pub const LOCKGATE_HOSTS_FILE: &str = "LOCKGATE_HOSTS_FILE";

/// Variables of the shell system that mean nothing any more; the agent says so.
pub const NO_LONGER_USED: [&str; 3] = ["SERVER_BIND", "RELOAD_TRIGGER", "WORKSPACE"];
