//! What a container is made from, and the digest that tells whether one was made from the same.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, HostConfig, HostConfigLogConfig, PortBinding,
    RestartPolicy, RestartPolicyNameEnum,
};
use lockgate_model::{Digest, GatewayName, environment as variable};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::environment::docker::Publish;
use crate::runtime::{ContainerPart, GatewaySpec};

/// The seed's label with the environment's name.
pub(super) const ENVIRONMENT: &str = "environment";
/// The label with the id of the home whose container it is.
pub(super) const HOME: &str = "io.lockgate.home";
/// The label with the gateway's name.
pub(super) const GATEWAY: &str = "io.lockgate.gateway";
/// The label with the digest of what the container was made from.
pub(super) const SPEC: &str = "io.lockgate.spec";

/// The folder in a container in which the files below lie.
pub(super) const FOLDER: &str = "/etc/lockgate";
/// The file with the token towards the build server.
pub(super) const TOKEN: &str = "token";
/// The file with the server's addresses, which may change while the container lives.
pub(super) const SERVERS: &str = "servers";
/// The file with the certificate of the authority, which may come later.
pub(super) const AUTHORITY: &str = "ca.pem";
/// Where a container's resolver looks first.
const HOSTS: &str = "/etc/hosts";

/// How long `docker stop` waits before it kills, in seconds: ten for the application, as
/// everywhere, and ten for the agent's own way to its end.
const STOP_SECS: i64 = 20;

/// All that a container is made from; nothing in it is a credential towards the build server.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub(super) struct Blueprint {
    gateway: GatewayName,
    home: String,
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_id: Option<String>,
    network: String,
    variables: BTreeMap<String, String>,
    /// Ports as the engine writes them, and the host's addresses on which they are open.
    ports: BTreeMap<String, u16>,
    open_on: Vec<IpAddr>,
}

impl Blueprint {
    /// The container of a gateway whose network has this address on the host.
    pub(super) fn new(
        spec: &GatewaySpec,
        part: &ContainerPart,
        home: &str,
        bridge: IpAddr,
    ) -> Self {
        let mut variables: BTreeMap<String, String> = spec
            .variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.to_string_lossy().into_owned()))
            .collect();
        let more = [
            (variable::LOCKGATE_TOKEN_FILE, TOKEN),
            (variable::LOCKGATE_SERVERS_FILE, SERVERS),
            (variable::LOCKGATE_CA_FILE, AUTHORITY),
        ];
        variables.extend(more.map(|(name, file)| (name.to_owned(), format!("{FOLDER}/{file}"))));
        // A container has this file for itself.
        variables.insert(variable::LOCKGATE_HOSTS_FILE.to_owned(), HOSTS.to_owned());
        // Anybody may ask there, and say of themselves what they like.
        if part.publish == Publish::All {
            let name = variable::LOCKGATE_DOOR_FORWARDED.to_owned();
            variables.insert(name, "replace".to_owned());
        }
        Self {
            gateway: spec.name.clone(),
            home: home.to_owned(),
            image: part.image.clone(),
            image_id: part.image_id.clone(),
            network: part.network.clone(),
            variables,
            ports: [
                (format!("{}/tcp", spec.http_port), spec.http_port),
                (format!("{}/udp", part.vpn_port), part.vpn_port),
            ]
            .into(),
            open_on: match part.publish {
                Publish::Loopback => vec![IpAddr::from([127, 0, 0, 1]), bridge],
                Publish::All => vec![IpAddr::from([0, 0, 0, 0])],
            },
        }
    }

    /// The container's name.
    pub(super) fn gateway(&self) -> &GatewayName {
        &self.gateway
    }

    /// The image it is made from.
    pub(super) fn image(&self) -> &str {
        &self.image
    }

    /// Differs where the container would.
    pub(super) fn digest(&self) -> String {
        // Text, numbers and maps with text for keys: that is always JSON.
        let text = serde_json::to_vec(self).unwrap_or_default();
        let digest = Digest::from_bytes(Sha256::digest(&text).into());
        digest.hex().chars().take(16).collect()
    }

    /// What the engine is asked to make. `rotates`: whether it knows the log driver that rotates.
    pub(super) fn body(&self, rotates: bool) -> ContainerCreateBody {
        let labels = [
            (ENVIRONMENT, self.gateway.env().to_string()),
            (HOME, self.home.clone()),
            (GATEWAY, self.gateway.to_string()),
            (SPEC, self.digest()),
        ];
        let variables = self.variables.iter();
        let binding = |port: &u16, ip: &IpAddr| PortBinding {
            host_ip: Some(ip.to_string()),
            host_port: Some(port.to_string()),
        };
        let bindings = |port: &u16| Some(self.open_on.iter().map(|ip| binding(port, ip)).collect());
        let ports = self.ports.iter();
        ContainerCreateBody {
            hostname: Some(self.gateway.to_string()),
            image: Some(self.image.clone()),
            env: Some(
                variables
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect(),
            ),
            labels: Some(labels.map(|(name, value)| (name.to_owned(), value)).into()),
            exposed_ports: Some(self.ports.keys().cloned().collect()),
            stop_timeout: Some(STOP_SECS),
            host_config: Some(HostConfig {
                network_mode: Some(self.network.clone()),
                port_bindings: Some(
                    ports
                        .map(|(key, port)| (key.clone(), bindings(port)))
                        .collect(),
                ),
                cap_add: Some(vec!["NET_ADMIN".to_owned()]),
                devices: Some(vec![DeviceMapping {
                    path_on_host: Some("/dev/net/tun".to_owned()),
                    path_in_container: Some("/dev/net/tun".to_owned()),
                    cgroup_permissions: Some("rwm".to_owned()),
                }]),
                restart_policy: Some(RestartPolicy {
                    name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                    maximum_retry_count: None,
                }),
                log_config: rotates.then(log_config),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        }
    }
}

/// `docker logs` repeats what the agent keeps in its own, rotated log: it shall not fill the disk.
fn log_config() -> HostConfigLogConfig {
    let options = [("max-size", "10m"), ("max-file", "3")];
    let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
    HostConfigLogConfig {
        typ: Some("json-file".to_owned()),
        config: Some(HashMap::from(options)),
    }
}

#[cfg(test)]
mod tests {
    use lockgate_model::EnvName;

    use super::*;

    const BRIDGE: [u8; 4] = [172, 17, 0, 1];

    fn spec() -> GatewaySpec {
        GatewaySpec {
            name: GatewayName::new(&EnvName::parse("dev-001").unwrap(), 2),
            folder: "/home/x".into(),
            http_port: 7102,
            variables: vec![
                (variable::DOMAIN, "dev.localhost".into()),
                (variable::GATEWAY_TOKEN, "opaque".into()),
            ],
            container: None,
        }
    }

    fn part() -> ContainerPart {
        ContainerPart {
            image: "lockgate/gateway:1".into(),
            image_id: None,
            network: "bridge".into(),
            publish: Publish::Loopback,
            vpn_port: 49102,
        }
    }

    fn blueprint(part: &ContainerPart) -> Blueprint {
        Blueprint::new(&spec(), part, "home-id", IpAddr::from(BRIDGE))
    }

    #[test]
    fn a_container_is_made_as_the_shell_system_made_it() {
        let body = serde_json::to_value(blueprint(&part()).body(true)).unwrap();
        assert_eq!(body["Hostname"], "gw-pool-dev-001-2");
        assert_eq!(body["Labels"]["environment"], "dev-001");
        assert_eq!(body["Labels"]["io.lockgate.home"], "home-id");
        assert_eq!(body["Labels"]["io.lockgate.gateway"], "gw-pool-dev-001-2");
        let host = &body["HostConfig"];
        assert_eq!(host["NetworkMode"], "bridge");
        assert_eq!(host["CapAdd"], serde_json::json!(["NET_ADMIN"]));
        assert_eq!(host["Devices"][0]["PathInContainer"], "/dev/net/tun");
        assert_eq!(host["RestartPolicy"]["Name"], "unless-stopped");
        for (port, number) in [("7102/tcp", "7102"), ("49102/udp", "49102")] {
            let bindings = &host["PortBindings"][port];
            assert_eq!(
                *bindings,
                serde_json::json!([
                    {"HostIp": "127.0.0.1", "HostPort": number},
                    {"HostIp": "172.17.0.1", "HostPort": number},
                ])
            );
        }
        let env = body["Env"].as_array().unwrap();
        for expected in [
            "DOMAIN=dev.localhost",
            "LOCKGATE_CA_FILE=/etc/lockgate/ca.pem",
            "LOCKGATE_HOSTS_FILE=/etc/hosts",
            "LOCKGATE_SERVERS_FILE=/etc/lockgate/servers",
            "LOCKGATE_TOKEN_FILE=/etc/lockgate/token",
        ] {
            assert!(
                env.iter().any(|one| one == expected),
                "{expected} in {env:?}"
            );
        }
    }

    #[test]
    fn ports_are_open_on_all_addresses_only_where_that_is_asked_for() {
        let all = ContainerPart {
            publish: Publish::All,
            ..part()
        };
        let body = serde_json::to_value(blueprint(&all).body(false)).unwrap();
        assert_eq!(
            body["HostConfig"]["PortBindings"]["7102/tcp"],
            serde_json::json!([{"HostIp": "0.0.0.0", "HostPort": "7102"}])
        );
        assert_eq!(body["HostConfig"]["LogConfig"], serde_json::Value::Null);
    }

    #[test]
    fn a_door_believes_its_clients_only_where_not_everybody_reaches_it() {
        let told = |publish| {
            let part = ContainerPart { publish, ..part() };
            let env = blueprint(&part).body(true).env.unwrap_or_default();
            let mut told = env.into_iter();
            told.find(|one| one.starts_with("LOCKGATE_DOOR_FORWARDED"))
        };
        assert_eq!(
            told(Publish::All).as_deref(),
            Some("LOCKGATE_DOOR_FORWARDED=replace")
        );
        // Not even the default is said: the container's digest stays as it was.
        assert_eq!(told(Publish::Loopback), None);
    }

    #[test]
    fn the_digest_differs_where_the_container_would() {
        let known = blueprint(&part()).digest();
        assert_eq!(known, blueprint(&part()).digest());
        assert_eq!(known.len(), 16);
        let others = [
            ContainerPart {
                image: "other".into(),
                ..part()
            },
            ContainerPart {
                image_id: Some("sha256:1".into()),
                ..part()
            },
            ContainerPart {
                network: "other".into(),
                ..part()
            },
            ContainerPart {
                publish: Publish::All,
                ..part()
            },
            ContainerPart {
                vpn_port: 49103,
                ..part()
            },
        ];
        for other in &others {
            assert_ne!(known, blueprint(other).digest());
        }
        let mut spec = spec();
        spec.variables.pop();
        let fewer = Blueprint::new(&spec, &part(), "home-id", IpAddr::from(BRIDGE));
        assert_ne!(known, fewer.digest());
    }
}
