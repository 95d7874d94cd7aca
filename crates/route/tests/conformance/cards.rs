//! Who the door is, told to whoever asks it by its address.

use serde_json::json;
use tokio::net::TcpListener;

use crate::doors::{BUILD, Door, Driver, GATEWAY, at_both_doors};
use crate::rig::{Application, Message, ok};

at_both_doors! {
    a_door_asked_by_its_address_tells_who_it_is
    by_any_other_name_and_at_any_other_path_the_application_answers
    a_door_tells_who_it_is_while_the_application_is_down
}

const PATH: &str = "/.well-known/lockgate";

async fn ask(door: &Door, host: &str, path: &str) -> Message {
    let lines = [&format!("GET {path} HTTP/1.1"), &format!("host: {host}")];
    door.say(&lines.map(String::as_str)).await
}

fn check(answer: &Message) {
    assert_eq!(answer.status(), 200, "{}", answer.head);
    let card: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(card, json!({"gateway": GATEWAY, "build": BUILD}));
    for (name, value) in [
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        ("lockgate-build", BUILD),
    ] {
        assert_eq!(answer.header(name), Some(value), "{}", answer.head);
    }
    assert_eq!(answer.header("retry-after"), None);
    assert_eq!(answer.header("etag"), None);
}

async fn a_door_asked_by_its_address_tells_who_it_is(driver: Driver) {
    let application = Application::answering(|_| ok("application")).await;
    let door = Door::open(driver, application.addr).await;
    let own = door.addr.to_string();
    for host in [
        own.as_str(),
        "127.0.0.1",
        "172.17.0.2:7100",
        "[::1]",
        "[::1]:7100",
        "localhost:7100",
        "Host.Docker.Internal:7100",
        GATEWAY,
        "GW-pool-dev-001-0:80",
    ] {
        check(&ask(&door, host, PATH).await);
    }
    check(&ask(&door, &own, &format!("{PATH}?again=1")).await);
    // A host in the request line counts, and an old client may name none.
    let line = format!("GET http://127.0.0.1{PATH} HTTP/1.1");
    check(&door.say(&[&line, "host: org-1.test"]).await);
    check(&door.say(&[&format!("GET {PATH} HTTP/1.0")]).await);
    // A time of the client's makes no difference.
    let line = format!("GET {PATH} HTTP/1.1");
    let since = "if-modified-since: Fri, 01 Jan 2100 00:00:00 GMT";
    check(&door.say(&[&line, "host: 127.0.0.1", since]).await);
    assert_eq!(application.connections(), 0);
}

async fn by_any_other_name_and_at_any_other_path_the_application_answers(driver: Driver) {
    let application = Application::answering(|_| ok("application")).await;
    let door = Door::open(driver, application.addr).await;
    for (host, path) in [
        ("org-1.domain.local", PATH),
        ("dev-001.localhost", PATH),
        ("gw-pool-dev-001-0.domain.local", PATH),
        ("127.0.0.1.domain.local", PATH),
        ("127.0.0.1", "/.well-known/lockgate/"),
        ("127.0.0.1", "/.well-known/lockgatex"),
        ("127.0.0.1", "/.Well-Known/lockgate"),
        ("127.0.0.1", "/.well-known/security.txt"),
        ("127.0.0.1", "/x/.well-known/lockgate"),
    ] {
        let answer = ask(&door, host, path).await;
        assert_eq!(answer.body, "application", "{host}{path}");
    }
    let post = [
        &format!("POST {PATH} HTTP/1.1"),
        "host: 127.0.0.1",
        "content-length: 0",
    ];
    assert_eq!(door.say(&post).await.body, "application");
    // What the door keeps for itself is not to be had by its path.
    let inside = ask(&door, "127.0.0.1", "/.lockgate/door.json").await;
    assert!(!inside.body.contains(GATEWAY), "{}", inside.body);
}

async fn a_door_tells_who_it_is_while_the_application_is_down(driver: Driver) {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    let door = Door::open(driver, addr).await;
    check(&ask(&door, "127.0.0.1", PATH).await);
    door.say_unavailable(Some("it was stopped by hand"));
    check(&ask(&door, "127.0.0.1", PATH).await);
    assert_eq!(ask(&door, "127.0.0.1", "/").await.status(), 503);
}
