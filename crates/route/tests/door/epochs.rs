//! A process that is about to end: its idle connections are closed at once, and no
//! request meets one of them afterwards.

use std::net::SocketAddr;
use std::sync::Arc;

use lockgate_route::{Decision, Lookup};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::rig::{Application, Door, Message, Peer, living, ok, soon};

const BUILD: &str = "0123456789ab";

/// An application that hands over its connections, so that a test plays all its parts.
async fn played() -> (Application, mpsc::Receiver<Peer>) {
    let (connection, connections) = mpsc::channel(8);
    let application = Application::start(move |peer, _| {
        let connection = connection.clone();
        async move { drop(connection.send(peer).await) }
    })
    .await;
    (application, connections)
}

async fn door(addr: SocketAddr) -> (Door, watch::Sender<Decision>) {
    let (table, watched) = watch::channel(living(addr, BUILD, 1));
    let door = Door::open(Lookup::watching(watched, |decision, _| decision.clone())).await;
    (door, table)
}

/// A server of another name, whose epoch never changes, with one idle connection.
struct Neighbour {
    application: Application,
    client: Peer,
}

impl Neighbour {
    /// A door to both: `a` changes, `b` is the neighbour.
    async fn beside(addr: SocketAddr) -> (Door, watch::Sender<Decision>, Self) {
        let application = Application::answering(|_| ok("neighbour")).await;
        let neighbour = living(application.addr, BUILD, 1);
        let (table, watched) = watch::channel(living(addr, BUILD, 1));
        let lookup = Lookup::watching(watched, move |decision, asked| match asked.host {
            "b" => neighbour.clone(),
            _ => decision.clone(),
        });
        let door = Door::open(lookup).await;
        let client = door.client().await;
        let mut neighbour = Self {
            application,
            client,
        };
        neighbour.asks().await;
        (door, table, neighbour)
    }

    async fn asks(&mut self) {
        self.client.send("GET / HTTP/1.1\r\nhost: b\r\n\r\n").await;
        assert_eq!(self.client.message().await.body, "neighbour");
    }

    /// Its connection rests longer than any other, and is still there.
    async fn rests(mut self) {
        self.asks().await;
        assert_eq!(self.application.connections(), 1);
    }
}

async fn next(connections: &mut mpsc::Receiver<Peer>) -> Peer {
    soon("a connection", connections.recv()).await.unwrap()
}

async fn answered(client: &mut Peer, peer: &mut Peer) -> Message {
    client.ask("GET", "/").await;
    peer.head().await.unwrap();
    peer.send(&ok("hello")).await;
    client.message().await
}

#[tokio::test]
async fn idle_connections_are_closed_when_the_epoch_changes() {
    let (application, mut connections) = played().await;
    let (door, table, neighbour) = Neighbour::beside(application.addr).await;
    let mut client = door.client().await;
    client.ask("GET", "/").await;
    let mut old = next(&mut connections).await;
    old.head().await.unwrap();
    old.send(&ok("hello")).await;
    assert_eq!(client.message().await.body, "hello");
    table.send_replace(living(application.addr, BUILD, 2));
    // Nobody asks for anything: the process that drains waits for this end only.
    soon("the end", old.ended()).await;
    neighbour.rests().await;
    client.ask("GET", "/").await;
    let mut new = next(&mut connections).await;
    new.head().await.unwrap();
    new.send(&ok("again")).await;
    assert_eq!(client.message().await.body, "again");
    assert_eq!(application.connections(), 2);
}

#[tokio::test]
async fn idle_connections_stay_where_only_the_build_changes() {
    let (application, mut connections) = played().await;
    let (door, table) = door(application.addr).await;
    let mut client = door.client().await;
    client.ask("GET", "/").await;
    let mut peer = next(&mut connections).await;
    peer.head().await.unwrap();
    peer.send(&ok("hello")).await;
    client.message().await;
    for build in ["111111111111", "222222222222"] {
        table.send_replace(living(application.addr, build, 1));
        let answer = answered(&mut client, &mut peer).await;
        assert_eq!(answer.header("lockgate-build"), Some(build));
    }
    assert_eq!(application.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_was_in_use_does_not_rest_in_another_epoch() {
    let (application, mut connections) = played().await;
    let (door, table, neighbour) = Neighbour::beside(application.addr).await;
    let mut client = door.client().await;
    client.ask("GET", "/slow").await;
    let mut old = next(&mut connections).await;
    old.head().await.unwrap();
    table.send_replace(living(application.addr, BUILD, 2));
    old.send(&ok("from the old one")).await;
    assert_eq!(client.message().await.body, "from the old one");
    soon("the end", old.ended()).await;
    neighbour.rests().await;
}

#[tokio::test]
async fn a_tunnel_outlives_the_epoch_it_began_in() {
    let (application, mut connections) = played().await;
    let (door, table) = door(application.addr).await;
    let mut client = door.client().await;
    client
        .send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        .await;
    let mut peer = next(&mut connections).await;
    peer.head().await.unwrap();
    peer.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        .await;
    client.head().await.unwrap();
    table.send_replace(living(application.addr, BUILD, 2));
    // What comes after the change passes both ways.
    for number in 0..3 {
        client.send(&format!("to {number}\n")).await;
        assert_eq!(peer.until("\n").await.unwrap(), format!("to {number}\n"));
        peer.send(&format!("fro {number}\n")).await;
        assert_eq!(client.until("\n").await.unwrap(), format!("fro {number}\n"));
    }
}

/// A request that was sent on an idle connection of a process that ends at that moment
/// is asked again in the new epoch, and its connection rests there.
#[tokio::test]
async fn a_request_that_an_ending_process_left_unanswered_finds_the_next_one() {
    let (application, mut connections) = played().await;
    let (door, table) = door(application.addr).await;
    let mut client = door.client().await;
    client.ask("GET", "/").await;
    let mut old = next(&mut connections).await;
    old.head().await.unwrap();
    old.send(&ok("hello")).await;
    client.message().await;
    client.ask("GET", "/").await;
    old.head().await.unwrap();
    table.send_replace(living(application.addr, BUILD, 2));
    drop(old);
    let mut new = next(&mut connections).await;
    new.head().await.unwrap();
    new.send(&ok("from the new one")).await;
    assert_eq!(client.message().await.body, "from the new one");
    assert_eq!(answered(&mut client, &mut new).await.body, "hello");
    assert_eq!(application.connections(), 2);
}

/// A process that drains may have accepted a connection and leave without reading it.
#[tokio::test]
async fn a_request_that_came_while_the_process_left_finds_the_next_one() {
    for (method, leaves, status) in [("GET", true, 200), ("GET", false, 502), ("POST", true, 502)] {
        let application = Application::start(|mut peer, number| async move {
            peer.head().await;
            if number > 0 {
                peer.send(&ok("from the new one")).await;
                peer.ended().await;
            }
        })
        .await;
        let Decision::To(mut upstream) = living(application.addr, BUILD, 1) else {
            panic!("it is one");
        };
        upstream.leaves = leaves;
        let door = Door::open(Lookup::fixed(Decision::To(upstream))).await;
        let answer = door.ask(method, "/").await;
        assert_eq!(answer.status(), status, "{method} {leaves}");
    }
}

#[tokio::test]
async fn a_hundred_requests_wait_while_nobody_accepts() {
    let held = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = held.local_addr().unwrap();
    let (door, table) = door(addr).await;
    let mut clients = Vec::new();
    for number in 0..100 {
        let mut client = door.client().await;
        let path = format!("/{number}");
        client.ask(["GET", "POST"][number % 2], &path).await;
        clients.push((client, path));
    }
    // The old process drains, is gone, and the next one passes its gate.
    for epoch in 2..5 {
        table.send_replace(living(addr, BUILD, epoch));
    }
    let held = Arc::new(held);
    let application = tokio::spawn(async move {
        for _ in 0..100 {
            let mut peer = Peer::new(held.accept().await.unwrap().0);
            tokio::spawn(async move {
                let head = peer.head().await.unwrap();
                let path = head.split(' ').nth(1).unwrap();
                peer.send(&ok(path)).await;
                peer.ended().await;
            });
        }
    });
    for (mut client, path) in clients {
        let answer = client.message().await;
        assert_eq!((answer.status(), answer.body), (200, path));
    }
    soon("the last connection", application).await.unwrap();
}
