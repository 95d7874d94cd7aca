//! What a gateway's door says of itself, so that whoever looks for a gateway knows
//! whom it has found.

use serde::{Deserialize, Serialize};

use crate::{BuildId, GatewayName};

/// The answer of a door at [`protocol::DOOR_PATH`](crate::protocol::DOOR_PATH). It holds
/// nothing that the door's other answers do not tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoorCard {
    /// The gateway.
    pub gateway: GatewayName,
    /// The build that runs, or should; `None` before the first.
    pub build: Option<BuildId>,
}

impl DoorCard {
    /// Whether a request is for the door itself and not for what is behind it.
    ///
    /// It is when it asks for the path by the door's address: an IP address, a name that
    /// every engine or machine gives to itself, a gateway's own name, or none at all. By
    /// any other name the path is the application's, as all others: a front door passes
    /// names on, and a page of a stranger that had its name point here learns nothing.
    pub fn is_asked_for(host: &str, path: &str) -> bool {
        path == crate::protocol::DOOR_PATH && is_an_address(host)
    }
}

fn is_an_address(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let host = bare.unwrap_or(host);
    host.is_empty()
        || host.parse::<std::net::IpAddr>().is_ok()
        || OWN_NAMES.iter().any(|name| host.eq_ignore_ascii_case(name))
        || GatewayName::parse(&host.to_ascii_lowercase()).is_ok()
}

/// Names by which a machine is asked that has not been given one.
pub const OWN_NAMES: [&str; 2] = ["localhost", "host.docker.internal"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_door_is_asked_by_its_address_and_by_no_name_that_is_passed_on() {
        let check = |host: &str, path: &str, expected| {
            assert_eq!(DoorCard::is_asked_for(host, path), expected, "{host}{path}");
        };
        let path = "/.well-known/lockgate";
        for host in [
            "",
            "127.0.0.1",
            "172.17.0.2",
            "[::1]",
            "localhost",
            "LOCALHOST",
            "host.docker.internal",
            "gw-pool-dev-001-0",
            "GW-pool-dev-001-0",
        ] {
            check(host, path, true);
        }
        for host in [
            "dev-001.localhost",
            "org-1.domain.local",
            "uc-1.domain.local",
            "gw-pool-dev-001-0.example.org",
            "300.1.1.1",
        ] {
            check(host, path, false);
        }
        check("127.0.0.1", "/", false);
        check("127.0.0.1", "/.well-known/lockgate/", false);
        check("127.0.0.1", "/.well-known/security.txt", false);
    }

    #[test]
    fn a_card_is_read_as_it_was_written() {
        let card = DoorCard {
            gateway: GatewayName::parse("gw-pool-dev-001-0").unwrap(),
            build: None,
        };
        let text = serde_json::to_string(&card).unwrap();
        assert_eq!(text, r#"{"gateway":"gw-pool-dev-001-0","build":null}"#);
        assert_eq!(serde_json::from_str::<DoorCard>(&text).unwrap(), card);
    }
}
