//! Requests for a gateway that is being restarted.

use std::time::Duration;

use lockgate_model::Standing;
use lockgate_route::Patience;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::rig::{Application, Peer, ok, soon};
use crate::world::{BUILD, Front, ONE, TWO, at, org, short};

/// Long enough that an answer would have come.
const A_MOMENT: Duration = Duration::from_millis(150);

async fn nothing_comes(client: &mut Peer) {
    let answer = timeout(A_MOMENT, client.head()).await;
    assert!(answer.is_err(), "{answer:?}");
}

/// An address at which nobody listens, and that is kept for whoever binds it next.
async fn closed() -> std::net::SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    free.local_addr().unwrap()
}

#[tokio::test]
async fn requests_wait_for_a_gateway_that_is_being_started() {
    let application = Application::answering(|_| ok("hello")).await;
    let front = Front::open().await;
    front.assign(ONE, 0);
    front.say(0, Standing::Starting);
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = front.client_of_one().await;
        client.ask("GET", "/").await;
        clients.push(client);
    }
    nothing_comes(&mut clients[0]).await;
    front.say(0, at(application.addr));
    for client in &mut clients {
        let answer = client.message().await;
        assert_eq!((answer.status(), answer.body.as_str()), (200, "hello"));
    }
}

#[tokio::test]
async fn a_body_waits_too_and_is_not_read() {
    const BODY: usize = 32 << 20;
    let application = Application::start(|mut peer, _| async move {
        peer.head().await;
        let mut left = BODY;
        while left > 0 {
            let read = peer.exactly(64 << 10).await.len();
            left -= read;
        }
        peer.send(&ok("all of it")).await;
        peer.ended().await;
    })
    .await;
    let front = Front::open().await;
    front.assign(ONE, 0);
    front.say(0, Standing::Starting);
    let mut client = front.client_of_one().await;
    client
        .send(&format!(
            "POST / HTTP/1.1\r\nhost: {}\r\ncontent-length: {BODY}\r\n\r\n",
            org(ONE)
        ))
        .await;
    let piece = "x".repeat(64 << 10);
    let mut sent = 0;
    while timeout(Duration::from_millis(500), client.send(&piece))
        .await
        .is_ok()
    {
        sent += piece.len();
        assert!(sent < BODY / 2, "{sent} bytes went in and nobody took them");
    }
    // The piece that was interrupted may be sent in part, so this client is of no more use.
    drop(client);
    let mut client = front.client_of_one().await;
    client
        .send(&format!(
            "POST / HTTP/1.1\r\nhost: {}\r\nexpect: 100-continue\r\ncontent-length: {BODY}\r\n\r\n",
            org(ONE)
        ))
        .await;
    nothing_comes(&mut client).await;
    front.say(0, at(application.addr));
    let interim = client.head().await.unwrap();
    assert!(interim.starts_with("HTTP/1.1 100 "), "{interim}");
    for _ in 0..BODY / piece.len() {
        client.send(&piece).await;
    }
    assert_eq!(client.message().await.body, "all of it");
}

#[tokio::test]
async fn a_gateway_that_does_not_come_in_time_is_503_and_named() {
    let front = Front::patient(short(10)).await;
    front.assign(ONE, 0);
    front.say(0, Standing::Starting);
    let answer = front.ask(&org(ONE), "/").await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.header("retry-after"), Some("2"));
    assert_eq!(answer.header("lockgate-build"), Some(BUILD));
    for fact in ["gw-pool-dev-0", BUILD, "being started", "waited for 0.3 s"] {
        assert!(answer.body.contains(fact), "{fact} in {}", answer.body);
    }
}

#[tokio::test]
async fn no_more_requests_wait_than_may_and_other_gateways_are_served() {
    let application = Application::answering(|_| ok("hello")).await;
    let patience = Patience {
        most: 2,
        ..Patience::default()
    };
    let front = Front::patient(patience).await;
    front.assign(ONE, 0);
    front.assign(TWO, 1);
    front.say(0, Standing::Starting);
    front.say(1, at(application.addr));
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut client = front.client_of_one().await;
        client.ask("GET", "/").await;
        nothing_comes(&mut client).await;
        waiting.push(client);
    }
    let answer = front.ask(&org(ONE), "/").await;
    assert_eq!(answer.status(), 503);
    assert!(answer.header("retry-after").is_some());
    assert!(answer.body.contains("2 requests wait"), "{}", answer.body);
    assert_eq!(front.ask(&org(TWO), "/").await.body, "hello");
    front.say(0, at(application.addr));
    for client in &mut waiting {
        assert_eq!(client.message().await.body, "hello");
    }
}

#[tokio::test]
async fn a_request_that_waits_is_told_when_the_gateway_will_not_come() {
    let front = Front::open().await;
    front.assign(ONE, 0);
    front.say(0, Standing::Starting);
    let mut client = front.client_of_one().await;
    client.ask("GET", "/").await;
    nothing_comes(&mut client).await;
    front.say(0, Standing::Stopped("it was stopped by hand".into()));
    let answer = client.message().await;
    assert_eq!(answer.status(), 503);
    assert!(answer.body.contains("stopped by hand"), "{}", answer.body);
}

#[tokio::test]
async fn a_door_that_refuses_is_tried_again_until_it_answers() {
    let addr = closed().await;
    let front = Front::to(addr).await;
    let mut client = front.client_of_one().await;
    client
        .send(&format!(
            "POST / HTTP/1.1\r\nhost: {}\r\ncontent-length: 4\r\n\r\nbody",
            org(ONE)
        ))
        .await;
    nothing_comes(&mut client).await;
    let listener = TcpListener::bind(addr).await.unwrap();
    let (stream, _) = soon("another try", listener.accept()).await.unwrap();
    let mut peer = Peer::new(stream);
    peer.head().await.unwrap();
    assert_eq!(peer.exactly(4).await, "body");
    peer.send(&ok("at last")).await;
    assert_eq!(client.message().await.body, "at last");
}

#[tokio::test]
async fn a_door_that_refuses_all_the_time_is_503() {
    let front = Front::patient(short(10)).await;
    front.assign(ONE, 0);
    front.say(0, at(closed().await));
    let answer = front.ask(&org(ONE), "/").await;
    assert_eq!(answer.status(), 503, "{}", answer.body);
    assert!(answer.header("retry-after").is_some());
    for fact in ["cannot connect to", "gw-pool-dev-0"] {
        assert!(answer.body.contains(fact), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_request_cut_by_a_restart_is_asked_again_only_where_that_is_safe() {
    for (method, status) in [("GET", 200), ("POST", 502)] {
        let (seen, mut sees) = tokio::sync::mpsc::channel(1);
        let ended = std::sync::Arc::new(tokio::sync::Notify::new());
        let end = std::sync::Arc::clone(&ended);
        let old = Application::start(move |mut peer, _| {
            let (seen, end) = (seen.clone(), std::sync::Arc::clone(&end));
            async move {
                peer.head().await;
                seen.send(()).await.unwrap();
                end.notified().await;
            }
        })
        .await;
        let new = Application::answering(|_| ok("from the new one")).await;
        let front = Front::to(old.addr).await;
        let mut client = front.client_of_one().await;
        client
            .send(&format!(
                "{method} / HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\n\r\n",
                org(ONE)
            ))
            .await;
        soon("the request", sees.recv()).await.unwrap();
        front.say(0, Standing::Starting);
        ended.notify_one();
        if status == 200 {
            nothing_comes(&mut client).await;
        }
        front.say(
            0,
            Standing::At {
                address: new.addr,
                life: 1,
            },
        );
        assert_eq!(client.message().await.status(), status, "{method}");
        assert_eq!(new.connections(), usize::from(status == 200));
    }
}

/// A door that takes this request and dies over it, and another one at its address, which answers.
async fn cut_and_back(method: &str) -> (String, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let front = Front::to(addr).await;
    let mut client = front.client_of_one().await;
    client
        .send(&format!(
            "{method} / HTTP/1.1\r\nhost: {}\r\ncontent-length: 0\r\n\r\n",
            org(ONE)
        ))
        .await;
    let (stream, _) = soon("the request", listener.accept()).await.unwrap();
    let mut peer = Peer::new(stream);
    peer.head().await.unwrap();
    // Its connections end a little earlier than its socket, which must not be taken for another.
    drop(peer);
    let early = timeout(Duration::from_millis(30), listener.accept()).await;
    assert!(early.is_err(), "{early:?}");
    drop(listener);
    if method == "POST" {
        let answer = client.message().await;
        return (answer.body.clone(), answer.status());
    }
    // Nothing is said of the gateway: nobody has noticed yet.
    nothing_comes(&mut client).await;
    let listener = TcpListener::bind(addr).await.unwrap();
    let (stream, _) = soon("another try", listener.accept()).await.unwrap();
    let mut peer = Peer::new(stream);
    peer.head().await.unwrap();
    peer.send(&ok("from the next one")).await;
    let answer = client.message().await;
    (answer.body.clone(), answer.status())
}

#[tokio::test]
async fn a_request_over_which_a_door_died_is_asked_again_before_anybody_noticed() {
    for method in ["GET", "DELETE"] {
        let again = cut_and_back(method).await;
        assert_eq!(again, ("from the next one".to_owned(), 200), "{method}");
    }
    let (body, status) = cut_and_back("POST").await;
    assert_eq!(status, 502);
    assert!(body.contains("no answer from"), "{body}");
}
