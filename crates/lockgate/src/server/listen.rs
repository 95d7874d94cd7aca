//! Binds addresses; a taken port is named with who has it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd as _;

use procfs::net::TcpState;
use procfs::process::FDTarget;
use tokio::net::{TcpListener, TcpSocket, UdpSocket};

/// Connections that wait to be accepted: as many as the kernel allows by default, rounded down.
const BACKLOG: u32 = 4096;

/// An address that is not to be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// Somebody listens there.
    #[error("`{address}` is taken{}", holder.as_ref().map_or(String::new(), |holder| format!(" by {holder}")))]
    Taken {
        /// The address.
        address: SocketAddr,
        /// Who has it: `process 123 (python3 -m http.server 8090)`; unknown for other users' processes.
        holder: Option<String>,
    },
    /// Something else.
    #[error("`{address}` cannot be bound")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
}

/// Binds and listens; gives the address with the port that port 0 became.
pub(crate) fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ListenError> {
    let listener = listen(address).map_err(|source| {
        if source.kind() == io::ErrorKind::AddrInUse {
            ListenError::Taken {
                address,
                holder: holder_of(address, By::Tcp),
            }
        } else {
            ListenError::Bind { address, source }
        }
    })?;
    let bound = listener
        .local_addr()
        .map_err(|source| ListenError::Bind { address, source })?;
    Ok((listener, bound))
}

/// Binds for UDP. Whoever has the port for all addresses and shares it, as multicast DNS does, is no
/// reason against a single one.
pub(crate) fn bind_udp(address: SocketAddr) -> Result<UdpSocket, ListenError> {
    shared_udp(address).map_err(|source| {
        if source.kind() == io::ErrorKind::AddrInUse {
            ListenError::Taken {
                address,
                holder: holder_of(address, By::Udp),
            }
        } else {
            ListenError::Bind { address, source }
        }
    })
}

fn shared_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    use nix::sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt,
    };
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, SockType::Datagram, flags, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    UdpSocket::from_std(socket.into())
}

/// A protocol, which has ports of its own.
#[derive(Debug, Clone, Copy)]
enum By {
    Tcp,
    Udp,
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Why an address is not to be had, without a try: somebody listens there.
pub(crate) fn taken(address: SocketAddr) -> Option<ListenError> {
    let inodes = listening_at(address, By::Tcp);
    (!inodes.is_empty()).then(|| ListenError::Taken {
        address,
        holder: process_with(&inodes),
    })
}

/// The process that listens where `address` cannot, as far as procfs shows it.
fn holder_of(address: SocketAddr, by: By) -> Option<String> {
    process_with(&listening_at(address, by))
}

/// The sockets that keep an address from being bound.
fn listening_at(address: SocketAddr, by: By) -> Vec<u64> {
    let listening: Vec<(SocketAddr, u64)> = match by {
        By::Tcp => {
            let v4 = procfs::net::tcp().unwrap_or_default().into_iter();
            let all = v4.chain(procfs::net::tcp6().unwrap_or_default());
            let listening = all.filter(|entry| entry.state == TcpState::Listen);
            listening.map(|it| (it.local_address, it.inode)).collect()
        }
        By::Udp => {
            let v4 = procfs::net::udp().unwrap_or_default().into_iter();
            let all = v4.chain(procfs::net::udp6().unwrap_or_default());
            all.map(|it| (it.local_address, it.inode)).collect()
        }
    };
    let colliding = listening
        .into_iter()
        .filter(|(listens, _)| collides(*listens, address));
    colliding.map(|(_, inode)| inode).collect()
}

/// The first process that has one of these sockets.
fn process_with(inodes: &[u64]) -> Option<String> {
    let mut processes = procfs::process::all_processes().ok()?.flatten();
    let holder = processes.find(|process| {
        let mut files = process.fd().into_iter().flatten().flatten();
        files.any(|file| matches!(file.target, FDTarget::Socket(inode) if inodes.contains(&inode)))
    })?;
    let command = holder.cmdline().unwrap_or_default().join(" ");
    Some(if command.is_empty() {
        format!("process {}", holder.pid)
    } else {
        format!("process {} ({})", holder.pid, shorten(&command))
    })
}

/// Whether a listener keeps an address from being bound.
fn collides(listens: SocketAddr, wanted: SocketAddr) -> bool {
    let any = |ip: IpAddr| ip.is_unspecified();
    listens.port() == wanted.port()
        && (listens.ip() == wanted.ip() || any(listens.ip()) || any(wanted.ip()))
}

fn shorten(command: &str) -> String {
    const MOST: usize = 120;
    if command.chars().count() <= MOST {
        command.to_owned()
    } else {
        command.chars().take(MOST).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named_with_its_holder() {
        let (held, address) = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        for wanted in [address, SocketAddr::from(([0, 0, 0, 0], address.port()))] {
            let error = bind(wanted).unwrap_err().to_string();
            let me = format!("`{wanted}` is taken by process {} (", std::process::id());
            assert!(error.starts_with(&me), "{error}");
            assert_eq!(taken(wanted).unwrap().to_string(), error);
        }
        drop(held);
        assert!(taken(address).is_none());
    }

    #[tokio::test]
    async fn a_port_that_is_shared_for_all_addresses_is_free_for_one() {
        let everybody = shared_udp("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = everybody.local_addr().unwrap().port();
        let one = SocketAddr::from(([127, 0, 0, 1], port));
        let ours = bind_udp(one).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.send_to(b"query", one).await.unwrap();
        let mut heard = [0; 16];
        assert_eq!(ours.recv(&mut heard).await.unwrap(), 5);

        let alone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let taken = alone.local_addr().unwrap();
        let error = bind_udp(taken).unwrap_err().to_string();
        let me = format!("`{taken}` is taken by process {} (", std::process::id());
        assert!(error.starts_with(&me), "{error}");
    }

    #[test]
    fn listeners_collide_by_port_and_address() {
        let check = |listens: &str, wanted: &str, expected| {
            let found = collides(listens.parse().unwrap(), wanted.parse().unwrap());
            assert_eq!(found, expected, "{listens} {wanted}");
        };
        check("127.0.0.1:1", "127.0.0.1:1", true);
        check("0.0.0.0:1", "127.0.0.1:1", true);
        check("[::]:1", "127.0.0.1:1", true);
        check("127.0.0.1:1", "0.0.0.0:1", true);
        check("127.0.0.1:1", "127.0.0.1:2", false);
        check("127.0.0.2:1", "127.0.0.1:1", false);
    }
}
