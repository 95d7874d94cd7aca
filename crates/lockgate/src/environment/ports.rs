//! Ports of gateways, unique over all environments of all homes and not in anybody else's hands.
//!
//! A lease holds one lock over all homes of a user; ports count as taken once an `env.toml` names them,
//! so the lease is kept until that file is in place.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use lockgate_model::{EnvName, ports};
use tokio::net::TcpSocket;

use super::{Environment, EnvironmentError};
use crate::home::{Home, durable};

/// The right to choose ports, held by one process at a time.
#[derive(Debug)]
pub(crate) struct PortsLease {
    _lock: File,
    http: BTreeSet<u16>,
    vpn: BTreeSet<u16>,
    /// This home's environments, and those of others.
    environments: (Vec<Environment>, Vec<Environment>),
}

/// Ports that environments have, each with whose it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// HTTP.
    pub(crate) http: BTreeMap<u16, EnvName>,
    /// OpenVPN.
    pub(crate) vpn: BTreeMap<u16, EnvName>,
}

/// The ports of one gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GatewayPorts {
    /// HTTP, TCP.
    pub(crate) http: u16,
    /// OpenVPN, UDP.
    pub(crate) vpn: u16,
}

/// Why no ports were chosen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PortsError {
    /// The lock's file cannot be used.
    #[error("`{path}` cannot be locked")]
    Lock {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The environments that have ports cannot be read.
    #[error("the ports in use cannot be told")]
    Environments(#[from] EnvironmentError),
    /// Too few are left.
    #[error(
        "{wanted} free {what} ports are needed, {} of {first}–{last} are left",
        free
    )]
    Exhausted {
        /// `HTTP` or `VPN`.
        what: &'static str,
        /// How many were asked for.
        wanted: usize,
        /// How many are free.
        free: usize,
        /// The range's first port.
        first: u16,
        /// The range's last port.
        last: u16,
    },
}

impl PortsLease {
    /// Waits for the lock and reads which ports the environments have.
    pub(crate) fn take(home: &Home) -> Result<Self, PortsError> {
        let path = home.ports_lock();
        let lock = durable::lock(&path).map_err(|source| PortsError::Lock { path, source })?;
        let own = Environment::list(home)?;
        let mut others = Vec::new();
        for other in home.others() {
            match Environment::list(&other) {
                Ok(theirs) => others.extend(theirs),
                // Its ports are still seen while something listens on them.
                Err(error) => {
                    tracing::warn!(home = %other.dir().display(), %error, "its ports cannot be told");
                }
            }
        }
        let all = || own.iter().chain(&others);
        let gateways = || all().flat_map(|one| &one.gateways);
        Ok(Self {
            _lock: lock,
            http: gateways().map(|gateway| gateway.http_port).collect(),
            vpn: gateways().map(|gateway| gateway.vpn_port).collect(),
            environments: (own, others),
        })
    }

    /// The ports of all environments but this one of this home.
    pub(crate) fn taken(&self, but: &EnvName) -> Taken {
        let (own, others) = &self.environments;
        let mut taken = Taken::default();
        for one in own.iter().filter(|one| one.name != *but).chain(others) {
            for gateway in &one.gateways {
                taken.http.insert(gateway.http_port, one.name.clone());
                taken.vpn.insert(gateway.vpn_port, one.name.clone());
            }
        }
        taken
    }

    /// The lowest free ports for this many gateways.
    pub(crate) fn choose(&self, count: usize) -> Result<Vec<GatewayPorts>, PortsError> {
        let http = lowest_free("HTTP", ports::GATEWAY_HTTP, &self.http, tcp_is_free, count)?;
        let vpn = lowest_free("VPN", ports::GATEWAY_VPN, &self.vpn, udp_is_free, count)?;
        let pair = |(http, vpn)| GatewayPorts { http, vpn };
        Ok(http.into_iter().zip(vpn).map(pair).collect())
    }
}

fn lowest_free(
    what: &'static str,
    range: RangeInclusive<u16>,
    leased: &BTreeSet<u16>,
    is_free: impl Fn(u16) -> bool,
    count: usize,
) -> Result<Vec<u16>, PortsError> {
    let free = |port: &u16| !leased.contains(port) && is_free(*port);
    let chosen: Vec<u16> = range.clone().filter(free).take(count).collect();
    if chosen.len() == count {
        Ok(chosen)
    } else {
        Err(PortsError::Exhausted {
            what,
            wanted: count,
            free: chosen.len(),
            first: *range.start(),
            last: *range.end(),
        })
    }
}

/// Whether nobody listens on the port, whatever address that is: loopback, a bridge's, all of them, or
/// all of both families. A listener on any address is in the way of all addresses, so those are asked
/// for, and loopback, where nobody listens on all. Bound and not listened on, so that two who look at
/// the same time do not see each other.
fn tcp_is_free(port: u16) -> bool {
    let free = |address| {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((address, port)))
    };
    free(Ipv4Addr::LOCALHOST).is_ok() && free(Ipv4Addr::UNSPECIFIED).is_ok()
}

/// The same for UDP, where all who are bound are in each other's way.
fn udp_is_free(port: u16) -> bool {
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::environment::tests::sample;

    fn check(range: RangeInclusive<u16>, leased: &[u16], busy: &[u16], expected: Option<&[u16]>) {
        let leased = leased.iter().copied().collect();
        let found = lowest_free("HTTP", range, &leased, |port| !busy.contains(&port), 2);
        assert_eq!(found.ok().as_deref(), expected);
    }

    #[test]
    fn the_lowest_ports_that_nobody_has_are_chosen() {
        check(7100..=7109, &[], &[], Some(&[7100, 7101]));
        check(7100..=7109, &[7100], &[7101], Some(&[7102, 7103]));
        check(7100..=7102, &[7101], &[], Some(&[7100, 7102]));
        check(7100..=7102, &[7101], &[7100], None);
    }

    #[test]
    fn too_few_ports_are_an_error_with_numbers() {
        let leased = BTreeSet::from([7100]);
        let error = lowest_free("HTTP", 7100..=7101, &leased, |_| true, 2).unwrap_err();
        assert_eq!(
            error.to_string(),
            "2 free HTTP ports are needed, 1 of 7100–7101 are left"
        );
    }

    #[test]
    fn ports_of_other_homes_are_leased_too() {
        let folder = tempfile::tempdir().unwrap();
        let home = |name: &str| {
            let dir = folder.path().join(name);
            let home = Home::new(&dir, &dir.join("builds"), &folder.path().join("run"));
            home.prepare().unwrap();
            home
        };
        let (one, two) = (home("one"), home("two"));
        let environment = sample("dev-001");
        std::fs::create_dir(one.env_dir(&environment.name)).unwrap();
        environment.save(&one).unwrap();
        let lease = PortsLease::take(&two).unwrap();
        assert_eq!(lease.http, BTreeSet::from([7100]));
        // Of another home it is another environment, whatever its name.
        assert_eq!(lease.taken(&environment.name).http.len(), 1);
        drop(lease);
        let lease = PortsLease::take(&one).unwrap();
        assert_eq!(lease.taken(&environment.name), Taken::default());
        drop(lease);
        std::fs::remove_dir_all(one.dir()).unwrap();
        assert_eq!(PortsLease::take(&two).unwrap().http, BTreeSet::new());
    }

    #[test]
    fn a_listener_on_loopback_alone_is_seen() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!tcp_is_free(port));
        drop(listener);
        assert!(tcp_is_free(port));
    }

    #[test]
    fn whoever_has_a_port_on_any_address_is_seen() {
        // 127.0.0.2 stands for a bridge's address: neither loopback's usual one nor all.
        for address in ["127.0.0.1:0", "127.0.0.2:0", "0.0.0.0:0", "[::]:0"] {
            let address: SocketAddr = address.parse().unwrap();
            let Ok(listener) = TcpListener::bind(address) else {
                assert!(address.is_ipv6(), "{address}");
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            assert!(!tcp_is_free(port), "{address}");
            drop(listener);
            assert!(tcp_is_free(port), "{address}");

            let socket = UdpSocket::bind(address).unwrap();
            let port = socket.local_addr().unwrap().port();
            assert!(!udp_is_free(port), "{address}");
            drop(socket);
            assert!(udp_is_free(port), "{address}");
        }
    }
}
