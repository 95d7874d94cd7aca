//! Where the build server is: given, or guessed from the default route.

use std::net::Ipv4Addr;

use lockgate_builds::client::Endpoint;
use lockgate_model::environment as var;

use crate::config::{BUILD_SERVER_PORT, checks::port, reader::Reader};

/// What the environment says about the build server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Given {
    /// These, in this order, and no other: a token is not offered to strangers.
    Endpoints(Vec<Endpoint>),
    /// Nothing but perhaps a port: the default route, then the engine's host.
    Guess {
        /// The port to ask there.
        port: u16,
    },
}

/// The name that container engines give to their host.
const ENGINE_HOST: &str = "host.docker.internal";

impl Given {
    /// The endpoints to try, best first. Reads the routing table where nothing was
    /// given: networks come and go while the agent runs.
    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        match self {
            Self::Endpoints(given) => given.clone(),
            Self::Guess { port } => {
                let table = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
                default_route(&table)
                    .map(|address| address.to_string())
                    .into_iter()
                    .chain([ENGINE_HOST.to_owned()])
                    .map(|host| Endpoint::Tcp { host, port: *port })
                    .collect()
            }
        }
    }

    /// The first server that was given by name. Reports go there while no server has
    /// given an answer that the key verifies, so that the host can show why.
    pub(crate) fn first(&self) -> Option<Endpoint> {
        match self {
            Self::Endpoints(given) => given.first().cloned(),
            Self::Guess { .. } => None,
        }
    }
}

/// Reads `LOCKGATE_SERVER`, `BUILD_SERVER_IP` and `BUILD_SERVER_PORT`.
pub(crate) fn given_servers(reader: &mut Reader<'_>) -> Given {
    let mut given = reader
        .optional(var::LOCKGATE_SERVER, |text| {
            text.split(',')
                .map(str::trim)
                .filter(|url| !url.is_empty())
                .map(|url| {
                    Endpoint::parse(url).map_err(|error| {
                        format!("is not usable: {}", crate::error::in_one_line(&error))
                    })
                })
                .collect::<Result<Vec<_>, _>>()
        })
        .unwrap_or_default();
    let port = reader
        .optional(var::BUILD_SERVER_PORT, port)
        .unwrap_or(BUILD_SERVER_PORT);
    let host = reader.optional(var::BUILD_SERVER_IP, |text| {
        if text.contains(['/', ' ', '@']) {
            Err(format!("is `{text}`, not an address"))
        } else {
            Ok(text.to_owned())
        }
    });
    if let Some(host) = host {
        let endpoint = Endpoint::Tcp { host, port };
        if !given.contains(&endpoint) {
            given.push(endpoint);
        }
    }
    if given.is_empty() {
        Given::Guess { port }
    } else {
        Given::Endpoints(given)
    }
}

/// The gateway of the default route with the lowest metric, from `/proc/net/route`.
fn default_route(table: &str) -> Option<Ipv4Addr> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            let destination = fields.next()?;
            let gateway = u32::from_str_radix(fields.next()?, 16).ok()?;
            // Flags, references, uses, metric, mask.
            let metric: u32 = fields.nth(3)?.parse().ok()?;
            let mask = fields.next()?;
            let is_default = destination == "00000000" && mask == "00000000" && gateway != 0;
            // The kernel prints the address as a number in the machine's byte order.
            is_default.then(|| (metric, Ipv4Addr::from(gateway.to_ne_bytes())))
        })
        .min_by_key(|(metric, _)| *metric)
        .map(|(_, address)| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";

    fn check(lines: &str, expected: Option<&str>) {
        let found = default_route(&format!("{HEAD}{lines}"));
        assert_eq!(found.map(|a| a.to_string()).as_deref(), expected);
    }

    #[test]
    fn the_default_route_with_the_lowest_metric_is_taken() {
        check("", None);
        check("eth0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0", None);
        check("tun0 00000000 00000000 0001 0 0 0 00000000 0 0 0", None);
        check(
            "eth0 00000000 010011AC 0003 0 0 100 00000000 0 0 0\n\
             eth1 00000000 010012AC 0003 0 0 50 00000000 0 0 0\n\
             eth0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0",
            Some("172.18.0.1"),
        );
        check("half a line", None);
    }

    #[test]
    fn what_was_given_is_not_extended_by_guesses() {
        let endpoint = Endpoint::Tcp {
            host: "10.0.0.1".to_owned(),
            port: 8090,
        };
        let given = Given::Endpoints(vec![endpoint.clone()]);
        assert_eq!(given.endpoints(), [endpoint]);
        let guessed = Given::Guess { port: 9000 }.endpoints();
        assert_eq!(
            guessed.last().map(ToString::to_string).as_deref(),
            Some("http://host.docker.internal:9000")
        );
    }
}
