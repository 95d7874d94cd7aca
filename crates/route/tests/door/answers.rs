//! What clients are told: forwarded answers and the door's own pages.

use lockgate_route::{Decision, Lookup};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::rig::{Application, Door, built, ok, stopped, to};

#[tokio::test]
async fn an_answer_comes_through_and_names_the_build() {
    let application = Application::answering(ok).await;
    let door = Door::to(application.addr).await;
    let answer = door.ask("GET", "/path?query=1").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("lockgate-build"), Some("0123456789ab"));
    let seen = answer.body;
    assert!(seen.starts_with("GET /path?query=1 HTTP/1.1\r\n"), "{seen}");
    for line in [
        "host: door.test",
        "x-forwarded-host: door.test",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
    ] {
        assert!(seen.contains(&format!("{line}\r\n")), "{line} in {seen}");
    }
}

#[tokio::test]
async fn many_requests_share_one_connection_at_each_side() {
    let application = Application::answering(|_| ok("hello")).await;
    let door = Door::to(application.addr).await;
    let mut client = door.client().await;
    for _ in 0..20 {
        client.ask("GET", "/").await;
        assert_eq!(client.message().await.body, "hello");
    }
    assert_eq!(application.connections(), 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let application = Application::answering(|head| ok(&head[..10])).await;
    let door = Door::to(application.addr).await;
    let mut client = door.client().await;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    client
        .send(&[request("/one"), request("/two"), request("/six")].concat())
        .await;
    for path in ["/one", "/two", "/six"] {
        assert!(client.message().await.body.contains(path), "{path}");
    }
}

#[tokio::test]
async fn heads_without_a_body_keep_their_length() {
    let application = Application::answering(|head| {
        let status = if head.starts_with("HEAD") {
            "200 OK"
        } else {
            "304 Not Modified"
        };
        format!("HTTP/1.1 {status}\r\ncontent-length: 5000\r\netag: \"a\"\r\n\r\n")
    })
    .await;
    let door = Door::to(application.addr).await;
    let mut client = door.client().await;
    for method in ["HEAD", "GET", "HEAD"] {
        client.ask(method, "/").await;
        let head = client.head().await.unwrap();
        assert!(head.contains("etag: \"a\""), "{head}");
        if method == "HEAD" {
            assert!(head.contains("content-length: 5000"), "{head}");
        }
    }
    assert_eq!(application.connections(), 1);
}

#[tokio::test]
async fn an_application_that_nobody_started_is_502() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    let answer = Door::to(addr).await.ask("GET", "/").await;
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.body.contains("gw-pool-dev-001-0"), "{}", answer.body);
    assert!(answer.body.contains("refused"), "{}", answer.body);
}

#[tokio::test]
async fn a_stopped_application_is_503_and_says_when_to_ask_again() {
    let door = Door::open(Lookup::fixed(stopped("it was stopped by hand"))).await;
    let answer = door.ask("GET", "/").await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.header("retry-after"), Some("3"));
    assert!(
        answer.body.contains("it was stopped by hand"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn a_request_without_a_route_is_404() {
    let door = Door::open(Lookup::fixed(Decision::NotFound)).await;
    assert_eq!(door.ask("GET", "/").await.status(), 404);
}

#[tokio::test]
async fn the_route_is_found_by_host_and_path() {
    let application = Application::answering(|_| ok("hello")).await;
    let (_table, watched) = watch::channel(application.addr);
    let lookup = Lookup::watching(watched, |addr, asked| {
        if asked.host == "door.test" && asked.path == "/here" {
            to(*addr)
        } else {
            Decision::NotFound
        }
    });
    let door = Door::open(lookup).await;
    assert_eq!(door.ask("GET", "/here?x").await.status(), 200);
    assert_eq!(door.ask("GET", "/there").await.status(), 404);
}

#[tokio::test]
async fn a_route_changes_without_a_reload() {
    let old = Application::answering(|_| ok("old")).await;
    let new = Application::answering(|_| ok("new")).await;
    let (table, watched) = watch::channel(to(old.addr));
    let door = Door::open(Lookup::watching(watched, |decision, _| decision.clone())).await;
    let mut client = door.client().await;
    client.ask("GET", "/").await;
    assert_eq!(client.message().await.body, "old");
    table.send_replace(built(new.addr, "ba9876543210"));
    client.ask("GET", "/").await;
    let answer = client.message().await;
    assert_eq!(answer.body, "new");
    assert_eq!(answer.header("lockgate-build"), Some("ba9876543210"));
}

#[tokio::test]
async fn what_is_not_a_request_for_a_door_is_refused() {
    let application = Application::answering(|_| ok("hello")).await;
    let door = Door::to(application.addr).await;
    let long = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "y".repeat(70_000)
    );
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        ("CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n", 405),
        (long.as_str(), 431),
    ] {
        let mut client = door.client().await;
        client.send(request).await;
        let head = client.head().await.unwrap_or_default();
        let expected = format!("HTTP/1.1 {status} ");
        assert!(head.starts_with(&expected), "{expected} but {head}");
    }
    assert_eq!(application.connections(), 0);
}
