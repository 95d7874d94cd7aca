//! Uploads and upgrades; what every driver does alike stands in `conformance`.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::rig::{Application, Door, header, ok, soon};

#[tokio::test]
async fn an_upload_is_not_kept_in_memory() {
    const BODY: usize = 64 << 20;
    const PIECE: usize = 64 << 10;
    let (go, gone) = mpsc::channel::<()>(1);
    let gone = std::sync::Arc::new(tokio::sync::Mutex::new(gone));
    let application = Application::start(move |mut peer, _| {
        let gone = gone.clone();
        async move {
            peer.head().await;
            gone.lock().await.recv().await;
            let mut left = BODY - peer.early().len();
            let mut piece = vec![0; PIECE];
            while left > 0 {
                let read = peer.stream.read(&mut piece).await.unwrap();
                assert!(read > 0, "the upload ended {left} bytes too early");
                left -= read;
            }
            peer.send(&ok("all of it")).await;
            peer.ended().await;
        }
    })
    .await;
    let door = Door::to(application.addr).await;
    let mut client = door.client().await;
    client
        .send(&format!(
            "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {BODY}\r\n\r\n"
        ))
        .await;
    // The application reads nothing: what goes in fills socket buffers and stops.
    let piece = vec![b'x'; PIECE];
    let mut sent = 0;
    while let Ok(written) =
        tokio::time::timeout(Duration::from_millis(500), client.stream.write(&piece)).await
    {
        sent += written.unwrap();
        assert!(sent < BODY / 2, "{sent} bytes went in and none came out");
    }
    go.send(()).await.unwrap();
    while sent < BODY {
        let next = PIECE.min(BODY - sent);
        client.stream.write_all(&piece[..next]).await.unwrap();
        sent += next;
    }
    assert_eq!(client.message().await.body, "all of it");
}

#[tokio::test]
async fn an_answer_that_comes_before_the_upload_ended_comes_through() {
    let application = Application::start(|mut peer, _| async move {
        peer.head().await;
        peer.send("HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nno!")
            .await;
        peer.ended().await;
    })
    .await;
    let door = Door::to(application.addr).await;
    for _ in 0..20 {
        let mut client = door.client().await;
        client
            .send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 9000000\r\n\r\n")
            .await;
        client.send(&"x".repeat(100_000)).await;
        let answer = client.message().await;
        assert_eq!((answer.status(), answer.body.as_str()), (413, "no!"));
    }
}

#[tokio::test]
async fn an_upgrade_becomes_a_tunnel() {
    let application = Application::start(|mut peer, _| async move {
        let head = peer.head().await.unwrap();
        assert_eq!(header(&head, "connection"), Some("upgrade"));
        assert_eq!(header(&head, "upgrade"), Some("echo"));
        peer.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n")
            .await;
        peer.send("x-key: 1\r\n\r\nwelcome").await;
        let early = peer.early();
        peer.send(&early).await;
        let mut piece = vec![0; 4096];
        while let Ok(read @ 1..) = peer.stream.read(&mut piece).await {
            peer.stream.write_all(&piece[..read]).await.unwrap();
        }
    })
    .await;
    let door = Door::to(application.addr).await;
    let mut client = door.client().await;
    client
        .send("GET /ws HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: echo\r\n\r\nearly")
        .await;
    let head = client.head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(header(&head, "upgrade"), Some("echo"));
    assert_eq!(header(&head, "x-key"), Some("1"));
    assert_eq!(header(&head, "lockgate-build"), Some("0123456789ab"));
    assert_eq!(client.exactly(12).await, "welcomeearly");
    for number in 0..100 {
        let text = format!("message {number}");
        client.send(&text).await;
        assert_eq!(client.exactly(text.len()).await, text);
    }
    client.stream.shutdown().await.unwrap();
    soon("the tunnel's end", client.ended()).await;
}

#[tokio::test]
async fn an_upgrade_that_is_declined_is_an_answer_like_any_other() {
    let application = Application::answering(|_| ok("no")).await;
    let door = Door::to(application.addr).await;
    let mut client = door.client().await;
    client
        .send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        .await;
    assert_eq!(client.message().await.body, "no");
    client.ask("GET", "/").await;
    assert_eq!(client.message().await.body, "no");
}
