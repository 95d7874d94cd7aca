//! The gateway's environment variables, read once into one immutable [`Config`].
//!
//! Everything that is wrong is said at once, so that a container is mended in one
//! go. Values are only named where they are no secret.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use lockgate_builds::client::Secret;
use lockgate_builds::sign::PublicKey;
use lockgate_model::{EnvName, GatewayName, environment as var, ports};
use lockgate_route::ForwardedHeaders;

use crate::arenas;
use crate::config::checks::{forwarded, host_name, json_where_it_looks_like_it, path, port, uuid};
use crate::config::reader::Reader;
use crate::door::Driver;
use crate::server::{Servers, servers};

pub(crate) mod checks;
pub(crate) mod reader;

/// The default of `LOCKGATE_SOCKET`.
pub(crate) const DEFAULT_SOCKET: &str = "/run/lockgate/agent.sock";
/// The default of `LOG_FILE`.
pub(crate) const DEFAULT_LOG_FILE: &str = "/tmp/gateway.log";
const DEFAULT_ROOT: &str = "/opt/gateway";
/// The default of `LOCKGATE_RELEASES`.
pub(crate) const DEFAULT_RELEASES: &str = "/opt/lockgate/releases";

/// A path in a `sockaddr_un` holds 108 bytes, one of them the final zero.
const SOCKET_PATH_BYTES: usize = 107;
/// Tokens are short; a larger file is not a token.
const TOKEN_BYTES: u64 = 64 * 1024;

/// What the agent was told by its environment. Never printed as a whole: the
/// application's variables hold secrets.
pub(crate) struct Config {
    /// The gateway's name; its environment is part of it.
    pub(crate) gateway: GatewayName,
    /// The base domain, with a port behind it or not.
    pub(crate) domain: String,
    /// Where the build server is looked for.
    pub(crate) servers: Servers,
    /// The environment's public key.
    pub(crate) key: PublicKey,
    /// The gateway's token towards the build server.
    pub(crate) token: Secret,
    /// The symlink to the running release.
    pub(crate) gateway_root: PathBuf,
    /// The folder of releases.
    pub(crate) releases: PathBuf,
    /// The application's log.
    pub(crate) log_file: PathBuf,
    /// The agent's control socket.
    pub(crate) socket: PathBuf,
    /// Where the application's first socket is held, when not where it asks for it.
    pub(crate) app_address: Option<SocketAddr>,
    /// Where the gateway answers HTTP.
    pub(crate) door: SocketAddr,
    /// The UDP port of its VPN.
    pub(crate) vpn_port: u16,
    /// Whether nobody shares this gateway's network: in a container.
    pub(crate) alone: bool,
    /// The name under which the gateway's container knows itself.
    pub(crate) hostname: String,
    /// Where user containers ask it by its address in the VPN: in a container alone.
    pub(crate) door_in_vpn: Option<SocketAddr>,
    /// What serves the door.
    pub(crate) driver: Driver,
    /// What the door does on its own port with headers that speak of a client.
    pub(crate) forwarded: ForwardedHeaders,
    /// The certificate of the host's authority, once there is one.
    pub(crate) authority: Option<PathBuf>,
    /// The file in which names of the front door are kept.
    pub(crate) hosts: Option<PathBuf>,
    /// What the application inherits: everything but what is the agent's own, and
    /// where the agent is asked.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// What should be said but does not keep the agent from running.
    pub(crate) warnings: Vec<String>,
}

impl Config {
    /// The environment the gateway belongs to.
    pub(crate) fn env(&self) -> EnvName {
        self.gateway.env()
    }

    /// The folder beside the releases in which the agent remembers.
    pub(crate) fn state(&self) -> PathBuf {
        state_beside(&self.releases)
    }
}

/// The folder beside the releases in which the agent remembers.
pub(crate) fn state_beside(releases: &Path) -> PathBuf {
    releases.parent().unwrap_or(releases).to_owned()
}

/// One thing that is wrong with one variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The variable.
    pub(crate) name: String,
    /// What is wrong, read after the name: `is not set`.
    pub(crate) why: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` {}", self.name, self.why)
    }
}

/// Reads this process's environment.
pub(crate) fn load() -> Result<Config, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut vars = BTreeMap::new();
    let mut environment = Vec::new();
    let one_arena = arenas::are_ours();
    for (name, value) in std::env::vars_os() {
        if one_arena && arenas::is_of_them(&name) {
            continue;
        }
        if !name.as_encoded_bytes().starts_with(b"LOCKGATE_") {
            environment.push((name.clone(), value.clone()));
        }
        let name = name.to_string_lossy().into_owned();
        match value.into_string() {
            Ok(value) => {
                vars.insert(name, value);
            }
            Err(_) if reader::is_ours(&name) => problems.push(Problem {
                name,
                why: "is not UTF-8 text".to_owned(),
            }),
            Err(_) => {}
        }
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let read = read(&vars, host.trim(), &read_token);
    match read {
        Ok(config) if problems.is_empty() => {
            // So that scripts below the application find the agent; it opens nothing
            // to anybody else.
            environment.push((var::LOCKGATE_SOCKET.into(), config.socket.clone().into()));
            Ok(Config {
                environment,
                ..config
            })
        }
        Ok(_) => Err(problems),
        Err(more) => {
            problems.retain(|problem| !more.iter().any(|other| other.name == problem.name));
            problems.extend(more);
            Err(problems)
        }
    }
}

/// A token's text, and whether others can read its file.
struct Token {
    text: String,
    open_mode: Option<u32>,
}

fn read_token(path: &Path) -> Result<Token, String> {
    let told = |error: std::io::Error| format!("names `{}`: {error}", path.display());
    let about = std::fs::metadata(path).map_err(told)?;
    if about.len() > TOKEN_BYTES {
        return Err(format!(
            "names `{}`, which has {} bytes and is no token",
            path.display(),
            about.len()
        ));
    }
    let text = std::fs::read_to_string(path).map_err(told)?;
    let text = text.trim();
    if text.is_empty() || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(format!(
            "names `{}`, which does not hold one token on one line",
            path.display()
        ));
    }
    let mode = about.mode() & 0o777;
    Ok(Token {
        text: text.to_owned(),
        open_mode: (mode & 0o077 != 0).then_some(mode),
    })
}

/// The decision, apart from where the values come from.
fn read(
    vars: &BTreeMap<String, String>,
    host: &str,
    token: &dyn Fn(&Path) -> Result<Token, String>,
) -> Result<Config, Vec<Problem>> {
    let mut reader = Reader::new(vars);
    json_where_it_looks_like_it(&mut reader);

    let env = reader.required(var::ENV_NAME, said(EnvName::parse));
    let gateway = gateway(&mut reader, env.as_ref(), host);
    let http_port = reader.required(var::GATEWAY_HTTP_PORT, port);
    let vpn_port = reader.required(var::GATEWAY_VPN_PORT, port);
    // Read for the application.
    reader.required(var::GATEWAY_ID, uuid);
    reader.required(var::GATEWAY_TOKEN, |_| Ok(()));
    reader.required(var::GANYMEDE_FQDN, host_name);
    let domain = reader.required(var::DOMAIN, |text| {
        host_name(text).map(|()| text.to_owned())
    });

    let servers = servers(&mut reader);
    let key = reader.required(var::LOCKGATE_KEY, said(PublicKey::parse));
    let mut warnings = no_longer_used(vars);
    let token = token_of(&mut reader, token, &mut warnings);

    let gateway_root = folder(&mut reader, var::GATEWAY_ROOT, DEFAULT_ROOT);
    let releases = folder(&mut reader, var::LOCKGATE_RELEASES, DEFAULT_RELEASES);
    let log_file = folder(&mut reader, var::LOG_FILE, DEFAULT_LOG_FILE);
    let socket = reader
        .optional(var::LOCKGATE_SOCKET, socket_path)
        .unwrap_or_else(|| DEFAULT_SOCKET.into());
    let app_address = reader.optional(var::LOCKGATE_APP_ADDRESS, address);
    let driver = reader.optional(var::LOCKGATE_DOOR, Driver::parse);
    let forwarded_headers = reader.optional(var::LOCKGATE_DOOR_FORWARDED, forwarded);
    let door_ip = reader.optional(var::LOCKGATE_DOOR_IP, ip_address);
    let authority = reader.optional(var::LOCKGATE_CA_FILE, path);
    let hosts = reader.optional(var::LOCKGATE_HOSTS_FILE, path);

    keep_out(&mut reader, &gateway_root, &[&releases, &log_file, &socket]);
    let problems = reader.into_problems();
    let (Some(gateway), Some(ports), Some(domain), Some(key), Some(token)) =
        (gateway, http_port.zip(vpn_port), domain, key, token)
    else {
        return Err(problems);
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    let (http_port, vpn_port) = ports;
    let (door, door_in_vpn) = addresses(door_ip, http_port);
    Ok(Config {
        gateway,
        domain,
        servers,
        key,
        token: Secret::new(token.text),
        gateway_root,
        releases,
        log_file,
        socket,
        app_address,
        door,
        door_in_vpn,
        vpn_port,
        alone: door_ip.is_none(),
        hostname: host.to_owned(),
        driver: driver.unwrap_or_default(),
        forwarded: forwarded_headers.unwrap_or(ForwardedHeaders::Append),
        authority,
        hosts,
        environment: Vec::new(),
        warnings,
    })
}

/// The gateway's token; a file that others can read is warned of.
fn token_of(
    reader: &mut Reader<'_>,
    read: &dyn Fn(&Path) -> Result<Token, String>,
    warnings: &mut Vec<String>,
) -> Option<Token> {
    let file = reader.required(var::LOCKGATE_TOKEN_FILE, path)?;
    match read(&file) {
        Ok(token) => {
            warnings.extend(token.open_mode.map(|mode| {
                format!(
                    "`{}` holds a token and has mode {mode:04o}: others can read it; `chmod 600` closes it",
                    file.display()
                )
            }));
            Some(token)
        }
        Err(why) => {
            reader.problem(var::LOCKGATE_TOKEN_FILE, why);
            None
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("is `{text}`, not an address and port like `127.0.0.1:8888`"))
}

fn ip_address(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| format!("is `{text}`, not an IP address"))
}

/// Where the door listens, and where for user containers. An address of its own means
/// that others share the host, and with it port 80.
fn addresses(door_ip: Option<IpAddr>, http_port: u16) -> (SocketAddr, Option<SocketAddr>) {
    let all = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let shared = door_ip.is_some() || http_port == ports::VPN_HTTP;
    (
        SocketAddr::new(door_ip.unwrap_or(all), http_port),
        (!shared).then_some(SocketAddr::new(all, ports::VPN_HTTP)),
    )
}

/// Turns a parser's error into words that follow the variable's name.
fn said<T, E: std::error::Error>(
    parse: impl Fn(&str) -> Result<T, E>,
) -> impl Fn(&str) -> Result<T, String> {
    move |text| parse(text).map_err(|error| format!("is not usable: {error}"))
}

fn folder(reader: &mut Reader<'_>, name: &str, default: &str) -> PathBuf {
    reader
        .optional(name, path)
        .unwrap_or_else(|| default.into())
}

/// The root is replaced with each build: nothing that stays can lie in it.
fn keep_out(reader: &mut Reader<'_>, root: &Path, places: &[&Path]) {
    for place in places.iter().filter(|place| place.starts_with(root)) {
        let (root, place) = (root.display(), place.display());
        reader.problem(
            var::GATEWAY_ROOT,
            format!("is `{root}`, and `{place}` lies there, where each build has its own"),
        );
    }
}

fn socket_path(text: &str) -> Result<PathBuf, String> {
    if text.len() > SOCKET_PATH_BYTES {
        return Err(format!(
            "has {} bytes; the path of a unix socket has at most {SOCKET_PATH_BYTES}",
            text.len()
        ));
    }
    path(text)
}

/// The gateway's name: given, or the host's.
fn gateway(reader: &mut Reader<'_>, env: Option<&EnvName>, host: &str) -> Option<GatewayName> {
    let name = if reader.is_set(var::LOCKGATE_GATEWAY) {
        reader.required(var::LOCKGATE_GATEWAY, said(GatewayName::parse))?
    } else if let Ok(name) = GatewayName::parse(host) {
        name
    } else {
        reader.problem(
            var::LOCKGATE_GATEWAY,
            format!("is not set, and the host name `{host}` is not `gw-pool-{{env}}-{{n}}`"),
        );
        return None;
    };
    if let Some(env) = env
        && name.env() != *env
    {
        reader.problem(
            var::LOCKGATE_GATEWAY,
            format!(
                "or the host name says `{name}`, a gateway of `{}`, but `{}` is `{env}`",
                name.env(),
                var::ENV_NAME
            ),
        );
        return None;
    }
    Some(name)
}

fn no_longer_used(vars: &BTreeMap<String, String>) -> Vec<String> {
    var::NO_LONGER_USED
        .iter()
        .filter(|name| vars.contains_key(**name))
        .map(|name| format!("`{name}` is set but no longer used; remove it"))
        .collect()
}

/// The port of the build server where only its address is given.
pub(crate) const BUILD_SERVER_PORT: u16 = ports::BUILD_SERVER;

#[cfg(test)]
mod tests;
