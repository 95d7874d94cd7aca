//! Connections that die at the wrong moment, and applications that are not there yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lockgate_route::Lookup;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::rig::{Application, Door, Peer, built, ok, soon, stopped, to};

/// Answers once on each connection, then ends it when the next request is read:
/// what a client sees of a server that closes an idle connection at that moment.
async fn closing_on_the_second_request() -> Application {
    Application::start(|mut peer, _| async move {
        if peer.head().await.is_some() {
            peer.send(&ok("hello")).await;
            peer.head().await;
        }
    })
    .await
}

#[tokio::test]
async fn a_request_on_a_dying_idle_connection_is_asked_once_more() {
    let application = closing_on_the_second_request().await;
    let door = Door::to(application.addr).await;
    let mut client = door.client().await;
    for number in 0..10 {
        client.ask("GET", "/").await;
        assert_eq!(client.message().await.status(), 200, "request {number}");
    }
    assert_eq!(application.connections(), 10);
}

#[tokio::test]
async fn a_request_that_changes_something_never_meets_an_idle_connection() {
    let application = closing_on_the_second_request().await;
    let door = Door::to(application.addr).await;
    let mut client = door.client().await;
    for number in 0..10 {
        client
            .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
            .await;
        assert_eq!(client.message().await.status(), 200, "request {number}");
    }
    assert_eq!(application.connections(), 10);
}

#[tokio::test]
async fn a_request_that_kills_the_application_is_asked_once() {
    let application = Application::start(|mut peer, _| async move {
        peer.head().await;
    })
    .await;
    let door = Door::to(application.addr).await;
    assert_eq!(door.ask("GET", "/").await.status(), 502);
    assert_eq!(application.connections(), 1);
}

#[tokio::test]
async fn a_request_cut_by_an_exchange_of_the_process_is_asked_once_more() {
    for (request, status) in [
        ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", 200),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
            502,
        ),
    ] {
        let (table, watched) = watch::channel(None);
        let table = Arc::new(table);
        let exchange = Arc::clone(&table);
        let application = Application::start(move |mut peer, number| {
            let exchange = Arc::clone(&exchange);
            async move {
                peer.head().await;
                if number == 0 {
                    exchange.send_modify(|_| {});
                } else {
                    peer.send(&ok("from the new process")).await;
                    peer.ended().await;
                }
            }
        })
        .await;
        table.send_replace(Some(application.addr));
        let lookup = Lookup::watching(watched, |addr, _| to(addr.unwrap()));
        let door = Door::open(lookup).await;
        let mut client = door.client().await;
        client.send(request).await;
        assert_eq!(client.message().await.status(), status, "{request}");
    }
}

#[tokio::test]
async fn a_request_waits_in_a_held_socket_until_the_application_comes() {
    let held = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = held.local_addr().unwrap();
    let (table, watched) = watch::channel(built(addr, "0123456789ab"));
    let door = Door::open(Lookup::watching(watched, |decision, _| decision.clone())).await;
    let mut client = door.client().await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody")
        .await;
    // The connection stands in the backlog; now the build changes and its process comes.
    table.send_replace(built(addr, "ba9876543210"));
    let (stream, _) = soon("the connection", held.accept()).await.unwrap();
    let mut peer = Peer::new(stream);
    peer.head().await.unwrap();
    assert_eq!(peer.exactly(4).await, "body");
    peer.send(&ok("at last")).await;
    let answer = client.message().await;
    assert_eq!(answer.body, "at last");
    assert_eq!(answer.header("lockgate-build"), Some("ba9876543210"));
}

#[tokio::test]
async fn a_waiting_request_is_told_when_the_application_will_not_come() {
    let held = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (table, watched) = watch::channel(to(held.local_addr().unwrap()));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let lookup = Lookup::watching(watched, move |decision, _| {
        count.fetch_add(1, Ordering::SeqCst);
        decision.clone()
    });
    let door = Door::open(lookup).await;
    let mut client = door.client().await;
    client.ask("GET", "/").await;
    let (_waiting, _) = soon("the connection", held.accept()).await.unwrap();
    table.send_replace(stopped("the build was refused"));
    let answer = client.message().await;
    assert_eq!(answer.status(), 503);
    assert!(
        answer.body.contains("the build was refused"),
        "{}",
        answer.body
    );
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}
