//! How connections end: clients that leave, applications that die, doors that close.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::rig::{Application, Door, Peer, ok, soon};

#[tokio::test]
async fn a_client_that_leaves_is_not_worked_for_any_more() {
    for beginning in [
        "",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n",
    ] {
        let read = Arc::new(Notify::new());
        let left = Arc::new(Notify::new());
        let (has_read, has_left) = (Arc::clone(&read), Arc::clone(&left));
        let application = Application::start(move |mut peer: Peer, _| {
            let (has_read, has_left) = (Arc::clone(&has_read), Arc::clone(&has_left));
            async move {
                peer.head().await;
                peer.send(beginning).await;
                has_read.notify_one();
                peer.ended().await;
                has_left.notify_one();
            }
        })
        .await;
        let door = Door::to(application.addr).await;
        let mut client = door.client().await;
        client.ask("GET", "/").await;
        soon("the request", read.notified()).await;
        if !beginning.is_empty() {
            client.head().await.unwrap();
        }
        drop(client);
        soon("the end at the application", left.notified()).await;
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_made_to_look_whole() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nonly this\r\n",
    ] {
        let application = Application::start(move |mut peer, _| async move {
            peer.head().await;
            peer.send(answer).await;
        })
        .await;
        let door = Door::to(application.addr).await;
        let mut client = door.client().await;
        client.ask("GET", "/").await;
        let rest = client.rest().await;
        assert!(rest.contains("only this"), "{rest}");
        assert!(!rest.ends_with("0\r\n\r\n"), "{rest}");
    }
}

#[tokio::test]
async fn a_closing_door_finishes_what_is_in_flight_and_takes_no_more() {
    let read = Arc::new(Notify::new());
    let go = Arc::new(Notify::new());
    let (has_read, may_go) = (Arc::clone(&read), Arc::clone(&go));
    let application = Application::start(move |mut peer, _| {
        let (has_read, may_go) = (Arc::clone(&has_read), Arc::clone(&may_go));
        async move {
            while let Some(head) = peer.head().await {
                if head.starts_with("GET /slow") {
                    has_read.notify_one();
                    may_go.notified().await;
                }
                peer.send(&ok("done")).await;
            }
        }
    })
    .await;
    let door = Door::to(application.addr).await;
    let mut idle = door.client().await;
    idle.ask("GET", "/").await;
    assert_eq!(idle.message().await.body, "done");
    let mut busy = door.client().await;
    busy.ask("GET", "/slow").await;
    soon("the request", read.notified()).await;

    door.stop.cancel();
    soon("the idle connection's end", idle.ended()).await;
    assert!(TcpStream::connect(door.addr).await.is_err());
    go.notify_one();
    assert_eq!(busy.message().await.body, "done");
    soon("the door's end", door.served).await.unwrap();
}

#[tokio::test]
async fn a_closing_door_cuts_what_does_not_finish() {
    let read = Arc::new(Notify::new());
    let has_read = Arc::clone(&read);
    let application = Application::start(move |mut peer, _| {
        let has_read = Arc::clone(&has_read);
        async move {
            peer.head().await;
            has_read.notify_one();
            peer.ended().await;
        }
    })
    .await;
    let door = Door::to(application.addr).await;
    let mut stuck = door.client().await;
    stuck.ask("GET", "/").await;
    soon("the request", read.notified()).await;
    door.stop.cancel();
    soon("the door's end", door.served).await.unwrap();
    // Whichever side is cut first: no answer, or the page that there is none.
    let rest = stuck.rest().await;
    assert!(
        rest.is_empty() || rest.starts_with("HTTP/1.1 502 "),
        "{rest}"
    );
}
