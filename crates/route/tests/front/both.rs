//! Both doors, one behind the other, as a request passes them.

use std::net::SocketAddr;

use lockgate_model::Standing;
use lockgate_route::{Decision, EmbeddedProxy, ForwardedHeaders, Lookup, Upstream};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::rig::{Application, Peer, header, ok, soon};
use crate::world::{Front, ONE, at, gateway, org};

/// The build that the gateway runs, of which the front door has heard nothing yet.
const NEWER: &str = "ba9876543210";

/// A gateway's door before an application.
fn gateway_s_door(listener: TcpListener, application: SocketAddr) -> DropGuard {
    let lookup = Lookup::fixed(Decision::To(Upstream {
        addr: application,
        gateway: Some(gateway(0)),
        build: Some(NEWER.parse().unwrap()),
        epoch: 0,
        leaves: false,
    }));
    let door = EmbeddedProxy::new(lookup).forwarded(ForwardedHeaders::Append);
    let stop = CancellationToken::new();
    tokio::spawn(door.serve(listener, stop.clone()));
    stop.drop_guard()
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

#[tokio::test]
async fn the_application_learns_of_both_and_of_the_client_s_own_words() {
    let application = Application::answering(ok).await;
    let (listener, addr) = listener().await;
    let _open = gateway_s_door(listener, application.addr);
    let front = Front::to(addr).await;
    let mut client = front.client_of_one().await;
    client
        .send(&format!(
            "GET /a?b HTTP/1.1\r\nhost: {}:8443\r\nx-forwarded-for: 10.0.0.1\r\n\r\n",
            org(ONE)
        ))
        .await;
    let answer = client.message().await;
    assert_eq!(answer.header("lockgate-build"), Some(NEWER));
    let seen = answer.body;
    assert!(seen.starts_with("GET /a?b HTTP/1.1\r\n"), "{seen}");
    let host = format!("{}:8443", org(ONE));
    for (name, expected) in [
        ("host", host.as_str()),
        ("x-forwarded-for", "127.0.0.1, 127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", &host),
        ("x-forwarded-port", "8443"),
    ] {
        assert_eq!(header(&seen, name), Some(expected), "{name} in {seen}");
    }
}

#[tokio::test]
async fn a_websocket_echoes_through_both_and_a_body_of_its_size() {
    let application = Application::start(|mut peer, _| async move {
        let head = peer.head().await.unwrap_or_default();
        if header(&head, "upgrade").is_none() {
            let length = header(&head, "content-length").unwrap().parse().unwrap();
            let body = peer.exactly(length).await;
            peer.send(&ok(&body)).await;
            peer.ended().await;
            return;
        }
        peer.send(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        )
        .await;
        while let Some(line) = peer.until("\n").await {
            peer.send(&line).await;
        }
    })
    .await;
    let (listener, addr) = listener().await;
    let _open = gateway_s_door(listener, application.addr);
    let front = Front::to(addr).await;
    let mut socket: Peer = front.client_of_one().await;
    // Its first words come with the request, before anybody agreed.
    socket
        .send(&format!(
            "GET / HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\nearly\n",
            org(ONE)
        ))
        .await;
    let head = socket.head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(socket.until("\n").await.as_deref(), Some("early\n"));
    for number in 0..100 {
        let line = format!("message {number}\n");
        socket.send(&line).await;
        assert_eq!(socket.until("\n").await, Some(line));
    }
    let mut client = front.client_of_one().await;
    let body = "0123456789".repeat(100_000);
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n\r\n",
        org(ONE),
        body.len()
    );
    client.send(&(head + &body)).await;
    let answer = client.message().await;
    assert!(answer.body == body, "{} bytes", answer.body.len());
}

#[tokio::test]
async fn a_gateway_that_is_exchanged_under_load_loses_no_request() {
    let application = Application::answering(|_| ok("hello")).await;
    let (listener, mut addr) = listener().await;
    let mut open = gateway_s_door(listener, application.addr);
    let front = std::sync::Arc::new(Front::to(addr).await);
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let done = CancellationToken::new();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (front, asked, done) = (front.clone(), asked.clone(), done.clone());
        asking.spawn(async move {
            let mut client = front.client_of_one().await;
            while !done.is_cancelled() {
                client.ask("GET", "/").await;
                let answer = client.message().await;
                assert_eq!((answer.status(), answer.body.as_str()), (200, "hello"));
                asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        });
    }
    for life in 1..=5 {
        let before = asked.load(std::sync::atomic::Ordering::SeqCst);
        soon("more answers", async {
            while asked.load(std::sync::atomic::Ordering::SeqCst) < before + 50 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        front.say(0, Standing::Starting);
        drop(open);
        let (listener, next) = self::listener().await;
        addr = next;
        open = gateway_s_door(listener, application.addr);
        front.say(
            0,
            Standing::At {
                address: addr,
                life,
            },
        );
    }
    done.cancel();
    while let Some(ended) = soon("the end of a client", asking.join_next()).await {
        ended.unwrap();
    }
    front.say(0, at(addr));
}
