//! Whose a host is, over all environments, and what is said of the rest.

use lockgate_model::{EnvName, FrontChange, Site, Standing};
use tokio::net::TcpStream;

use crate::rig::{Application, Message, Peer, header, ok, soon};
use crate::world::{BUILD, Front, ONE, TWO, at, environment, org};

/// One request with this `Host` on a connection for organization `ONE`.
async fn ask_as(front: &Front, host: &str) -> Message {
    let mut client = front.client_of_one().await;
    host.clone_into(&mut client.host);
    client.ask("GET", "/path?query").await;
    client.message().await
}

#[tokio::test]
async fn an_organization_s_name_leads_to_its_gateway_however_it_is_written() {
    let one = Application::answering(|_| ok("one")).await;
    let two = Application::answering(|_| ok("two")).await;
    let front = Front::to(one.addr).await;
    front.assign(TWO, 1);
    front.say(1, at(two.addr));
    let loud = ONE.to_uppercase();
    for (host, expected) in [
        (org(ONE), "one"),
        (format!("ORG-{loud}.Dev.Test"), "one"),
        (format!("{}:8443", org(ONE)), "one"),
        (format!("{}.", org(ONE)), "one"),
        (format!("{}.:443", org(ONE)), "one"),
        (org(TWO), "two"),
    ] {
        let answer = ask_as(&front, &host).await;
        assert_eq!((answer.status(), answer.body.as_str()), (200, expected));
        assert_eq!(answer.header("lockgate-build"), Some(BUILD), "{host}");
    }
}

#[tokio::test]
async fn a_user_container_s_name_leads_to_its_organization_s_gateway_unchanged() {
    let application = Application::answering(ok).await;
    let front = Front::to(application.addr).await;
    let level = format!("*.{}", org(ONE));
    let certificate = front.authority.certificate(&[&level]);
    front
        .certificates
        .send_replace(lockgate_route::Certificates::new([certificate]));
    for host in [
        format!("uc-{TWO}.{}", org(ONE)),
        format!("uc-{TWO}--web.{}", org(ONE)),
    ] {
        let answer = front.ask(&host, "/").await;
        assert_eq!(header(&answer.body, "host"), Some(host.as_str()));
    }
}

#[tokio::test]
async fn an_unknown_name_is_404_and_told_what_would_serve_it() {
    let application = Application::answering(ok).await;
    let front = Front::to(application.addr).await;
    for (host, why) in [
        (org(TWO), "lockgate org assign"),
        ("dev.test".into(), "`dev` has no site for its domain itself"),
        ("ganymede.dev.test".into(), "has no site for `ganymede.`"),
        ("www.dev.test".into(), "`dev.test` serves itself"),
        ("org-1.dev.test".into(), "`dev.test` serves itself"),
    ] {
        let answer = ask_as(&front, &host).await;
        assert_eq!(answer.status(), 404, "{host}");
        assert!(answer.body.contains(why), "{}", answer.body);
    }
    assert_eq!(application.connections(), 0);
}

#[tokio::test]
async fn two_environments_on_a_domain_share_it_and_the_first_has_the_sites() {
    let one = Application::answering(|_| ok("one")).await;
    let two = Application::answering(|_| ok("two")).await;
    let front = Front::to(one.addr).await;
    front.assign(TWO, 1);
    let mut later = environment("late", 2, "dev.test");
    later.apex = Some(Site::Upstream(two.addr));
    front.change(FrontChange::Environment(later));
    front.change(FrontChange::Organization {
        environment: EnvName::parse("late").unwrap(),
        organization: "750e8400-e29b-41d4-a716-446655440000".parse().unwrap(),
        gateway: Some("gw-pool-late-0".parse().unwrap()),
    });
    front.change(FrontChange::Gateway {
        gateway: "gw-pool-late-0".parse().unwrap(),
        known: Some(lockgate_model::FrontGateway {
            standing: at(two.addr),
            build: None,
        }),
    });
    let of_the_later = org("750e8400-e29b-41d4-a716-446655440000");
    assert_eq!(ask_as(&front, &of_the_later).await.body, "two");
    assert_eq!(ask_as(&front, &org(ONE)).await.body, "one");
    let answer = ask_as(&front, "dev.test").await;
    assert!(answer.body.contains("`dev` has no site"), "{}", answer.body);
}

#[tokio::test]
async fn a_site_that_is_a_server_answers_and_one_that_is_down_is_502_at_once() {
    let platform = Application::answering(|_| ok("platform")).await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = free.local_addr().unwrap();
    drop(free);
    let front = Front::open().await;
    front.set_sites(
        Some(Site::Upstream(nobody)),
        Some(Site::Upstream(platform.addr)),
    );
    assert_eq!(front.ask("ganymede.dev.test", "/").await.body, "platform");
    let answer = front.ask("dev.test", "/").await;
    assert_eq!(answer.status(), 502, "{}", answer.body);
}

#[tokio::test]
async fn a_change_counts_for_the_next_request_and_drops_no_connection() {
    let one = Application::start(|mut peer, _| async move {
        let head = peer.head().await.unwrap_or_default();
        if head.contains("/ws") {
            peer.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
                .await;
            while let Some(line) = peer.until("\n").await {
                peer.send(&line).await;
            }
        } else {
            peer.send(&ok("one")).await;
            peer.ended().await;
        }
    })
    .await;
    let two = Application::answering(|_| ok("two")).await;
    let front = Front::to(one.addr).await;
    let mut client = front.client_of_one().await;
    client.ask("GET", "/").await;
    assert_eq!(client.message().await.body, "one");
    let mut socket = front.client_of_one().await;
    socket
        .send(&format!(
            "GET /ws HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n",
            org(ONE)
        ))
        .await;
    assert!(socket.head().await.unwrap().starts_with("HTTP/1.1 101 "));
    for number in [0, 1, 2] {
        front.assign(ONE, 1);
        front.say(1, at(two.addr));
        client.ask("GET", "/").await;
        assert_eq!(client.message().await.body, "two");
        front.assign(ONE, 0);
        client.ask("GET", "/").await;
        assert_eq!(client.message().await.body, "one");
        let line = format!("message {number}\n");
        socket.send(&line).await;
        assert_eq!(socket.until("\n").await, Some(line));
    }
}

#[tokio::test]
async fn http_is_sent_to_https_where_the_name_is_served() {
    let front = Front::open().await;
    front.assign(ONE, 0);
    front.say(0, Standing::Stopped("by hand".into()));
    for (method, host, status, location) in [
        (
            "GET",
            org(ONE),
            308,
            Some(format!("https://{}:8443/a/b?c=d", org(ONE))),
        ),
        (
            "POST",
            format!("{}.:80", org(ONE).to_uppercase()),
            308,
            Some(format!("https://{}:8443/a/b?c=d", org(ONE))),
        ),
        ("GET", org(TWO), 404, None),
        ("GET", "elsewhere.test".into(), 404, None),
        ("GET", "dev.test".into(), 404, None),
    ] {
        let mut client = Peer::new(TcpStream::connect(front.http).await.unwrap());
        client.host.clone_from(&host);
        client.ask(method, "/a/b?c=d").await;
        let answer = client.message().await;
        assert_eq!(answer.status(), status, "{host}");
        assert_eq!(answer.header("location"), location.as_deref(), "{host}");
    }
}

#[tokio::test]
async fn what_is_said_of_a_request_s_origin_is_the_front_door_s_own_word() {
    let application = Application::answering(ok).await;
    let front = Front::to(application.addr).await;
    let mut client = front.client_of_one().await;
    let mut request = format!("GET / HTTP/1.1\r\nhost: {}:8443\r\n", org(ONE));
    for lie in [
        "x-forwarded-for: 10.0.0.1",
        "x-forwarded-proto: gopher",
        "x-forwarded-host: other.test",
        "x-forwarded-port: 1",
        "x-forwarded-prefix: /admin",
        "x-real-ip: 10.0.0.2",
        "forwarded: for=10.0.0.3",
        "connection: x-forwarded-for, x-real-ip",
    ] {
        request.push_str(lie);
        request.push_str("\r\n");
    }
    client.send(&format!("{request}\r\n")).await;
    let seen = client.message().await.body;
    let host = format!("{}:8443", org(ONE));
    for (name, expected) in [
        ("host", Some(host.as_str())),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-proto", Some("https")),
        ("x-forwarded-host", Some(host.as_str())),
        ("x-forwarded-port", Some("8443")),
        ("x-real-ip", Some("127.0.0.1")),
        ("x-forwarded-prefix", None),
        ("forwarded", None),
        ("connection", None),
    ] {
        assert_eq!(header(&seen, name), expected, "{name} in {seen}");
    }
}

#[tokio::test]
async fn the_build_that_a_gateway_s_own_door_names_counts_more() {
    let application = Application::answering(|_| {
        "HTTP/1.1 200 OK\r\nlockgate-build: ffffffffffff\r\ncontent-length: 0\r\n\r\n".to_owned()
    })
    .await;
    let front = Front::to(application.addr).await;
    let answer = front.ask(&org(ONE), "/").await;
    assert_eq!(answer.header("lockgate-build"), Some("ffffffffffff"));
    let all = answer.head.to_ascii_lowercase();
    assert_eq!(all.matches("lockgate-build").count(), 1, "{all}");
}

#[tokio::test]
async fn a_front_door_that_closes_finishes_what_it_serves() {
    let application = Application::start(|mut peer, _| async move {
        peer.head().await;
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf")
            .await;
        peer.until("never").await;
    })
    .await;
    let mut front = Front::to(application.addr).await;
    let mut idle = front.client_of_one().await;
    let mut busy = front.client_of_one().await;
    busy.ask("GET", "/").await;
    assert!(busy.head().await.is_some());
    front.stop.cancel();
    soon("the end of the idle connection", idle.ended()).await;
    drop(busy);
    soon("the end of the door", &mut front.served)
        .await
        .unwrap();
}
