//! The kernel's tables of sockets in the agent's own network: `/proc/self/net/tcp` and its like.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lockgate_model::Transport;

/// A socket that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) transport: Transport,
    pub(super) address: SocketAddr,
    /// Its number, by which its holders are found.
    pub(super) inode: u64,
}

/// The states in which a socket waits for whoever comes (`include/net/tcp_states.h`): a TCP socket
/// listens, a UDP socket is not connected.
const LISTENS: &str = "0A";
const UNCONNECTED: &str = "07";

/// All sockets that listen. A table that is not there (a kernel without IPv6) holds none.
pub(super) fn read() -> Vec<Socket> {
    let tables = [
        ("tcp", Transport::Tcp),
        ("tcp6", Transport::Tcp),
        ("udp", Transport::Udp),
        ("udp6", Transport::Udp),
    ];
    let read = |(name, transport)| {
        let text = std::fs::read_to_string(format!("/proc/self/net/{name}"));
        parse(&text.unwrap_or_default(), transport)
    };
    tables.into_iter().flat_map(read).collect()
}

fn parse(text: &str, transport: Transport) -> Vec<Socket> {
    let lines = text.lines().skip(1);
    lines.filter_map(|line| socket(line, transport)).collect()
}

/// A line: number, local address, remote address, state, queues, timers, retransmits, user,
/// timeout, inode, and more.
fn socket(line: &str, transport: Transport) -> Option<Socket> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let waits = match transport {
        Transport::Tcp => LISTENS,
        Transport::Udp => UNCONNECTED,
    };
    let address = address(fields.get(1)?)?;
    let is_there = *fields.get(3)? == waits && address.port() != 0;
    let inode = fields.get(9)?.parse().ok()?;
    is_there.then_some(Socket {
        transport,
        address,
        inode,
    })
}

/// `0100007F:22B8`: the address as 32-bit numbers as they lie in memory, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| {
        let digits = ip.get(at..at + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let octets: [u8; 16] = words.concat().try_into().ok()?;
            // A socket for both families that is bound to an address of the older one.
            Ipv6Addr::from(octets).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn check(transport: Transport, line: &str, expected: &[(&str, u64)]) {
        let found: Vec<_> = parse(&format!("{HEADING}{line}\n"), transport)
            .into_iter()
            .map(|one| (one.address.to_string(), one.inode))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(address, inode)| ((*address).to_owned(), *inode))
            .collect();
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn sockets_that_listen_are_read_and_others_are_not() {
        let tail = "00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0";
        let line = |local: &str, remote: &str, state: &str| {
            format!("   0: {local} {remote} {state} {tail}")
        };
        let nobody = "00000000:0000";
        check(
            Transport::Tcp,
            &line("0100007F:22B8", nobody, "0A"),
            &[("127.0.0.1:8888", 4711)],
        );
        check(
            Transport::Tcp,
            &line("00000000:1BBC", nobody, "0A"),
            &[("0.0.0.0:7100", 4711)],
        );
        check(
            Transport::Tcp,
            &line("0100007F:22B8", "0100007F:9C40", "01"),
            &[],
        );
        let any = "00000000000000000000000000000000:0050";
        check(
            Transport::Tcp,
            &line(any, nobody, "0A"),
            &[("[::]:80", 4711)],
        );
        let loopback = "00000000000000000000000001000000:0050";
        check(
            Transport::Tcp,
            &line(loopback, nobody, "0A"),
            &[("[::1]:80", 4711)],
        );
        let mapped = "0000000000000000FFFF00000100007F:22B8";
        check(
            Transport::Tcp,
            &line(mapped, nobody, "0A"),
            &[("127.0.0.1:8888", 4711)],
        );
        check(
            Transport::Udp,
            &line("00000000:BFCC", nobody, "07"),
            &[("0.0.0.0:49100", 4711)],
        );
        check(Transport::Udp, &line("00000000:0000", nobody, "07"), &[]);
        check(Transport::Udp, &line("00000000:BFCC", nobody, "01"), &[]);
        check(Transport::Tcp, "   0: nonsense", &[]);
        check(Transport::Tcp, "", &[]);
    }

    #[test]
    fn a_socket_of_this_process_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(read().iter().any(|one| one.address == address));
    }
}
