//! Where a gateway's door may be, seen from this server: a pure list, best first.
//!
//! | this server runs | asked, in this order |
//! |---|---|
//! | on the engine's host | 127.0.0.1, the container's own address |
//! | in a container of the engine | the container's address in a shared network, 127.0.0.1, the host's address in the gateways' network, the default route, `host.docker.internal` |
//! | elsewhere | 127.0.0.1, the host named by `DOCKER_HOST`, the default route, `host.docker.internal` |
//!
//! What `DOCKER_HOST_IP` names goes before all. On the engine's host the published port is asked
//! first, since it stays when the container's address changes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::super::servers::ENGINE_HOST;

/// Where this server runs, seen from the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Standpoint {
    /// On its host, or with its host's network.
    Host,
    /// In one of its containers.
    Container,
    /// On another machine than the one whose ports the engine publishes.
    Elsewhere,
}

/// What is known of a gateway's surroundings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Sides {
    /// Where this server runs.
    pub(in super::super) standpoint: Standpoint,
    /// `DOCKER_HOST_IP`.
    pub(in super::super) given: Option<IpAddr>,
    /// The container's address in its network.
    pub(in super::super) container: Option<IpAddr>,
    /// The address of the engine's host in that network.
    pub(in super::super) bridge: IpAddr,
    /// The host of an engine that is asked by TCP.
    pub(in super::super) engine: Option<String>,
    /// The gateway of this machine's default route.
    pub(in super::super) default_route: Option<IpAddr>,
    /// The gateway's HTTP port, the same inside and outside.
    pub(in super::super) port: u16,
}

/// One place to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Place {
    /// An address.
    At(SocketAddr),
    /// A name, which has to be looked up, and a port.
    Named(String, u16),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => write!(f, "{address}"),
            Self::Named(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

/// The places to ask, best first.
pub(in super::super) fn places(sides: &Sides) -> Vec<Place> {
    let at = |ip: IpAddr| Place::At(SocketAddr::new(ip, sides.port));
    let named = |name: &str| match name.parse() {
        Ok(ip) => at(ip),
        Err(_) => Place::Named(name.to_owned(), sides.port),
    };
    let loopback = at(Ipv4Addr::LOCALHOST.into());
    let mut all: Vec<Place> = sides.given.map(at).into_iter().collect();
    match sides.standpoint {
        Standpoint::Host => {
            all.push(loopback);
            all.extend(sides.container.map(at));
        }
        Standpoint::Container => {
            all.extend(sides.container.map(at));
            all.extend([loopback, at(sides.bridge)]);
            all.extend(sides.default_route.map(at));
            all.push(named(ENGINE_HOST));
        }
        Standpoint::Elsewhere => {
            all.push(loopback);
            all.extend(sides.engine.as_deref().map(named));
            all.extend(sides.default_route.map(at));
            all.push(named(ENGINE_HOST));
        }
    }
    let mut once: Vec<Place> = Vec::new();
    for place in all {
        if !once.contains(&place) {
            once.push(place);
        }
    }
    once
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sides(standpoint: Standpoint) -> Sides {
        let ip = |text: &str| text.parse().unwrap();
        Sides {
            standpoint,
            given: None,
            container: Some(ip("172.18.0.7")),
            bridge: ip("172.18.0.1"),
            engine: None,
            default_route: Some(ip("172.17.0.1")),
            port: 7100,
        }
    }

    fn check(sides: &Sides, expected: &str) {
        let found: Vec<_> = places(sides).iter().map(Place::to_string).collect();
        let found = found.join(" ").replace(":7100", "");
        assert_eq!(found, expected, "{sides:?}");
    }

    #[test]
    fn the_order_depends_on_where_the_server_runs() {
        check(&sides(Standpoint::Host), "127.0.0.1 172.18.0.7");
        check(
            &sides(Standpoint::Container),
            "172.18.0.7 127.0.0.1 172.18.0.1 172.17.0.1 host.docker.internal",
        );
        check(
            &sides(Standpoint::Elsewhere),
            "127.0.0.1 172.17.0.1 host.docker.internal",
        );
    }

    #[test]
    fn what_is_given_goes_first_and_no_place_is_asked_twice() {
        for (standpoint, rest) in [
            (Standpoint::Host, "127.0.0.1 172.18.0.7"),
            (
                Standpoint::Container,
                "172.18.0.7 127.0.0.1 172.18.0.1 172.17.0.1 host.docker.internal",
            ),
        ] {
            let given = Sides {
                given: Some(IpAddr::from([10, 0, 0, 9])),
                ..sides(standpoint)
            };
            check(&given, &format!("10.0.0.9 {rest}"));
        }
        let same = Sides {
            given: Some(Ipv4Addr::LOCALHOST.into()),
            default_route: Some(IpAddr::from([172, 18, 0, 1])),
            container: None,
            ..sides(Standpoint::Container)
        };
        check(&same, "127.0.0.1 172.18.0.1 host.docker.internal");
    }

    #[test]
    fn an_engine_elsewhere_publishes_there() {
        let mut far = Sides {
            engine: Some("build.example".to_owned()),
            default_route: None,
            ..sides(Standpoint::Elsewhere)
        };
        check(&far, "127.0.0.1 build.example host.docker.internal");
        far.engine = Some("10.0.0.4".to_owned());
        check(&far, "127.0.0.1 10.0.0.4 host.docker.internal");
    }
}
