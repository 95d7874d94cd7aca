//! Whether this server runs in a container of the very engine that it asks, and which one that is.
//!
//! Then neither the network's gateway address nor 127.0.0.1 of the engine's host are its own: it
//! listens at its own address in the gateways' network and reaches them at theirs. What a container
//! knows of itself are traces; the engine's list decides whether one of them is a container's id.

use std::net::IpAddr;

use super::engine::Listed;

/// How long a container's id is, and how much of it a host name shows, in hex digits.
const ID: usize = 64;
const SHORT_ID: usize = 12;

/// What in this process's surroundings may be the id of its container, surest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Traces(Vec<String>);

/// The container of this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own<'a> {
    /// Its name, for who has to connect it.
    pub(super) name: &'a str,
    /// Whose network it has: its own, or another container's.
    connected: &'a Listed,
}

impl Traces {
    /// Reads them.
    pub(super) fn read() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self::of(
            &read("/proc/self/mountinfo"),
            &read("/proc/self/cgroup"),
            &read("/proc/sys/kernel/hostname"),
        )
    }

    /// An engine mounts a container's host name from a folder that has its id; control groups are
    /// named after it, where they can be seen; the host name itself is its beginning, unless another
    /// one was chosen.
    fn of(mountinfo: &str, cgroup: &str, hostname: &str) -> Self {
        let mounted = mountinfo.lines().filter_map(|line| {
            let mut fields = line.split(' ').skip(3);
            let (root, point) = (fields.next()?, fields.next()?);
            // A machine that has containers mounts things below their ids, too, but not there.
            let own = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"].contains(&point);
            own.then(|| root.split('/').find(|part| is_id(part, ID)))?
        });
        let groups = cgroup.lines().filter_map(|line| {
            let name = line.rsplit('/').next()?;
            let name = name.strip_suffix(".scope").unwrap_or(name);
            let id = name.rsplit('-').next()?;
            is_id(id, ID).then_some(id)
        });
        let named = Some(hostname.trim()).filter(|name| is_id(name, SHORT_ID));
        let mut all: Vec<String> = Vec::new();
        for id in mounted.chain(groups).chain(named) {
            if !all.iter().any(|known| known.starts_with(id)) {
                all.push(id.to_owned());
            }
        }
        Self(all)
    }

    /// The container among those of an engine. `None` on the engine's host, and in a container that
    /// has the host's own network: there everything is as on the host.
    pub(super) fn container<'a>(&self, listed: &'a [Listed]) -> Option<Own<'a>> {
        let by_id = |id: &str| listed.iter().find(|one| one.id.starts_with(id));
        let own = self.0.iter().find_map(|id| by_id(id))?;
        let mode = own.network_mode.as_str();
        let connected = match mode.strip_prefix("container:") {
            Some(other) => by_id(other)
                .or_else(|| listed.iter().find(|one| one.name == other))
                .unwrap_or(own),
            None => own,
        };
        (connected.network_mode != "host").then_some(Own {
            name: &connected.name,
            connected,
        })
    }
}

impl Own<'_> {
    /// Its address in this network.
    pub(super) fn address_in(&self, network: &str) -> Option<IpAddr> {
        self.connected.address_in(network)
    }

    /// What is to be done where it has none.
    pub(super) fn unconnected(&self, network: &str) -> String {
        format!(
            "this server runs in the container `{name}`, which is not in the network `{network}`, so \
             gateways there do not reach it; `docker network connect {network} {name}` connects it",
            name = self.name
        )
    }
}

fn is_id(text: &str, digits: usize) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == digits && text.bytes().all(hex)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::super::engine::Attached;
    use super::super::plan::State;
    use super::*;

    const MINE: &str = "1f0c2b7d9e1f0c2b7d9e1f0c2b7d9e1f0c2b7d9e1f0c2b7d9e1f0c2b7d9e1234";
    const OTHER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn traces(mountinfo: &str, cgroup: &str, hostname: &str) -> Vec<String> {
        Traces::of(mountinfo, cgroup, hostname).0
    }

    #[test]
    fn a_container_is_known_by_what_the_engine_mounts_names_and_groups() {
        let mount = |root: &str, point: &str| {
            format!("613 590 8:1 {root} {point} rw,relatime - ext4 /dev/sda1 rw\n")
        };
        let docker = format!("/var/lib/docker/containers/{MINE}/hostname");
        let podman = format!("/containers/overlay-containers/{MINE}/userdata/hostname");
        for root in [docker, podman] {
            let found = traces(&mount(&root, "/etc/hostname"), "", "chosen");
            assert_eq!(found, [MINE], "{root}");
        }
        for group in [
            format!("12:pids:/docker/{MINE}\n0::/\n"),
            format!("0::/system.slice/docker-{MINE}.scope\n"),
            format!("0::/kubepods/besteffort/pod1/{MINE}\n"),
        ] {
            assert_eq!(traces("", &group, ""), [MINE], "{group}");
        }
        assert_eq!(traces("", "0::/\n", &MINE[..12]), [&MINE[..12]]);
        // One and the same is tried once.
        let all = traces(
            &mount(&format!("/x/{MINE}/hosts"), "/etc/hosts"),
            &format!("0::/docker/{MINE}"),
            &MINE[..12],
        );
        assert_eq!(all, [MINE]);
    }

    #[test]
    fn a_machine_that_has_containers_is_none() {
        let shm = format!(
            "99 25 0:50 / /var/lib/docker/containers/{OTHER}/mounts/shm rw - tmpfs shm rw\n\
             98 25 0:49 / /var/lib/docker/overlay2/{OTHER}/merged rw - overlay overlay rw\n"
        );
        let session = "0::/user.slice/user-1000.slice/session-3.scope\n";
        for name in ["box", "deadbeef", "cafe-cafe-12"] {
            assert_eq!(traces(&shm, session, name), Vec::<String>::new());
        }
    }

    fn listed(id: &str, name: &str, network_mode: &str, address: Option<&str>) -> Listed {
        let attached = address.map(|address| Attached {
            id: "7777".repeat(16),
            address: address.parse().unwrap(),
        });
        Listed {
            id: id.into(),
            name: name.into(),
            image: "image".into(),
            image_id: None,
            labels: HashMap::new(),
            state: State::Running,
            exit_code: None,
            network_mode: network_mode.into(),
            networks: attached
                .map(|attached| ("pool".to_owned(), attached))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
        }
    }

    #[test]
    fn only_what_the_engine_knows_is_a_container_and_its_network_counts() {
        let traces = Traces(vec![OTHER.into(), MINE[..12].into()]);
        assert_eq!(traces.container(&[]), None);
        let check = |all: &[Listed], expected: Option<(&str, Option<&str>)>| {
            let own = traces.container(all);
            let address = own.as_ref().and_then(|own| own.address_in("pool"));
            let found = own.as_ref().map(|own| own.name);
            assert_eq!(found, expected.map(|(name, _)| name));
            let address = address.map(|address| address.to_string());
            assert_eq!(
                address.as_deref(),
                expected.and_then(|(_, address)| address)
            );
        };
        let own = |mode, address| listed(MINE, "lockgate", mode, address);
        check(
            &[own("pool", Some("172.18.0.5"))],
            Some(("lockgate", Some("172.18.0.5"))),
        );
        check(&[own("other", None)], Some(("lockgate", None)));
        check(&[own("host", None)], None);
        let side = listed("bb", "side", "pool", Some("172.18.0.9"));
        let beside = own("container:bb", None);
        check(&[beside, side], Some(("side", Some("172.18.0.9"))));
        let on_host = listed("bb", "side", "host", None);
        check(&[own("container:side", None), on_host], None);
    }

    #[test]
    fn networks_are_named_by_name_or_id() {
        let own = listed(MINE, "lockgate", "pool", Some("172.18.0.5"));
        let address = Some(IpAddr::from([172, 18, 0, 5]));
        for name in ["pool", &"7777".repeat(16), "777777777777"] {
            assert_eq!(own.address_in(name), address, "{name}");
        }
        for name in ["poo", "8888", ""] {
            assert_eq!(own.address_in(name), None, "{name}");
        }
    }
}
