use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd as _, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::connect;

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
    let waiting = TcpStream::connect(address).unwrap();
    sockets.hold(&one, free).unwrap();
    assert_eq!(sockets.iter().count(), 1);
    sockets.close();
    assert!(TcpStream::connect(address).is_err());
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

#[test]
fn the_system_may_give_a_shorter_queue() {
    for (somaxconn, expected) in [
        (Some("4096\n"), 4096),
        (Some("128\n"), 128),
        (Some("65535\n"), 4096),
        (Some("nonsense"), 4096),
        (None, 4096),
    ] {
        assert_eq!(effective(somaxconn), expected, "{somaxconn:?}");
    }
}

fn held() -> Sockets {
    let mut sockets = Sockets::default();
    let any = Some("127.0.0.1:0".parse().unwrap());
    sockets.hold(&[AppSocket { port: 8888 }], any).unwrap();
    sockets
}

/// Sends a client's number over the connection that waits longest, and back.
fn answer(listener: &TcpListener) -> [u8; 2] {
    let (mut stream, _) = listener.accept().unwrap();
    let mut number = [0; 2];
    stream.read_exact(&mut number).unwrap();
    stream.write_all(&number).unwrap();
    number
}

fn check_answer(mut client: &TcpStream, number: [u8; 2]) {
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, number);
}

#[test]
fn more_connections_wait_than_an_application_asks_for() {
    const MANY: u16 = 600;
    let somaxconn = std::fs::read_to_string(SOMAXCONN).ok();
    if effective(somaxconn.as_deref()) < i32::from(MANY) {
        println!("SKIPPED: net.core.somaxconn is {somaxconn:?}");
        return;
    }
    let sockets = held();
    let held = sockets.first().unwrap();
    // As Node does on its duplicate.
    listen(&held.listener, Backlog::new(511).unwrap()).unwrap();
    sockets.deepen();
    let clients: Vec<([u8; 2], TcpStream)> = (0..MANY)
        .map(|number| {
            let number = number.to_be_bytes();
            let mut client = TcpStream::connect(held.address).unwrap();
            client.write_all(&number).unwrap();
            (number, client)
        })
        .collect();
    for (number, client) in clients {
        assert_eq!(answer(&held.listener), number);
        check_answer(&client, number);
    }
}

/// A connection that has begun and whose end is not waited for.
fn begin(address: SocketAddr) -> TcpStream {
    let client = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
        None,
    )
    .unwrap();
    let begun = connect(client.as_raw_fd(), &SockaddrStorage::from(address));
    assert_eq!(begun, Err(Errno::EINPROGRESS));
    client.into()
}

/// Whether the other side has agreed to the connection, at the latest in 20 seconds.
fn connected(client: BorrowedFd<'_>, wait: bool) -> bool {
    let wait = if wait { 20_000_u16 } else { 0 };
    let mut asked = [PollFd::new(client, PollFlags::POLLOUT)];
    poll(&mut asked, PollTimeout::from(wait)).unwrap() == 1
}

#[test]
fn who_finds_the_queue_full_is_neither_refused_nor_lost() {
    let sockets = held();
    let held = sockets.first().unwrap();
    listen(&held.listener, Backlog::new(3).unwrap()).unwrap();
    // Linux lets one more wait than was asked for.
    let clients: Vec<TcpStream> = (0..4).map(|_| begin(held.address)).collect();
    for client in &clients {
        assert!(connected(client.as_fd(), true));
    }
    let late = begin(held.address);
    assert!(!connected(late.as_fd(), false));
    for (number, mut client) in (0_u16..).zip(clients.iter().chain([&late])) {
        let number = number.to_be_bytes();
        // The late one connects when its kernel tries again.
        assert!(connected(client.as_fd(), true));
        assert!(client.take_error().unwrap().is_none());
        client.set_nonblocking(false).unwrap();
        client.write_all(&number).unwrap();
        assert_eq!(answer(&held.listener), number);
        check_answer(client, number);
    }
}
