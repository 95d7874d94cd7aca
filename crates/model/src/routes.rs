//! Names that a gateway's door does not give to the application: those of user
//! containers, which lie in the gateway's VPN.
//!
//! The whole table is set at once, by lines `fqdn ip port`, and either all of it is
//! right or none of it is taken.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use crate::ports::{VPN_GATEWAY, VPN_NETWORK, VPN_PREFIX};

/// How user containers' names begin: `uc-{uuid}.org-{uuid}.{domain}`.
pub const CONTAINER_PREFIX: &str = "uc-";

/// The longest name of the DNS.
const LONGEST_NAME: usize = 253;
/// The longest part of one.
const LONGEST_LABEL: usize = 63;

/// A host name as routes compare it: lower case, without port and final dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RouteName(String);

impl RouteName {
    /// Reads a name; a port and a final dot are cut off.
    pub fn parse(text: &str) -> Result<Self, RouteError> {
        let name = plain_host(text);
        let is_label = |label: &str| {
            (1..=LONGEST_LABEL).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        let is_name = name.len() <= LONGEST_NAME && name.split('.').all(is_label);
        // What ends in a number is read as an address by those who ask for it.
        let last = name.rsplit('.').next().unwrap_or_default();
        let is_address = last.bytes().all(|byte| byte.is_ascii_digit());
        if is_name && !is_address {
            Ok(Self(name))
        } else {
            Err(RouteError::Name(text.to_owned()))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RouteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for RouteName {
    type Error = RouteError;
    fn try_from(text: String) -> Result<Self, RouteError> {
        Self::parse(&text)
    }
}

impl From<RouteName> for String {
    fn from(name: RouteName) -> Self {
        name.0
    }
}

/// A host as a client writes it, made comparable: lower case, without port and final
/// dot.
pub fn plain_host(text: &str) -> String {
    let host = match text.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => text,
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    host.to_ascii_lowercase()
}

/// What is wrong with one route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Fewer or more words than three.
    #[error("`{0}` is not `fqdn ip port`")]
    Words(String),
    /// The first word.
    #[error("`{0}` is not a host name")]
    Name(String),
    /// The second word.
    #[error("`{0}` is not an IPv4 address")]
    Address(String),
    /// An address of another network.
    #[error("`{0}` does not lie in the VPN, {VPN_NETWORK}/{VPN_PREFIX}")]
    OutsideVpn(Ipv4Addr),
    /// An address of the network that no container has.
    #[error("`{0}` is {what}, not a user container's", what = own_address(*.0))]
    NotAContainer(Ipv4Addr),
    /// The third word.
    #[error("`{0}` is not a port from 1 to 65535")]
    Port(String),
    /// The name was there before.
    #[error("`{0}` is there twice")]
    Twice(RouteName),
}

fn own_address(address: Ipv4Addr) -> &'static str {
    if address == VPN_GATEWAY {
        "the gateway's own address"
    } else {
        "the network's own address"
    }
}

/// One name and the user container that it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The name.
    pub name: RouteName,
    /// The container's address in the VPN.
    pub address: Ipv4Addr,
    /// The port on which it answers HTTP.
    pub port: NonZeroU16,
}

impl Route {
    /// Reads `fqdn ip port`.
    fn parse(line: &str) -> Result<Self, Vec<RouteError>> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [name, address, port] = words.as_slice() else {
            return Err(vec![RouteError::Words(line.trim().to_owned())]);
        };
        let name = RouteName::parse(name);
        let address = address
            .parse()
            .map_err(|_| RouteError::Address((*address).to_owned()))
            .and_then(in_the_vpn);
        let port = port
            .parse()
            .ok()
            // `+80` is no port, though it can be read as one.
            .filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()))
            .ok_or_else(|| RouteError::Port((*port).to_owned()));
        match (name, address, port) {
            (Ok(name), Ok(address), Ok(port)) => Ok(Self {
                name,
                address,
                port,
            }),
            (name, address, port) => Err([name.err(), address.err(), port.err()]
                .into_iter()
                .flatten()
                .collect()),
        }
    }

    /// Where the container answers.
    pub fn upstream(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address, self.port.get())
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.address, self.port)
    }
}

fn in_the_vpn(address: Ipv4Addr) -> Result<Ipv4Addr, RouteError> {
    let host_bits = u32::MAX >> VPN_PREFIX;
    let (network, host) = (
        address.to_bits() & !host_bits,
        address.to_bits() & host_bits,
    );
    if network != VPN_NETWORK.to_bits() {
        Err(RouteError::OutsideVpn(address))
    } else if address == VPN_GATEWAY || host == 0 || host == host_bits {
        Err(RouteError::NotAContainer(address))
    } else {
        Ok(address)
    }
}

/// What is wrong with a text of routes: everything at once, each with its line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", said(.0))]
pub struct RouteProblems(pub Vec<(usize, RouteError)>);

fn said(problems: &[(usize, RouteError)]) -> String {
    let all: Vec<String> = problems
        .iter()
        .map(|(line, problem)| format!("line {line}: {problem}"))
        .collect();
    all.join("; ")
}

/// All routes of a gateway, sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Route>", into = "Vec<Route>")]
pub struct RouteTable(BTreeMap<RouteName, Route>);

impl RouteTable {
    /// Reads lines `fqdn ip port`; empty ones are skipped.
    pub fn parse(text: &str) -> Result<Self, RouteProblems> {
        let mut routes = BTreeMap::new();
        let mut problems = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() {
                continue;
            }
            match Route::parse(line) {
                Ok(route) => {
                    let name = route.name.clone();
                    if routes.insert(name.clone(), route).is_some() {
                        problems.push((number, RouteError::Twice(name)));
                    }
                }
                Err(all) => problems.extend(all.into_iter().map(|problem| (number, problem))),
            }
        }
        if problems.is_empty() {
            Ok(Self(routes))
        } else {
            Err(RouteProblems(problems))
        }
    }

    /// Where a host leads, however it is written; `None` where it is nobody's.
    pub fn find(&self, host: &str) -> Option<&Route> {
        // A name that was not parsed is looked for by its text alone.
        self.0.get(&RouteName(plain_host(host)))
    }

    /// Whether a host has the name of a user container, routed or not.
    pub fn is_container_name(host: &str) -> bool {
        plain_host(host).starts_with(CONTAINER_PREFIX)
    }

    /// The routes, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Vec<Route>> for RouteTable {
    type Error = RouteError;
    fn try_from(all: Vec<Route>) -> Result<Self, RouteError> {
        let mut routes = BTreeMap::new();
        for route in all {
            in_the_vpn(route.address)?;
            let name = route.name.clone();
            if routes.insert(name.clone(), route).is_some() {
                return Err(RouteError::Twice(name));
            }
        }
        Ok(Self(routes))
    }
}

impl From<RouteTable> for Vec<Route> {
    fn from(table: RouteTable) -> Self {
        table.0.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let problems = RouteTable::parse(text).map(|_| ()).unwrap_err();
        assert_eq!(problems.to_string(), expected, "{text}");
    }

    #[test]
    fn lines_become_a_table() {
        let table = RouteTable::parse(
            "uc-b.org-1.domain.local 172.16.0.6 8080\n\n  UC-A.Org-1.Domain.Local.:443\t172.16.255.254   65535 \r\n",
        )
        .unwrap();
        let shown: Vec<String> = table.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "uc-a.org-1.domain.local 172.16.255.254 65535",
                "uc-b.org-1.domain.local 172.16.0.6 8080"
            ]
        );
        assert_eq!(RouteTable::parse("\n \n").unwrap(), RouteTable::default());
    }

    #[test]
    fn a_host_is_found_however_it_is_written() {
        let table = RouteTable::parse("uc-1.domain.local 172.16.0.6 80").unwrap();
        for host in [
            "uc-1.domain.local",
            "UC-1.Domain.LOCAL",
            "uc-1.domain.local.",
            "uc-1.domain.local:7100",
            "uc-1.domain.local.:7100",
        ] {
            let found = table.find(host).unwrap();
            assert_eq!(found.upstream().to_string(), "172.16.0.6:80", "{host}");
        }
        for host in [
            "",
            ".",
            "uc-1",
            "uc-1.domain.local..",
            "x.uc-1.domain.local",
            "domain.local",
            "[::1]:80",
        ] {
            assert_eq!(table.find(host), None, "{host}");
        }
    }

    #[test]
    fn names_of_containers_are_known_by_their_beginning() {
        for (host, expected) in [
            ("uc-1.org-2.domain.local", true),
            ("UC-1.x:80", true),
            ("org-2.domain.local", false),
            ("x.uc-1.domain.local", false),
            ("172.16.0.1", false),
        ] {
            assert_eq!(RouteTable::is_container_name(host), expected, "{host}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        check(
            "good.local 172.16.0.6 80\n-bad- 10.0.0.1 0\nshort 172.16.0.6\ngood.local 172.16.0.7 80\nmore 172.16.0.6 80 x",
            "line 2: `-bad-` is not a host name; \
             line 2: `10.0.0.1` does not lie in the VPN, 172.16.0.0/16; \
             line 2: `0` is not a port from 1 to 65535; \
             line 3: `short 172.16.0.6` is not `fqdn ip port`; \
             line 4: `good.local` is there twice; \
             line 5: `more 172.16.0.6 80 x` is not `fqdn ip port`",
        );
    }

    #[test]
    fn names_are_names() {
        let long = format!("{}.local", "x".repeat(64));
        let longer = format!("{}local", "x.".repeat(125));
        for bad in [
            "172.16.0.6",
            "a.10",
            "a..b",
            ".a",
            "a b",
            "*.a",
            "~^a",
            "a;b",
            "a{",
            "ü.local",
            "[::1]",
            ":80",
            &long,
            &longer,
        ] {
            assert!(RouteName::parse(bad).is_err(), "{bad}");
        }
        for good in ["a", "uc-1--svc.org-2.a-b.local", "a_b.local", "1a"] {
            assert_eq!(RouteName::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn addresses_are_those_of_containers() {
        for (address, why) in [
            ("172.17.0.2", "does not lie in the VPN"),
            ("127.0.0.1", "does not lie in the VPN"),
            ("172.16.0.1", "is the gateway's own address"),
            ("172.16.0.0", "is the network's own address"),
            ("172.16.255.255", "is the network's own address"),
            ("172.16.0.06", "is not an IPv4 address"),
            ("172.16.0", "is not an IPv4 address"),
            ("::ffff:172.16.0.6", "is not an IPv4 address"),
        ] {
            let problems = RouteTable::parse(&format!("a {address} 80")).unwrap_err();
            assert!(problems.to_string().contains(why), "{problems}");
        }
        for port in ["0", "65536", "-1", "+80", "80a", "http"] {
            check(
                &format!("a 172.16.0.6 {port}"),
                &format!("line 1: `{port}` is not a port from 1 to 65535"),
            );
        }
    }

    #[test]
    fn a_table_comes_back_from_json_and_a_wrong_one_does_not() {
        let table = RouteTable::parse("b.local 172.16.0.6 80\na.local 172.16.0.7 81").unwrap();
        let json = serde_json::to_string(&table).unwrap();
        assert_eq!(
            json,
            r#"[{"name":"a.local","address":"172.16.0.7","port":81},{"name":"b.local","address":"172.16.0.6","port":80}]"#
        );
        assert_eq!(serde_json::from_str::<RouteTable>(&json).unwrap(), table);
        for wrong in [
            json.replace("172.16.0.7", "127.0.0.1"),
            json.replace("81", "0"),
            json.replace("b.local", "a.local"),
            json.replace("b.local", "b local"),
        ] {
            assert!(
                serde_json::from_str::<RouteTable>(&wrong).is_err(),
                "{wrong}"
            );
        }
    }
}
