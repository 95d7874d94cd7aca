//! Clients and applications that end in the middle.

use tokio::sync::mpsc;

use crate::doors::{BUILD, Door, Driver, GATEWAY, at_all_doors};
use crate::rig::{Application, ok, soon};

at_all_doors! {
    a_client_that_leaves_ends_its_request_at_the_application
    an_answer_that_is_cut_is_cut_for_the_client_too
    a_request_that_changes_something_is_not_asked_twice
    an_application_that_never_answers_a_request_is_502
}

async fn a_client_that_leaves_ends_its_request_at_the_application(driver: Driver) {
    let (gone, mut leaves) = mpsc::channel::<()>(1);
    let application = Application::start(move |mut peer, _| {
        let gone = gone.clone();
        async move {
            peer.head().await;
            peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
                .await;
            peer.ended().await;
            gone.send(()).await.unwrap();
        }
    })
    .await;
    let door = Door::open(driver, application.addr).await;
    let mut client = door.client().await;
    client.ask("GET", "/endless").await;
    client.head().await.unwrap();
    drop(client);
    soon("the application hears of it", leaves.recv())
        .await
        .unwrap();
    assert_eq!(application.connections(), 1);
}

async fn an_answer_that_is_cut_is_cut_for_the_client_too(driver: Driver) {
    let application = Application::start(|mut peer, _| async move {
        let head = peer.head().await.unwrap();
        let length = if head.contains("/chunked") {
            "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"
        } else {
            "content-length: 8\r\n\r\nhalf"
        };
        peer.send(&format!("HTTP/1.1 200 OK\r\n{length}")).await;
    })
    .await;
    let door = Door::open(driver, application.addr).await;
    for path in ["/length", "/chunked"] {
        let mut client = door.client().await;
        client.ask("GET", path).await;
        let head = client.head().await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let rest = client.rest().await;
        assert!(
            rest.contains("half") && !rest.ends_with("0\r\n\r\n"),
            "{rest}"
        );
    }
}

async fn a_request_that_changes_something_is_not_asked_twice(driver: Driver) {
    let application = Application::start(|mut peer, _| async move {
        peer.head().await;
        // And it ends without a word.
    })
    .await;
    let door = Door::open(driver, application.addr).await;
    let host = format!("host: {}", door.host);
    let lines = ["POST /order HTTP/1.1", &host, "content-length: 0"];
    let answer = door.say(&lines).await;
    assert_eq!(answer.status(), 502);
    assert_eq!(application.connections(), 1);
}

async fn an_application_that_never_answers_a_request_is_502(driver: Driver) {
    let application = Application::start(|mut peer, _| async move {
        if peer.head().await.is_some_and(|head| head.contains("/well")) {
            peer.send(&ok("well")).await;
        }
    })
    .await;
    let door = Door::open(driver, application.addr).await;
    let answer = door.ask("/ill").await;
    assert_eq!(answer.status(), 502, "{}", answer.head);
    for fact in [GATEWAY, BUILD] {
        assert!(answer.body.contains(fact), "{}", answer.body);
    }
    assert!(application.connections() <= 2, "asked once more at most");
    assert_eq!(door.ask("/well").await.body, "well");
}
