//! Where messages end and whom they are for: nobody gets two opinions on that.

use crate::rig::{Application, Door, header, ok};

#[tokio::test]
async fn an_answer_that_says_its_length_twice_is_delimited_once() {
    for length in [3, 500] {
        let application = Application::start(move |mut peer, _| async move {
            peer.head().await;
            peer.send(&format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n"
            ))
            .await;
            peer.send("5\r\nhello\r\n0\r\n\r\n").await;
            peer.ended().await;
        })
        .await;
        let door = Door::to(application.addr).await;
        let answer = door.ask("GET", "/").await;
        assert_eq!(answer.body, "hello", "{}", answer.head);
        assert_eq!(answer.header("content-length"), None, "{}", answer.head);
    }
}

/// Whoever asks for a head only wants to know what a GET would bring.
#[tokio::test]
async fn a_head_without_a_length_is_not_given_one() {
    let application = Application::answering(|head| {
        let coding = if head.contains("/chunked") {
            "transfer-encoding: chunked\r\n"
        } else {
            ""
        };
        format!("HTTP/1.1 200 OK\r\n{coding}\r\n")
    })
    .await;
    let door = Door::to(application.addr).await;
    let mut client = door.client().await;
    for path in ["/chunked", "/unknown", "/chunked"] {
        client.ask("HEAD", path).await;
        let head = client.head().await.unwrap();
        assert_eq!(header(&head, "content-length"), None, "{head}");
    }
}

#[tokio::test]
async fn an_answer_in_a_coding_that_would_be_lost_is_502() {
    let application = Application::start(|mut peer, _| async move {
        peer.head().await;
        peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n")
            .await;
        peer.send("0\r\n\r\n").await;
        peer.ended().await;
    })
    .await;
    let door = Door::to(application.addr).await;
    let answer = door.ask("GET", "/").await;
    assert_eq!(answer.status(), 502, "{}", answer.head);
    assert!(answer.body.contains("chunked"), "{}", answer.body);
}

#[tokio::test]
async fn a_request_whose_end_can_be_read_in_two_ways_is_refused() {
    let application = Application::answering(|_| ok("hello")).await;
    let door = Door::to(application.addr).await;
    for (lines, status) in [
        (
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
            501,
        ),
        ("transfer-encoding: gzip\r\ntransfer-encoding: chunked", 501),
        ("transfer-encoding: chunked, chunked", 501),
        (
            "transfer-encoding: chunked\r\ntransfer-encoding: identity",
            400,
        ),
        ("content-length: 5\r\ncontent-length: 6", 400),
        ("content-length: 5\r\ncontent-length: 5", 400),
        ("content-length: 3\r\ntransfer-encoding: chunked", 400),
        ("transfer-encoding: chunked\r\ncontent-length: 3", 400),
        ("x: 1\ny: 2", 400),
        ("x: 1\r\n y", 400),
        ("content-length: +5", 400),
    ] {
        let mut client = door.client().await;
        client
            .send(&format!(
                "POST / HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n0\r\n\r\n"
            ))
            .await;
        let head = client.head().await.unwrap_or_default();
        let expected = format!("HTTP/1.1 {status} ");
        assert!(head.starts_with(&expected), "{lines}: {head}");
        client.ended().await;
    }
    assert_eq!(application.connections(), 0);
}

#[tokio::test]
async fn an_old_client_without_a_host_is_served() {
    let application = Application::answering(ok).await;
    let door = Door::to(application.addr).await;
    let mut client = door.client().await;
    client.send("GET /old HTTP/1.0\r\n\r\n").await;
    let answer = client.message().await;
    assert_eq!(answer.status(), 200);
    // HTTP/1.1 requires the line, and Node refuses a request without it.
    assert_eq!(header(&answer.body, "host"), Some(""), "{}", answer.body);
}

#[tokio::test]
async fn trailers_come_through_to_who_asks_for_them() {
    let application = Application::start(|mut peer, _| async move {
        peer.head().await;
        peer.send("HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        peer.send("5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n").await;
        peer.ended().await;
    })
    .await;
    let door = Door::to(application.addr).await;
    let mut client = door.client().await;
    client
        .send("GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te, close\r\n\r\n")
        .await;
    let answer = client.rest().await;
    assert!(answer.contains("x-sum: 7\r\n"), "{answer}");
}

#[tokio::test]
async fn interim_answers_do_not_end_the_wait() {
    let application = Application::start(|mut peer, _| async move {
        while peer.head().await.is_some() {
            peer.send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
                .await;
            peer.send("HTTP/1.1 102 Processing\r\n\r\n").await;
            peer.send(&ok("at last")).await;
        }
    })
    .await;
    let door = Door::to(application.addr).await;
    let mut client = door.client().await;
    for _ in 0..2 {
        client.ask("GET", "/").await;
        let answer = client.message().await;
        assert_eq!((answer.status(), answer.body.as_str()), (200, "at last"));
    }
    assert_eq!(application.connections(), 1);
}
