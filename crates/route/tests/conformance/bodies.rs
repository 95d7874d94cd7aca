//! Bodies in both directions, as they come and of any size.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Mutex, mpsc};

use crate::doors::{Door, Driver, at_all_doors};
use crate::rig::{Application, header, ok, soon};

at_all_doors! {
    an_event_passes_before_the_next_one_is_made
    chunks_go_up_as_they_come
    a_hundred_megabytes_go_up_without_being_kept
    a_hundred_megabytes_come_down_without_being_kept
    a_client_that_asks_first_is_told_to_continue
}

/// Far more than either driver may take for itself.
const BODY: usize = 100 << 20;
const PIECE: usize = 64 << 10;

/// What whoever serves may have taken at most: this program with its tests takes 20 MB,
/// a worker of nginx 5 MB.
const MOST_MEMORY: usize = 64 << 20;

async fn an_event_passes_before_the_next_one_is_made(driver: Driver) {
    let (next, events) = mpsc::channel::<&str>(1);
    let events = Arc::new(Mutex::new(events));
    let application = Application::start(move |mut peer, _| {
        let events = Arc::clone(&events);
        async move {
            peer.head().await;
            peer.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
                .await;
            peer.send("transfer-encoding: chunked\r\n\r\n").await;
            while let Some(event) = events.lock().await.recv().await {
                peer.send(&format!("{:x}\r\n{event}\r\n", event.len()))
                    .await;
            }
            peer.send("0\r\n\r\n").await;
            peer.ended().await;
        }
    })
    .await;
    let door = Door::open(driver, application.addr).await;
    let mut client = door.client().await;
    client.ask("GET", "/events").await;
    let head = client.head().await.unwrap();
    assert_eq!(header(&head, "content-type"), Some("text/event-stream"));
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        next.send(event).await.unwrap();
        assert_eq!(client.chunk().await.as_deref(), Some(event));
    }
    drop(next);
    assert_eq!(client.chunk().await, None);
}

async fn chunks_go_up_as_they_come(driver: Driver) {
    let (seen, mut sees) = mpsc::channel::<()>(4);
    let application = Application::start(move |mut peer, _| {
        let seen = seen.clone();
        async move {
            let head = peer.head().await.unwrap();
            assert_eq!(header(&head, "transfer-encoding"), Some("chunked"));
            let mut all = String::new();
            while let Some(chunk) = peer.chunk().await {
                all.push_str(&chunk);
                seen.send(()).await.unwrap();
            }
            peer.send(&ok(&all)).await;
            peer.ended().await;
        }
    })
    .await;
    let door = Door::open(driver, application.addr).await;
    let mut client = door.client().await;
    client
        .send(&format!(
            "POST / HTTP/1.1\r\nhost: {}\r\ntransfer-encoding: chunked\r\n\r\n",
            door.host
        ))
        .await;
    for piece in ["one", "two"] {
        client.send(&format!("3\r\n{piece}\r\n")).await;
        soon("the chunk is there", sees.recv()).await.unwrap();
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.message().await.body, "onetwo");
}

async fn a_hundred_megabytes_go_up_without_being_kept(driver: Driver) {
    let application = Application::start(|mut peer, _| async move {
        let head = peer.head().await.unwrap();
        assert_eq!(
            header(&head, "content-length"),
            Some(BODY.to_string().as_str())
        );
        let mut left = BODY - peer.early().len();
        let mut piece = vec![0; PIECE];
        while left > 0 {
            let read = peer.stream.read(&mut piece).await.unwrap();
            assert!(read > 0, "the upload ended {left} bytes too early");
            left -= read;
        }
        peer.send(&ok("all of it")).await;
        peer.ended().await;
    })
    .await;
    let door = Door::open(driver, application.addr).await;
    let mut client = door.client().await;
    client
        .send(&format!(
            "PUT / HTTP/1.1\r\nhost: {}\r\ncontent-length: {BODY}\r\n\r\n",
            door.host
        ))
        .await;
    let piece = vec![b'x'; PIECE];
    for _ in 0..BODY / PIECE {
        client.stream.write_all(&piece).await.unwrap();
    }
    assert_eq!(client.message().await.body, "all of it");
    assert!(door.peak_bytes() < MOST_MEMORY, "{}", door.peak_bytes());
}

async fn a_hundred_megabytes_come_down_without_being_kept(driver: Driver) {
    let application = Application::start(|mut peer, _| async move {
        peer.head().await;
        peer.send(&format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {BODY}\r\n\r\n"
        ))
        .await;
        let piece = vec![b'x'; PIECE];
        for _ in 0..BODY / PIECE {
            peer.stream.write_all(&piece).await.unwrap();
        }
        peer.ended().await;
    })
    .await;
    let door = Door::open(driver, application.addr).await;
    let mut client = door.client().await;
    client.ask("GET", "/").await;
    client.head().await.unwrap();
    let mut left = BODY - client.early().len();
    let mut piece = vec![0; PIECE];
    while left > 0 {
        let read = client.stream.read(&mut piece).await.unwrap();
        assert!(read > 0, "the download ended {left} bytes too early");
        left -= read;
    }
    assert!(door.peak_bytes() < MOST_MEMORY, "{}", door.peak_bytes());
}

async fn a_client_that_asks_first_is_told_to_continue(driver: Driver) {
    let application = Application::start(|mut peer, _| async move {
        let head = peer.head().await.unwrap();
        assert_eq!(header(&head, "expect"), None);
        let body = peer.exactly(4).await;
        peer.send(&ok(&body)).await;
        peer.ended().await;
    })
    .await;
    let door = Door::open(driver, application.addr).await;
    let mut client = door.client().await;
    client
        .send(&format!(
            "POST / HTTP/1.1\r\nhost: {}\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n",
            door.host
        ))
        .await;
    let interim = client.head().await.unwrap();
    assert!(interim.starts_with("HTTP/1.1 100 "), "{interim}");
    client.send("body").await;
    assert_eq!(client.message().await.body, "body");
}
