//! Where messages end, how large their heads may be, and how long their answers take.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::doors::{Door, Driver, at_all_doors};
use crate::rig::{Application, Peer, header, ok, soon};

at_all_doors! {
    what_can_be_read_in_two_ways_reaches_nobody_in_two_ways
    a_body_that_breaks_its_own_rules_is_no_whole_one
    a_head_may_be_large_and_not_endless
    an_answer_may_take_long_and_come_in_small_pieces
    an_answer_that_comes_before_the_upload_ended_comes_through
}

/// What a request may hide in, and whether nginx refuses it too: it mends some lines.
const CORPUS: [(&str, bool); 16] = [
    ("content-length: 3\r\ntransfer-encoding: chunked", true),
    ("transfer-encoding: chunked\r\ncontent-length: 3", true),
    ("content-length: 5\r\ncontent-length: 5", true),
    ("content-length: 5\r\ncontent-length: 6", true),
    ("content-length: 5, 5", true),
    ("content-length: +5", true),
    ("content-length: 0x5", true),
    ("content-length: -5", true),
    ("transfer-encoding: chunked, chunked", true),
    (
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        true,
    ),
    ("transfer-encoding: gzip", true),
    ("transfer-encoding: \x0bchunked", true),
    ("content-length : 5", false),
    ("x: 1\ntransfer-encoding: chunked", false),
    ("x: 1\r\n transfer-encoding: chunked", false),
    ("x: 1\r\n\tcontent-length: 5", false),
];

async fn what_can_be_read_in_two_ways_reaches_nobody_in_two_ways(driver: Driver) {
    let (saw, mut seen) = mpsc::channel::<String>(100);
    let application = Application::start(move |mut peer, _| {
        let saw = saw.clone();
        async move {
            while let Some(head) = peer.head().await {
                saw.send(head).await.unwrap();
                peer.send(&ok("seen")).await;
            }
        }
    })
    .await;
    let door = Door::open(driver, application.addr).await;
    for (lines, everywhere) in CORPUS {
        let mut client = door.client().await;
        client
            .send(&format!(
                "POST / HTTP/1.1\r\nhost: {}\r\n{lines}\r\n\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nhost: a\r\n\r\n",
                door.host
            ))
            .await;
        if driver != Driver::Nginx || everywhere {
            let head = client.head().await.unwrap_or_default();
            let refused = head.starts_with("HTTP/1.1 400 ") || head.starts_with("HTTP/1.1 501 ");
            assert!(refused, "{lines:?}: {head}");
            let rest = client.rest().await;
            assert!(!rest.contains("HTTP/1.1 "), "{lines:?}: {rest}");
            assert!(seen.try_recv().is_err(), "{lines:?}");
            continue;
        }
        // What goes through is one reading of it: plain lines, and one length.
        let moment = Duration::from_millis(100);
        while let Ok(Some(head)) = timeout(moment, seen.recv()).await {
            check_plain(&head);
        }
    }
}

fn check_plain(head: &str) {
    assert_eq!(
        head.matches('\n').count(),
        head.matches("\r\n").count(),
        "{head:?}"
    );
    assert!(!head.contains("\n ") && !head.contains("\n\t"), "{head:?}");
    let low = head.to_ascii_lowercase();
    let lengths = low.matches("\ncontent-length").count();
    let codings = low.matches("\ntransfer-encoding").count();
    assert!(lengths + codings <= 1, "{head:?}");
}

async fn a_body_that_breaks_its_own_rules_is_no_whole_one(driver: Driver) {
    let application = Application::start(|mut peer, _| async move {
        peer.head().await;
        let all = peer.rest().await;
        assert!(!all.ends_with("0\r\n\r\n"), "{all:?}");
    })
    .await;
    let door = Door::open(driver, application.addr).await;
    for body in [
        "5\r\nhelloo\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "x\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    ] {
        let mut client = door.client().await;
        client
            .send(&format!(
                "POST / HTTP/1.1\r\nhost: {}\r\ntransfer-encoding: chunked\r\n\r\n{body}",
                door.host
            ))
            .await;
        let answer = client.rest().await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
            "{body:?}: {answer}"
        );
    }
}

async fn a_head_may_be_large_and_not_endless(driver: Driver) {
    let application = Application::answering(|_| ok("hello")).await;
    let door = Door::open(driver, application.addr).await;
    let host = format!("host: {}", door.host);
    let fits = format!("x-large: {}", "x".repeat(20_000));
    let answer = door.say(&["GET / HTTP/1.1", &host, &fits]).await;
    assert_eq!(answer.body, "hello");
    let before = application.connections();
    let mut client = door.client().await;
    client.send(&format!("GET / HTTP/1.1\r\n{host}\r\n")).await;
    let line = format!("x-large: {}\r\n", "x".repeat(1000));
    for _ in 0..300 {
        client.send(&line).await;
    }
    let answer = client.rest().await;
    let refused = ["HTTP/1.1 400 ", "HTTP/1.1 431 "];
    // The end of a connection may overtake the answer to one who still sends.
    assert!(
        answer.is_empty() || refused.iter().any(|start| answer.starts_with(start)),
        "{answer}"
    );
    assert_eq!(application.connections(), before);
}

/// That nothing is answered yet.
async fn nothing_comes(client: &mut Peer) {
    let moment = Duration::from_millis(150);
    assert!(timeout(moment, client.head()).await.is_err());
}

async fn an_answer_may_take_long_and_come_in_small_pieces(driver: Driver) {
    let (go, goes) = mpsc::channel::<()>(1);
    let goes = std::sync::Arc::new(tokio::sync::Mutex::new(goes));
    let application = Application::start(move |mut peer, _| {
        let goes = std::sync::Arc::clone(&goes);
        async move {
            peer.head().await;
            goes.lock().await.recv().await;
            for letter in ok("slowly").chars() {
                peer.send(&letter.to_string()).await;
                tokio::task::yield_now().await;
            }
            peer.ended().await;
        }
    })
    .await;
    let door = Door::open(driver, application.addr).await;
    let mut client = door.client().await;
    client.ask("GET", "/").await;
    nothing_comes(&mut client).await;
    go.send(()).await.unwrap();
    assert_eq!(client.message().await.body, "slowly");
}

async fn an_answer_that_comes_before_the_upload_ended_comes_through(driver: Driver) {
    let application = Application::start(|mut peer, _| async move {
        let head = peer.head().await.unwrap();
        assert_eq!(header(&head, "content-length"), Some("9000000"));
        peer.send("HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nno!")
            .await;
        peer.ended().await;
    })
    .await;
    let door = Door::open(driver, application.addr).await;
    let mut client = door.client().await;
    client
        .send(&format!(
            "PUT / HTTP/1.1\r\nhost: {}\r\ncontent-length: 9000000\r\n\r\n",
            door.host
        ))
        .await;
    client.send(&"x".repeat(100_000)).await;
    let answer = soon("the answer", client.message()).await;
    assert_eq!((answer.status(), answer.body.as_str()), (413, "no!"));
}
