//! What an engine shows of an environment's containers that this home has not made.
//!
//! Left out on purpose: what is to be done about them, which `adoption` decides.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bollard::models::{ContainerInspectResponse, HostConfig};
use lockgate_model::{EnvName, GatewayName, environment as variable};
use serde::{Deserialize, Serialize};

use super::blueprint::{ENVIRONMENT, HOME};
use super::engine::{Engine, EngineError};

/// What follows a gateway's name in that of a container that was put aside for it.
const ASIDE: &str = ".before-lockgate";
/// Where a build lies in a gateway of the shell system.
const ROOT: &str = "/opt/gateway";

/// A container that belongs to an environment by its name or its label. One of its variables is a
/// secret, so this has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its id.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
    /// What its name says.
    pub(crate) place: Place,
    /// The image it was made from, as it was named.
    pub(crate) image: String,
    /// The Lockgate home whose it is, where it is one's.
    pub(crate) home: Option<String>,
    /// Whether it runs.
    pub(crate) running: bool,
    /// Whether the engine removes it once it ends (`docker run --rm`).
    pub(crate) fleeting: bool,
    /// When the engine starts it again by itself.
    pub(crate) restart: Restart,
    /// Its variables.
    pub(crate) variables: BTreeMap<String, String>,
    /// Those that its image says just so.
    pub(crate) of_image: BTreeSet<String>,
    /// Its ports as the engine writes them (`7100/tcp`), each with where it is open on the host.
    pub(crate) ports: BTreeMap<String, Vec<Open>>,
    /// The network it is in.
    pub(crate) network: String,
    /// Folders in it that come from elsewhere: the host, or volumes.
    pub(crate) mounts: Vec<String>,
    /// The `BUILD_INFO.txt` that lies in it.
    pub(crate) build_info: Option<String>,
}

/// What a container's name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It has the name of this gateway.
    Gateway(u32),
    /// It was put aside for this gateway.
    Aside(u32),
    /// Nothing about a gateway.
    Other,
}

/// Where a port is open on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Open {
    /// The address; `None` where it is open on all.
    pub(crate) ip: Option<IpAddr>,
    /// The port.
    pub(crate) port: u16,
}

/// When an engine starts a container again by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Restart {
    /// `no`, `always`, `unless-stopped`, `on-failure`; empty is `no`, too.
    pub(crate) policy: String,
    /// How often, for `on-failure`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retries: Option<i64>,
}

impl Found {
    /// What its `BUILD_INFO.txt` says under this key; nothing where that is unknown.
    pub(crate) fn says(&self, key: &str) -> Option<&str> {
        let mut lines = self.build_info.as_deref()?.lines();
        let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        Some(value.trim()).filter(|value| *value != "unknown")
    }

    /// The build that lies in it, where Lockgate has packed that.
    pub(crate) fn build(&self) -> Option<&str> {
        self.says("Build")
    }
}

impl Restart {
    /// It stays as it is.
    pub(crate) fn never() -> Self {
        Self {
            policy: "no".to_owned(),
            retries: None,
        }
    }
}

/// The name under which a gateway's container of before is kept.
pub(crate) fn aside(gateway: &GatewayName) -> String {
    format!("{gateway}{ASIDE}")
}

/// What a container's name says to an environment.
fn place(env: &EnvName, name: &str) -> Place {
    let number = |name: &str| {
        let gateway = GatewayName::parse(name).ok()?;
        (gateway.env() == *env).then(|| gateway.number())
    };
    match name.strip_suffix(ASIDE) {
        Some(before) => number(before).map_or(Place::Other, Place::Aside),
        None => number(name).map_or(Place::Other, Place::Gateway),
    }
}

/// All containers that belong to an environment by their name or their label, by name.
pub(crate) async fn find(engine: &Engine, env: &EnvName) -> Result<Vec<Found>, EngineError> {
    let mut found = Vec::new();
    for listed in engine.containers(None).await? {
        let place = place(env, &listed.name);
        let labelled = listed.labels.get(ENVIRONMENT);
        if place == Place::Other && labelled.is_none_or(|name| name != env.as_str()) {
            continue;
        }
        let Some(shown) = engine.inspect(&listed.id).await? else {
            continue;
        };
        let of_image = match &shown.image {
            Some(image) => engine.image_variables(image).await?,
            None => Vec::new(),
        };
        let mut one = describe(place, listed.image, &listed.name, shown, &of_image);
        one.home = listed.labels.get(HOME).cloned();
        let root = one.variables.get(variable::GATEWAY_ROOT);
        let path = format!("{}/BUILD_INFO.txt", root.map_or(ROOT, String::as_str));
        one.build_info = match engine.file(&one.id, &path).await {
            Ok(text) => text.map(|text| String::from_utf8_lossy(&text).into_owned()),
            // It says nothing of its build; that is no reason to say nothing of it.
            Err(error) => {
                tracing::debug!(container = one.name, problem = %error.in_one_line(), "no BUILD_INFO.txt");
                None
            }
        };
        found.push(one);
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

fn describe(
    place: Place,
    image: String,
    name: &str,
    shown: ContainerInspectResponse,
    of_image: &[String],
) -> Found {
    let config = shown.config.unwrap_or_default();
    let host = shown.host_config.unwrap_or_default();
    let given = config.env.unwrap_or_default();
    let name_of = |line: &String| line.split('=').next().unwrap_or_default().to_owned();
    let variables = given.iter().filter_map(|line| line.split_once('='));
    let restart = host.restart_policy.clone().unwrap_or_default();
    let mounts = shown.mounts.unwrap_or_default().into_iter();
    Found {
        id: shown.id.unwrap_or_default(),
        name: name.to_owned(),
        place,
        image,
        home: None,
        running: shown
            .state
            .and_then(|state| state.running)
            .unwrap_or_default(),
        fleeting: host.auto_remove.unwrap_or_default(),
        restart: Restart {
            policy: restart.name.map_or_else(String::new, |it| it.to_string()),
            retries: restart.maximum_retry_count.filter(|count| *count > 0),
        },
        of_image: given
            .iter()
            .filter(|line| of_image.contains(line))
            .map(name_of)
            .collect(),
        variables: variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        ports: ports(&host),
        network: match host.network_mode.as_deref() {
            // Two words of one meaning.
            None | Some("" | "default") => "bridge".to_owned(),
            Some(network) => network.to_owned(),
        },
        mounts: mounts.filter_map(|mount| mount.destination).collect(),
        build_info: None,
    }
}

fn ports(host: &HostConfig) -> BTreeMap<String, Vec<Open>> {
    let open = |binding: &bollard::models::PortBinding| {
        let ip: Option<IpAddr> = binding.host_ip.as_deref().and_then(|ip| ip.parse().ok());
        let port = binding.host_port.as_deref()?.parse().ok()?;
        Some(Open {
            ip: ip.filter(|ip| !ip.is_unspecified()),
            port,
        })
    };
    let bindings = host.port_bindings.iter().flatten();
    bindings
        .map(|(port, bindings)| {
            let open = bindings.iter().flatten().filter_map(open).collect();
            (port.clone(), open)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whose_place_it_is() {
        let env = EnvName::parse("dev-001").unwrap();
        for (name, expected) in [
            ("gw-pool-dev-001-0", Place::Gateway(0)),
            ("gw-pool-dev-001-12", Place::Gateway(12)),
            ("gw-pool-dev-001-3.before-lockgate", Place::Aside(3)),
            ("gw-pool-dev-001-0-old", Place::Other),
            ("gw-pool-dev-001", Place::Other),
            ("gw-pool-dev-0", Place::Other),
            ("gw-pool-dev-001-001-0", Place::Other),
            ("postgres", Place::Other),
        ] {
            assert_eq!(place(&env, name), expected, "{name}");
        }
    }

    #[test]
    fn what_an_engine_shows_is_read() {
        let shown = serde_json::json!({
            "Id": "abc", "Image": "sha256:1", "State": {"Running": true},
            "Config": {"Env": ["PATH=/bin", "NODE_ENV=test", "GATEWAY_TOKEN=a=b"]},
            "HostConfig": {
                "NetworkMode": "default", "AutoRemove": true,
                "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
                "PortBindings": {
                    "7100/tcp": [{"HostIp": "", "HostPort": "7100"}],
                    "49100/udp": [{"HostIp": "127.0.0.1", "HostPort": "49100"}],
                },
            },
            "Mounts": [{"Type": "bind", "Source": "/work", "Destination": "/root/workspace"}],
        });
        let shown = serde_json::from_value(shown).unwrap();
        let of_image = ["PATH=/bin".to_owned(), "NODE_ENV=production".to_owned()];
        let found = describe(Place::Gateway(0), "seed:1".into(), "x", shown, &of_image);
        assert!(found.running && found.fleeting);
        assert_eq!(found.network, "bridge");
        assert_eq!(found.restart.policy, "on-failure");
        assert_eq!(found.restart.retries, Some(3));
        assert_eq!(found.variables["GATEWAY_TOKEN"], "a=b");
        assert_eq!(found.of_image, BTreeSet::from(["PATH".to_owned()]));
        assert_eq!(found.mounts, ["/root/workspace"]);
        let open = |port: &str| found.ports[port][0];
        assert_eq!((open("7100/tcp").ip, open("7100/tcp").port), (None, 7100));
        assert_eq!(open("49100/udp").ip, Some([127, 0, 0, 1].into()));
    }

    #[test]
    fn what_build_info_says_is_read() {
        let shown = ContainerInspectResponse::default();
        let mut found = describe(Place::Other, String::new(), "x", shown, &[]);
        assert_eq!(found.build(), None);
        let text = "Environment: dev-001\nBuild: 0123456789ab\nCommit: unknown\nDirty: yes\n";
        found.build_info = Some(text.to_owned());
        assert_eq!(found.build(), Some("0123456789ab"));
        assert_eq!(
            (found.says("Commit"), found.says("Dirty")),
            (None, Some("yes"))
        );
        assert_eq!(found.says("Built"), None);
    }
}
