//! What clients are told while the application is down.

use tokio::net::TcpListener;

use crate::doors::{BUILD, Door, Driver, GATEWAY, at_all_doors, at_both_doors};
use crate::rig::{Application, Message, ok};

at_both_doors! {
    an_application_that_nobody_holds_is_502
}

at_all_doors! {
    a_stopped_application_is_503_at_once_and_comes_back
}

fn check(answer: &Message, status: u16, why: &str, kind: &str) {
    assert_eq!(answer.status(), status, "{}", answer.head);
    assert_eq!(answer.header("content-type"), Some(kind));
    assert_eq!(answer.header("retry-after"), Some("2"));
    assert_eq!(answer.header("lockgate-build"), Some(BUILD));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    for fact in [GATEWAY, BUILD, why] {
        assert!(answer.body.contains(fact), "{fact} in {}", answer.body);
    }
    if kind == "application/json" {
        let json: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(json["status"], status);
        assert_eq!(json["gateway"], GATEWAY);
        assert_eq!(json["build"], BUILD);
    }
}

async fn an_application_that_nobody_holds_is_502(driver: Driver) {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    let door = Door::open(driver, addr).await;
    let json = door.ask("/").await;
    check(&json, 502, "error", "application/json");
    let html = door
        .say(&[
            "POST /x HTTP/1.1",
            "host: a",
            "accept: text/html,*/*",
            "content-length: 0",
        ])
        .await;
    check(&html, 502, "<h1>502", "text/html; charset=utf-8");
}

async fn a_stopped_application_is_503_at_once_and_comes_back(driver: Driver) {
    let application = Application::answering(|_| ok("application")).await;
    let door = Door::open(driver, application.addr).await;
    door.say_unavailable(Some("it was stopped by hand"));
    let why = "it was stopped by hand";
    check(&door.ask("/").await, 503, why, "application/json");
    let html = door
        .say(&[
            "GET / HTTP/1.1",
            &format!("host: {}", door.host),
            "accept: text/html",
        ])
        .await;
    check(&html, 503, why, "text/html; charset=utf-8");
    assert_eq!(application.connections(), 0);
    door.say_unavailable(None);
    assert_eq!(door.ask("/").await.body, "application");
}
