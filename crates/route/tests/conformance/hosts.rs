//! Whose a host is, however it is written.

use crate::doors::{Door, Driver, at_both_doors, in_a_vpn};
use crate::rig::{Application, Peer, ok};

at_both_doors! {
    names_lead_to_their_containers_and_everything_else_to_the_application
    a_host_in_the_request_line_counts
    a_container_that_does_not_answer_is_502
}

/// A container that answers `answer` to everything.
async fn container(answer: &'static str) {
    let listener = tokio::net::TcpListener::bind("172.16.0.6:8080")
        .await
        .unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut peer = Peer::new(stream);
                while peer.head().await.is_some() {
                    peer.send(&ok(answer)).await;
                }
            });
        }
    });
}

async fn names_lead_to_their_containers_and_everything_else_to_the_application(driver: Driver) {
    if !in_a_vpn() {
        return;
    }
    container("container").await;
    let application = Application::answering(|_| ok("application")).await;
    let mut door = Door::open(driver, application.addr).await;
    door.set_routes("uc-1.org-2.domain.local 172.16.0.6 8080")
        .await;
    for (host, expected) in [
        ("uc-1.org-2.domain.local", "container"),
        ("UC-1.Org-2.Domain.Local", "container"),
        ("uc-1.org-2.domain.local:7100", "container"),
        ("uc-1.org-2.domain.local.", "container"),
        ("uc-1.org-2.domain.local.:80", "container"),
        ("org-2.domain.local", "application"),
        ("x.uc-1.org-2.domain.local", "application"),
        ("172.16.0.1", "application"),
        ("172.16.0.1:80", "application"),
        ("anything", "application"),
    ] {
        let answer = door
            .say(&["GET / HTTP/1.1", &format!("host: {host}")])
            .await;
        assert_eq!(
            (answer.status(), answer.body.as_str()),
            (200, expected),
            "{host}"
        );
        let build = answer.header("lockgate-build");
        assert_eq!(build.is_some(), expected == "application", "{host}");
    }
    for host in ["uc-2.org-2.domain.local", "UC-1.other:80", "uc-."] {
        for (accept, kind) in [
            ("*/*", "application/json"),
            ("text/html", "text/html; charset=utf-8"),
        ] {
            let lines = [
                "GET / HTTP/1.1",
                &format!("host: {host}"),
                &format!("accept: {accept}"),
            ];
            let answer = door.say(&lines).await;
            assert_eq!(answer.status(), 404, "{host}");
            assert_eq!(answer.header("content-type"), Some(kind), "{host}");
            assert!(answer.body.contains("no route"), "{}", answer.body);
        }
    }
    assert!(application.connections() > 0);
}

async fn a_host_in_the_request_line_counts(driver: Driver) {
    if !in_a_vpn() {
        return;
    }
    container("container").await;
    let application = Application::answering(ok).await;
    let mut door = Door::open(driver, application.addr).await;
    door.set_routes("uc-1.x 172.16.0.6 8080").await;
    let answer = door
        .say(&["GET http://uc-1.x/ HTTP/1.1", "host: other"])
        .await;
    assert_eq!(answer.body, "container");
    let answer = door
        .say(&["GET http://other.test:7/a?b HTTP/1.1", "host: uc-1.x"])
        .await;
    assert!(
        answer.body.starts_with("GET /a?b HTTP/1.1\r\n"),
        "{}",
        answer.body
    );
    let seen = answer.body.to_ascii_lowercase();
    assert!(seen.contains("\r\nhost: other.test:7\r\n"), "{seen}");
    assert!(
        seen.contains("\r\nx-forwarded-host: other.test:7\r\n"),
        "{seen}"
    );
}

async fn a_container_that_does_not_answer_is_502(driver: Driver) {
    if !in_a_vpn() {
        return;
    }
    let application = Application::answering(|_| ok("application")).await;
    let mut door = Door::open(driver, application.addr).await;
    door.set_routes("uc-1.x 172.16.0.6 8080").await;
    let answer = door.say(&["GET / HTTP/1.1", "host: uc-1.x"]).await;
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.header("retry-after"), Some("2"));
    assert_eq!(answer.header("lockgate-build"), None);
    assert_eq!(application.connections(), 0);
}
