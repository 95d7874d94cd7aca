//! Holds the application's listening sockets, across its restarts.
//!
//! While no process accepts, connections wait in the socket's queue instead of
//! being refused. One that finds the queue full is not refused either: the kernel
//! drops its first packet, and the client's kernel sends it again after a second.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd as _, OwnedFd};

use lockgate_model::AppSocket;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket,
    sockopt::ReuseAddr,
};
use nix::sys::stat::fstat;
use tracing::warn;

/// How many duplicates of each socket a process gets: applications listen twice,
/// or close and listen again, and each time use one up.
pub(crate) const DUPLICATES: usize = 4;

/// How many connections may wait in a socket's queue, and one more: what Linux gives
/// where nobody has changed it. Node asks for 511 and the standard library for 128.
const BACKLOG: i32 = 4096;

/// The system's limit for all queues.
const SOMAXCONN: &str = "/proc/sys/net/core/somaxconn";

/// A socket could not be held.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for the application's port {port}: {source}")]
pub(crate) struct HoldError {
    address: SocketAddr,
    port: u16,
    source: io::Error,
}

impl HoldError {
    /// The address, where somebody else has it.
    pub(crate) fn taken(&self) -> Option<SocketAddr> {
        (self.source.kind() == io::ErrorKind::AddrInUse).then_some(self.address)
    }
}

/// The held sockets, in the order of the settings.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    held: Vec<Held>,
    /// Whether it was said that fewer connections can wait.
    shallow_said: bool,
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
        self.say_when_shallow();
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

    /// Lets as many connections wait as before: Node has set its own, shorter queue
    /// when it listened. Those that wait already stay.
    pub(crate) fn deepen(&self) {
        for held in &self.held {
            // A shorter queue is no reason to stop.
            let _ = Backlog::new(BACKLOG).and_then(|backlog| listen(&held.listener, backlog));
        }
    }

    fn say_when_shallow(&mut self) {
        let somaxconn = std::fs::read_to_string(SOMAXCONN).ok();
        let backlog = effective(somaxconn.as_deref());
        if backlog < BACKLOG && !self.shallow_said {
            self.shallow_said = true;
            warn!(
                backlog,
                "the system lets fewer than {BACKLOG} connections wait while the application is replaced: net.core.somaxconn"
            );
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

/// The address of each socket, by the port in the application's own `listen` call: the first as
/// given, the others beside it.
pub(crate) fn addresses(
    sockets: &[AppSocket],
    first: Option<SocketAddr>,
) -> Vec<(u16, SocketAddr)> {
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

/// How long a queue the system gives, without an error where it is shorter.
fn effective(somaxconn: Option<&str>) -> i32 {
    let limit = somaxconn.and_then(|text| text.trim().parse().ok());
    limit.unwrap_or(BACKLOG).min(BACKLOG)
}

/// Like `TcpListener::bind`, but with a longer queue.
fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let open = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&open, ReuseAddr, &true)?;
    bind(open.as_raw_fd(), &SockaddrStorage::from(address))?;
    listen(&open, Backlog::new(BACKLOG)?)?;
    Ok(TcpListener::from(open))
}

#[cfg(test)]
mod tests;
