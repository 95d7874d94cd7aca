//! Holds the application's listening sockets, across its restarts.
//!
//! While no process accepts, connections wait in the socket's queue instead of
//! being refused.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd as _, OwnedFd};

use lockgate_model::AppSocket;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket,
    sockopt::ReuseAddr,
};
use nix::sys::stat::fstat;

/// How many duplicates of each socket a process gets: applications listen twice,
/// or close and listen again, and each time use one up.
pub(crate) const DUPLICATES: usize = 4;

/// A socket could not be held.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for the application's port {port}: {source}")]
pub(crate) struct HoldError {
    address: SocketAddr,
    port: u16,
    source: io::Error,
}

/// The held sockets, in the order of the settings.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    held: Vec<Held>,
}

/// One held socket.
#[derive(Debug)]
pub(crate) struct Held {
    /// The port in the application's own `listen` call.
    pub(crate) port: u16,
    /// Where it really listens.
    pub(crate) address: SocketAddr,
    /// The address that was asked for; its port may be 0.
    asked_address: SocketAddr,
    listener: TcpListener,
}

impl Sockets {
    /// Holds exactly these sockets. Those held already stay as they are, also where
    /// another one cannot be had.
    pub(crate) fn hold(
        &mut self,
        sockets: &[AppSocket],
        first: Option<SocketAddr>,
    ) -> Result<(), HoldError> {
        let asked = addresses(sockets, first);
        // Let go first: the same address may be asked for under another port.
        self.held.retain(|held| asked.contains(&held.asked()));
        for &(port, address) in &asked {
            if !self.held.iter().any(|held| held.asked() == (port, address)) {
                self.held.push(Held::new(port, address)?);
            }
        }
        let place = |held: &Held| asked.iter().position(|asked| *asked == held.asked());
        self.held.sort_by_key(place);
        Ok(())
    }

    /// Where the application's first socket listens.
    pub(crate) fn first(&self) -> Option<&Held> {
        self.held.first()
    }

    /// The sockets with what is handed over of each: `(port, address, number in
    /// the order of the duplicates)`. The first round holds one of each, so that a
    /// program that knows only `LISTEN_FDS` finds them in order.
    pub(crate) fn duplicates(&self) -> io::Result<Vec<OwnedFd>> {
        let rounds = (0..DUPLICATES).flat_map(|_| &self.held);
        rounds
            .map(|held| held.listener.try_clone().map(OwnedFd::from))
            .collect()
    }

    /// The held sockets.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Held> {
        self.held.iter()
    }

    /// Lets as many connections wait as the system allows: Node has set its own,
    /// shorter queue when it listened.
    pub(crate) fn deepen(&self) {
        for held in &self.held {
            // A shorter queue is no reason to stop.
            let _ = listen(&held.listener, Backlog::MAXALLOWABLE);
        }
    }

    /// Lets go of all: clients are refused from now on.
    pub(crate) fn close(&mut self) {
        self.held.clear();
    }
}

impl Held {
    fn new(port: u16, asked: SocketAddr) -> Result<Self, HoldError> {
        let failed = |source: io::Error| HoldError {
            address: asked,
            port,
            source,
        };
        let listener = open(asked).map_err(failed)?;
        Ok(Self {
            port,
            address: listener.local_addr().map_err(failed)?,
            asked_address: asked,
            listener,
        })
    }

    fn asked(&self) -> (u16, SocketAddr) {
        (self.port, self.asked_address)
    }

    /// The socket's number in `/proc/net/tcp`.
    pub(crate) fn inode(&self) -> io::Result<u64> {
        Ok(fstat(&self.listener)?.st_ino)
    }
}

/// The address of each socket: the first as given, the others beside it.
fn addresses(sockets: &[AppSocket], first: Option<SocketAddr>) -> Vec<(u16, SocketAddr)> {
    let mut asked = Vec::new();
    for socket in sockets {
        let address = match first {
            Some(first) if asked.is_empty() || first.port() == 0 => first,
            Some(first) => SocketAddr::new(first.ip(), socket.port),
            None => SocketAddr::from((Ipv4Addr::LOCALHOST, socket.port)),
        };
        if !asked.iter().any(|(port, _)| *port == socket.port) {
            asked.push((socket.port, address));
        }
    }
    asked
}

/// Like `TcpListener::bind`, but with the longest queue that the system allows.
fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let open = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&open, ReuseAddr, &true)?;
    bind(open.as_raw_fd(), &SockaddrStorage::from(address))?;
    listen(&open, Backlog::MAXALLOWABLE)?;
    Ok(TcpListener::from(open))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ports: &[u16], first: Option<&str>, expected: &[&str]) {
        let sockets: Vec<AppSocket> = ports.iter().map(|port| AppSocket { port: *port }).collect();
        let found = addresses(&sockets, first.map(|text| text.parse().unwrap()));
        let found: Vec<String> = found.iter().map(|(_, it)| it.to_string()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn sockets_lie_on_loopback_or_beside_the_first() {
        check(&[8888], None, &["127.0.0.1:8888"]);
        check(&[8888, 9000], None, &["127.0.0.1:8888", "127.0.0.1:9000"]);
        check(&[8888, 8888], None, &["127.0.0.1:8888"]);
        check(
            &[8888, 9000],
            Some("127.0.0.1:0"),
            &["127.0.0.1:0", "127.0.0.1:0"],
        );
        check(
            &[8888, 9000],
            Some("[::1]:7000"),
            &["[::1]:7000", "[::1]:9000"],
        );
    }

    #[test]
    fn a_held_socket_keeps_its_port_until_it_is_let_go() {
        let one = [AppSocket { port: 8888 }];
        let two = [AppSocket { port: 8888 }, AppSocket { port: 9000 }];
        let free = Some("127.0.0.1:0".parse().unwrap());
        let mut sockets = Sockets::default();
        sockets.hold(&one, free).unwrap();
        let address = sockets.first().unwrap().address;
        sockets.hold(&two, free).unwrap();
        assert_eq!(sockets.first().unwrap().address, address);
        assert_eq!(sockets.duplicates().unwrap().len(), 2 * DUPLICATES);
        let waiting = std::net::TcpStream::connect(address).unwrap();
        sockets.hold(&one, free).unwrap();
        assert_eq!(sockets.iter().count(), 1);
        sockets.close();
        assert!(std::net::TcpStream::connect(address).is_err());
        drop(waiting);
    }

    #[test]
    fn a_taken_port_costs_no_socket_that_is_held() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = listener.local_addr().unwrap().port();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
        let [one, other] = [free.unwrap().port(), taken].map(|port| AppSocket { port });
        let mut sockets = Sockets::default();
        sockets.hold(std::slice::from_ref(&one), None).unwrap();
        let inode = sockets.first().unwrap().inode().unwrap();
        sockets.hold(&[other, one.clone()], None).unwrap_err();
        sockets.hold(&[one], None).unwrap();
        assert_eq!(sockets.first().unwrap().inode().unwrap(), inode);
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = Sockets::default()
            .hold(&[AppSocket { port: 8888 }], Some(address))
            .unwrap_err();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
