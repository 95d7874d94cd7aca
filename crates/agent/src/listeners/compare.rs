//! What was expected beside what was found: the decision, apart from where either comes from.

use std::net::{IpAddr, SocketAddr};

use lockgate_model::{Holder, Listener, ListenerState};

use super::{Expected, Found};

/// Each expectation with what became of it, then what was found beside them: of the agent's own
/// processes, and where it `is_alone` in its network also of others.
pub(super) fn compare(expected: &[Expected], found: Vec<Found>, is_alone: bool) -> Vec<Listener> {
    let known = expected.iter().map(|one| judge(one, &found));
    let mut all: Vec<Listener> = known.collect();
    let is_known = |one: &Found| expected.iter().any(|expected| is_at(one, expected));
    let beside = found.into_iter().filter(|one| !is_known(one));
    let mut beside: Vec<Listener> = beside
        .filter(|one| is_alone || one.is_own())
        .map(|one| Listener {
            what: None,
            transport: one.transport,
            address: one.address,
            state: ListenerState::Unexpected,
            processes: one.processes,
        })
        .collect();
    beside.sort_by_key(|one| (one.transport.as_str(), one.address));
    all.extend(beside);
    all
}

fn judge(expected: &Expected, found: &[Found]) -> Listener {
    let there: Vec<&Found> = found.iter().filter(|one| is_at(one, expected)).collect();
    let own = there.iter().find(|one| one.is_own());
    let (state, holders) = match (own, there.first(), &expected.child) {
        (Some(own), _, _) => (ListenerState::Held, own.processes.clone()),
        (None, Some(other), Some(child)) if other.processes.is_empty() => {
            (ListenerState::Held, vec![child.clone()])
        }
        (None, Some(other), _) => (ListenerState::Foreign, other.processes.clone()),
        (None, None, _) => (ListenerState::Missing, Vec::new()),
    };
    Listener {
        what: Some(expected.what.clone()),
        transport: expected.transport,
        address: expected.address,
        state,
        processes: holders,
    }
}

/// Whether a socket stands where another one is expected.
fn is_at(found: &Found, expected: &Expected) -> bool {
    found.transport == expected.transport && overlap(found.address, expected.address)
}

/// Whether two addresses cannot be had by two: the same port at one address, or at all.
pub(super) fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    // A socket for all IPv6 addresses takes those of IPv4 along, unless it was told not to.
    let takes = |all: IpAddr, ip: IpAddr| all.is_unspecified() && (all.is_ipv6() || ip.is_ipv4());
    one.port() == other.port()
        && (one.ip() == other.ip() || takes(one.ip(), other.ip()) || takes(other.ip(), one.ip()))
}

impl Found {
    fn is_own(&self) -> bool {
        self.processes.iter().any(|one: &Holder| one.own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::Transport;

    fn expected(what: &str, address: &str) -> Expected {
        Expected::tcp(what, address.parse().unwrap())
    }

    fn found(address: &str, holders: &[(u32, &str, bool)]) -> Found {
        let holder = |(pid, name, own): &(u32, &str, bool)| Holder {
            pid: *pid,
            name: (*name).to_owned(),
            own: *own,
        };
        Found {
            transport: Transport::Tcp,
            address: address.parse().unwrap(),
            processes: holders.iter().map(holder).collect(),
        }
    }

    /// A line for each: what, address, state, and the numbers of who holds it.
    fn lines(expected: &[Expected], found: &[Found], is_alone: bool) -> Vec<String> {
        let line = |one: Listener| {
            let pids: Vec<String> = one.processes.iter().map(|it| it.pid.to_string()).collect();
            let what = one.what.unwrap_or("-".to_owned());
            let pids = pids.join(",");
            format!("{what} {} {} {pids}", one.address, one.state.as_str())
        };
        let all = compare(expected, found.to_vec(), is_alone);
        all.into_iter().map(line).collect()
    }

    #[test]
    fn a_child_that_keeps_its_sockets_to_itself_is_known_all_the_same() {
        let vpn = expected("vpn", "127.0.0.1:5555").by(9, "openvpn");
        let check = |found: &[Found], line: &str| {
            assert_eq!(lines(std::slice::from_ref(&vpn), found, true), [line]);
        };
        check(&[found("127.0.0.1:5555", &[])], "vpn 127.0.0.1:5555 held 9");
        let foreign = found("127.0.0.1:5555", &[(7, "nc", false)]);
        check(&[foreign], "vpn 127.0.0.1:5555 foreign 7");
        check(&[], "vpn 127.0.0.1:5555 missing ");
    }

    #[test]
    fn each_expectation_is_held_missing_or_somebody_elses() {
        let all = [
            expected("application", "127.0.0.1:8888"),
            expected("door", "0.0.0.0:7100"),
            expected("door", "0.0.0.0:80"),
        ];
        let found = [
            found("0.0.0.0:7100", &[(14, "nginx", true), (15, "nginx", true)]),
            found(
                "127.0.0.1:8888",
                &[(1, "lockgate-agent", true), (21, "node", true)],
            ),
            found("127.0.0.1:80", &[(9, "nc", false)]),
        ];
        assert_eq!(
            lines(&all, &found, true),
            [
                "application 127.0.0.1:8888 held 1,21",
                "door 0.0.0.0:7100 held 14,15",
                "door 0.0.0.0:80 foreign 9",
            ]
        );
        assert_eq!(
            lines(&all, &found[..1], true),
            [
                "application 127.0.0.1:8888 missing ",
                "door 0.0.0.0:7100 held 14,15",
                "door 0.0.0.0:80 missing ",
            ]
        );
    }

    #[test]
    fn who_holds_all_addresses_holds_the_expected_one_and_a_hidden_holder_is_one() {
        let all = [expected("application", "127.0.0.1:8888")];
        for address in ["0.0.0.0:8888", "[::]:8888", "127.0.0.1:8888"] {
            assert_eq!(
                lines(&all, &[found(address, &[(9, "node", false)])], true),
                ["application 127.0.0.1:8888 foreign 9"],
                "{address}"
            );
        }
        assert_eq!(
            lines(&all, &[found("0.0.0.0:8888", &[])], true),
            ["application 127.0.0.1:8888 foreign "]
        );
        // Another address of the same port, and another port, are somewhere else.
        for address in ["127.0.0.2:8888", "[::1]:8888", "127.0.0.1:8889"] {
            let found = [found(address, &[(9, "node", false)])];
            assert_eq!(
                lines(&all, &found, true),
                [
                    "application 127.0.0.1:8888 missing ".to_owned(),
                    format!("- {address} unexpected 9")
                ]
            );
        }
    }

    #[test]
    fn a_port_is_not_the_same_in_another_protocol() {
        let all = [expected("application", "127.0.0.1:8888")];
        let datagrams = Found {
            transport: Transport::Udp,
            ..found("127.0.0.1:8888", &[(9, "node", true)])
        };
        assert_eq!(
            lines(&all, &[datagrams], false),
            [
                "application 127.0.0.1:8888 missing ",
                "- 127.0.0.1:8888 unexpected 9"
            ]
        );
    }

    #[test]
    fn sockets_of_others_are_told_only_where_the_network_is_the_gateways_own() {
        let found = [
            found("127.0.0.1:9000", &[(21, "node", true)]),
            found("0.0.0.0:22", &[(300, "sshd", false)]),
        ];
        assert_eq!(
            lines(&[], &found, false),
            ["- 127.0.0.1:9000 unexpected 21"]
        );
        assert_eq!(
            lines(&[], &found, true),
            [
                "- 0.0.0.0:22 unexpected 300",
                "- 127.0.0.1:9000 unexpected 21"
            ]
        );
    }
}
