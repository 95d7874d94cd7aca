//! On which ports the front door listens.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use tokio::net::TcpListener;

use crate::server::listen::{self, ListenError};

/// Ports for HTTPS, best first: where the URL needs none, and where everybody may listen.
pub(crate) const HTTPS: [u16; 2] = [443, 8443];
/// Ports for HTTP.
pub(crate) const HTTP: [u16; 2] = [80, 8080];

/// Both ports as they are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FrontPorts {
    /// Of HTTPS.
    pub(crate) https: FrontPort,
    /// Of HTTP, which leads to it.
    pub(crate) http: FrontPort,
}

/// A port as it is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum FrontPort {
    /// The first that is to be had of the usual ones; none where all are taken.
    #[default]
    Usual,
    /// This one; 0 takes a free one.
    Given(u16),
    /// None.
    Off,
}

impl FromStr for FrontPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            number => number
                .parse()
                .map(Self::Given)
                .map_err(|_| "expected a port number from 0 to 65535, or `off`".to_owned()),
        }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Bound {
    pub(super) listeners: Vec<TcpListener>,
    pub(super) port: Option<u16>,
    /// Why there is no port although one was wanted.
    pub(super) problem: Option<String>,
}

impl Bound {
    /// Where it listens. They are free from here on.
    pub(super) fn addresses(self) -> Vec<SocketAddr> {
        let listeners = self.listeners.iter();
        listeners.filter_map(|it| it.local_addr().ok()).collect()
    }
}

/// Binds a port on loopback, by IPv4 and where there is that by IPv6.
pub(super) fn bind(wanted: FrontPort, usual: &[u16]) -> Result<Bound, ListenError> {
    match wanted {
        FrontPort::Off => Ok(Bound::default()),
        FrontPort::Given(port) => both(port),
        FrontPort::Usual => {
            let mut problems = Vec::new();
            for port in usual {
                match both(*port) {
                    Ok(bound) => return Ok(bound),
                    Err(error) => problems.push(said(&error)),
                }
            }
            Ok(Bound {
                problem: Some(problems.join(", ")),
                ..Bound::default()
            })
        }
    }
}

fn both(port: u16) -> Result<Bound, ListenError> {
    let at = |ip: IpAddr, port| listen::bind(SocketAddr::new(ip, port));
    let (first, address) = at(Ipv4Addr::LOCALHOST.into(), port)?;
    // A host without IPv6 has no such address, and another one may have its port.
    let second = at(Ipv6Addr::LOCALHOST.into(), address.port()).ok();
    let listeners = [first]
        .into_iter()
        .chain(second.map(|(listener, _)| listener));
    Ok(Bound {
        listeners: listeners.collect(),
        port: Some(address.port()),
        problem: None,
    })
}

/// Why a port is not to be had.
pub(super) fn said(error: &ListenError) -> String {
    match error {
        ListenError::Bind { address, source }
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            format!("`{address}` may be bound by root alone")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_a_number_or_off() {
        let check = |text: &str, expected| assert_eq!(text.parse().ok(), expected, "{text}");
        check("off", Some(FrontPort::Off));
        check("0", Some(FrontPort::Given(0)));
        check("8443", Some(FrontPort::Given(8443)));
        check("65536", None);
        check("", None);
    }

    #[tokio::test]
    async fn the_next_port_is_taken_where_one_is_not_to_be_had() {
        let held = bind(FrontPort::Given(0), &[]).unwrap();
        let port = held.port.unwrap();
        bind(FrontPort::Given(port), &[]).unwrap_err();
        let free = bind(FrontPort::Given(0), &[]).unwrap().port.unwrap();
        let found = bind(FrontPort::Usual, &[port, free]).unwrap();
        assert_eq!((found.port, found.problem), (Some(free), None));
        let none = bind(FrontPort::Usual, &[port]).unwrap();
        assert_eq!(none.port, None);
        let problem = none.problem.unwrap();
        assert!(
            problem.contains(&format!("`127.0.0.1:{port}` is taken")),
            "{problem}"
        );
    }
}
