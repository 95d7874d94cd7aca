//! Heads, headers and what is upgraded.

use lockgate_route::ForwardedHeaders;

use crate::doors::{BUILD, Door, Driver, at_all_doors, at_both_doors};
use crate::rig::{Application, header, ok};

at_all_doors! {
    an_answer_comes_through_and_names_the_build
    a_client_cannot_lie_about_where_it_came_from
    a_head_has_the_length_of_its_body_and_no_body
    a_websocket_echoes
    an_upgrade_to_http_2_is_none
}

at_both_doors! {
    what_a_proxy_before_the_door_says_is_kept_where_that_is_meant
    the_application_s_own_headers_are_its_own
    an_old_client_without_a_host_is_served
}

async fn an_answer_comes_through_and_names_the_build(driver: Driver) {
    let application = Application::answering(ok).await;
    let door = Door::open(driver, application.addr).await;
    let answer = door
        .say(&[
            "GET /path?query=1 HTTP/1.1",
            &format!("host: {}:7100", door.host.to_uppercase()),
            "x_under: 1",
        ])
        .await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("lockgate-build"), Some(BUILD));
    let seen = answer.body.to_ascii_lowercase();
    assert!(seen.starts_with("get /path?query=1 http/1.1\r\n"), "{seen}");
    for line in [
        &format!("host: {}:7100", door.host),
        &format!("x-forwarded-host: {}:7100", door.host),
        "x-forwarded-for: 127.0.0.1",
        "x-real-ip: 127.0.0.1",
        &format!("x-forwarded-proto: {}", door.scheme()),
        "x_under: 1",
    ] {
        assert!(seen.contains(&format!("{line}\r\n")), "{line} in {seen}");
    }
}

const LYING: [&str; 11] = [
    "x-forwarded-for: 10.0.0.1",
    "x-forwarded-for: 10.0.0.2",
    "x-forwarded-proto: gopher",
    "x-forwarded-host: other.test",
    "x-forwarded-port: 4711",
    "x-forwarded-prefix: /admin",
    "x-forwarded-user: root",
    "forwarded: for=10.0.0.1",
    "x-real-ip: 10.0.0.3",
    "proxy-authorization: Basic c2VjcmV0",
    "connection: x-forwarded-for",
];

/// What the application sees of a client that says these things, in lower case.
async fn lying(door: &Door, lies: &[&str]) -> String {
    let host = format!("host: {}", door.host);
    let lines = [&["GET / HTTP/1.1", &host][..], lies].concat();
    door.say(&lines).await.body.to_ascii_lowercase()
}

async fn a_client_cannot_lie_about_where_it_came_from(driver: Driver) {
    let application = Application::answering(ok).await;
    let door = Door::open(driver, application.addr).await;
    let seen = lying(&door, &LYING).await;
    for lie in [
        "10.0.0.",
        "gopher",
        "other.test",
        "4711",
        "/admin",
        "root",
        "secret",
        "basic",
    ] {
        assert!(!seen.contains(lie), "{lie} in {seen}");
    }
    assert_eq!(header(&seen, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(header(&seen, "x-real-ip"), Some("127.0.0.1"));
    assert_eq!(header(&seen, "x-forwarded-proto"), Some(door.scheme()));
    assert_eq!(header(&seen, "x-forwarded-host"), Some(&*door.host));
}

async fn what_a_proxy_before_the_door_says_is_kept_where_that_is_meant(driver: Driver) {
    let application = Application::answering(ok).await;
    let door = Door::open_as(driver, application.addr, [ForwardedHeaders::Append]).await;
    let seen = lying(&door, &LYING[..10]).await;
    let chain = header(&seen, "x-forwarded-for").unwrap();
    assert!(
        chain.starts_with("10.0.0.1") && chain.ends_with(", 127.0.0.1"),
        "{chain}"
    );
    assert_eq!(header(&seen, "x-forwarded-proto"), Some("gopher"));
    assert_eq!(header(&seen, "x-forwarded-host"), Some("other.test"));
    assert_eq!(header(&seen, "forwarded"), Some("for=10.0.0.1"));
    assert_eq!(header(&seen, "x-real-ip"), Some("10.0.0.3"));
}

async fn a_head_has_the_length_of_its_body_and_no_body(driver: Driver) {
    let application = Application::start(|mut peer, _| async move {
        while let Some(head) = peer.head().await {
            assert!(head.starts_with("HEAD "), "{head}");
            peer.send("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\netag: \"a\"\r\n\r\n")
                .await;
        }
    })
    .await;
    let door = Door::open(driver, application.addr).await;
    let mut client = door.client().await;
    for _ in 0..3 {
        client.ask("HEAD", "/").await;
        let head = client.head().await.unwrap();
        assert_eq!(header(&head, "content-length"), Some("5000"));
        assert_eq!(header(&head, "etag"), Some("\"a\""));
    }
}

async fn a_websocket_echoes(driver: Driver) {
    let application = Application::start(|mut peer, _| async move {
        let head = peer.head().await.unwrap();
        let upgrade = header(&head, "upgrade").map(str::to_ascii_lowercase);
        assert_eq!(upgrade.as_deref(), Some("websocket"));
        let connection = header(&head, "connection").map(str::to_ascii_lowercase);
        assert_eq!(connection.as_deref(), Some("upgrade"));
        assert_eq!(header(&head, "sec-websocket-key"), Some("abc"));
        peer.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: def\r\n\r\nwelcome\n")
            .await;
        while let Some(line) = peer.until("\n").await {
            peer.send(&line).await;
        }
    })
    .await;
    let door = Door::open(driver, application.addr).await;
    let mut client = door.client().await;
    client
        .send(&format!(
            "GET /ws HTTP/1.1\r\nhost: {}\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: abc\r\n\r\n",
            door.host
        ))
        .await;
    let head = client.head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(header(&head, "upgrade"), Some("websocket"));
    assert_eq!(header(&head, "sec-websocket-accept"), Some("def"));
    assert_eq!(header(&head, "lockgate-build"), Some(BUILD));
    assert_eq!(client.until("\n").await.as_deref(), Some("welcome\n"));
    for number in 0..100 {
        let line = format!("message {number}\n");
        client.send(&line).await;
        assert_eq!(client.until("\n").await, Some(line));
    }
}

async fn an_upgrade_to_http_2_is_none(driver: Driver) {
    let application = Application::answering(ok).await;
    let door = Door::open(driver, application.addr).await;
    for (connection, upgrade) in [
        ("Upgrade, HTTP2-Settings", "h2c"),
        ("keep-alive", "websocket"),
    ] {
        let seen = door
            .say(&[
                "GET / HTTP/1.1",
                &format!("host: {}", door.host),
                &format!("connection: {connection}"),
                &format!("upgrade: {upgrade}"),
            ])
            .await;
        assert_eq!(header(&seen.body, "upgrade"), None, "{}", seen.body);
    }
}

async fn the_application_s_own_headers_are_its_own(driver: Driver) {
    let application = Application::answering(|_| {
        "HTTP/1.1 302 Found\r\nserver: mine\r\ndate: then\r\nlocation: http://lockgate_application/x\r\n\
         x-accel-redirect: /.lockgate/404.json\r\nlockgate-build: ffffffffffff\r\ncontent-length: 0\r\n\r\n"
            .to_owned()
    })
    .await;
    let door = Door::open(driver, application.addr).await;
    let answer = door.ask("/").await;
    assert_eq!(answer.status(), 302);
    assert_eq!(answer.header("server"), Some("mine"));
    assert_eq!(answer.header("date"), Some("then"));
    let location = answer.header("location");
    assert_eq!(location, Some("http://lockgate_application/x"));
    let builds = answer.head.to_ascii_lowercase();
    assert_eq!(builds.matches("lockgate-build:").count(), 1, "{builds}");
    assert_eq!(answer.header("lockgate-build"), Some(BUILD));
}

async fn an_old_client_without_a_host_is_served(driver: Driver) {
    let application = Application::answering(ok).await;
    let door = Door::open(driver, application.addr).await;
    let answer = door.say(&["GET /old HTTP/1.0"]).await;
    assert_eq!(answer.status(), 200);
    // HTTP/1.1 requires the line, and Node refuses a request without it.
    assert!(header(&answer.body, "host").is_some(), "{}", answer.body);
}
