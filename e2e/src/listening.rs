//! On which TCP ports a process listens, as the kernel tells it.

use std::collections::BTreeSet;

/// The IPv4 ports on which a process listens, in rising order.
pub fn listening_ports(pid: u64) -> Vec<u16> {
    let own = sockets_of(pid);
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    let listening = table.lines().filter_map(listener);
    let ports = listening.filter(|(_, inode)| own.contains(inode));
    let ports: BTreeSet<_> = ports.map(|(port, _)| port).collect();
    ports.into_iter().collect()
}

/// The numbers of a process's sockets.
fn sockets_of(pid: u64) -> BTreeSet<u64> {
    let Ok(open) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return BTreeSet::new();
    };
    let targets = open.flatten().flat_map(|it| std::fs::read_link(it.path()));
    targets
        .filter_map(|target| {
            let inode = target.to_str()?.strip_prefix("socket:[")?;
            inode.strip_suffix(']')?.parse().ok()
        })
        .collect()
}

/// Port and number of a listening socket, from its line of `net/tcp`.
fn listener(line: &str) -> Option<(u16, u64)> {
    let mut words = line.split_whitespace();
    let (_, port) = words.nth(1)?.split_once(':')?;
    // The state is the second word after the address: 0A is LISTEN.
    let state = words.nth(1)?;
    let inode = words.nth(5)?.parse().ok()?;
    let port = u16::from_str_radix(port, 16).ok()?;
    (state == "0A").then_some((port, inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_seen_as_long_as_it_is_there() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = u64::from(std::process::id());
        assert!(listening_ports(own).contains(&port));
        drop(listener);
        assert!(!listening_ports(own).contains(&port));
    }
}
