//! What the server refuses, with which status.

use lockgate_builds::serve::Reach;
use lockgate_model::{EnvName, protocol};

use crate::house::{FOREIGN_TOKEN, House, OTHER_TOKEN, TOKEN, env, gateway};

async fn check(house: &House, method: &str, path: &str, headers: &[&str], expected: u16) {
    let reply = house.ask(method, path, headers).await;
    assert_eq!(
        reply.status, expected,
        "{method} {path} {headers:?}: {}",
        reply.head
    );
    assert_eq!(reply.header("lockgate-protocol"), Some("1"));
    assert_eq!(reply.header("lockgate-program"), Some("lockgate/0.0.0"));
    if expected >= 400 && method != "HEAD" {
        assert!(reply.error().len() > 10, "{}", reply.error());
    }
    match expected {
        401 => assert_eq!(reply.header("www-authenticate"), Some("Bearer")),
        405 => assert!(reply.header("allow").is_some()),
        _ => {}
    }
}

#[tokio::test]
async fn only_the_protocols_paths_and_methods_are_there() {
    let house = House::start().await;
    let archive = protocol::archive_path(&env());
    let desired = protocol::desired_path(&gateway());
    let build = house.build_path();
    for path in [
        "/",
        "/gateway-dev.tar",
        "/dev/builds",
        "/.env",
        "/gateway-other.tar.gz",
    ] {
        check(&house, "GET", path, &[], 404).await;
    }
    for (method, path) in [
        ("POST", archive.as_str()),
        ("DELETE", &archive),
        ("OPTIONS", &archive),
        ("PUT", "/healthz"),
        ("HEAD", &desired),
        ("PUT", &build),
        ("GET", &protocol::status_path(&gateway())),
    ] {
        check(&house, method, path, &[], 405).await;
    }
    let long = format!("/{}", "x".repeat(3000));
    check(&house, "GET", &long, &[], 414).await;
    check(&house, "GET", "/healthz", &[], 200).await;
    check(&house, "HEAD", "/healthz", &[], 200).await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let house = House::start().await;
    let large = format!("x: {}", "y".repeat(20 << 10));
    let reply = house.ask("GET", "/healthz", &[&large]).await;
    assert_eq!(reply.status, 431);
    let fits = format!("x: {}", "y".repeat(12 << 10));
    check(&house, "GET", "/healthz", &[&fits], 200).await;
}

#[tokio::test]
async fn a_token_opens_its_own_and_nothing_else() {
    let house = House::start().await;
    let archive = protocol::archive_path(&env());
    let desired = protocol::desired_path(&gateway());
    let manifest = protocol::manifest_path(&env(), &house.packed.manifest.build);
    let build = house.build_path();
    let bearer = |token: &str| format!("authorization: Bearer {token}");
    for (token, path, expected) in [
        (TOKEN, &archive, 200),
        (TOKEN, &manifest, 200),
        (TOKEN, &build, 200),
        (TOKEN, &desired, 304),
        (OTHER_TOKEN, &archive, 200),
        (OTHER_TOKEN, &build, 200),
        (OTHER_TOKEN, &desired, 403),
        (FOREIGN_TOKEN, &archive, 403),
        (FOREIGN_TOKEN, &manifest, 403),
        (FOREIGN_TOKEN, &build, 403),
        (FOREIGN_TOKEN, &desired, 403),
        ("unknown", &archive, 401),
        ("unknown", &build, 401),
        ("unknown", &desired, 401),
    ] {
        check(&house, "GET", path, &[&bearer(token)], expected).await;
    }
    for path in [&manifest, &build, &desired] {
        check(&house, "GET", path, &[], 401).await;
        check(&house, "GET", path, &["authorization: Basic abc"], 401).await;
    }
    let unknown = format!("/v1/builds/{}/0123456789ab.tar", env());
    check(&house, "GET", &unknown, &[&bearer(TOKEN)], 404).await;
    check(
        &house,
        "GET",
        "/gateway-foreign.tar.gz",
        &[&bearer(FOREIGN_TOKEN)],
        404,
    )
    .await;
    house.store.dismiss(&gateway()).unwrap();
    check(&house, "GET", &archive, &[&bearer(TOKEN)], 401).await;
}

#[tokio::test]
async fn without_a_token_a_web_page_gets_nothing() {
    let house = House::start().await;
    let archive = protocol::archive_path(&env());
    check(&house, "GET", &archive, &[], 200).await;
    check(&house, "GET", &archive, &["host: localhost:8090"], 200).await;
    check(&house, "GET", &archive, &["host: evil.example:8090"], 403).await;
    check(
        &house,
        "GET",
        &archive,
        &["origin: http://evil.example"],
        403,
    )
    .await;
    check(
        &house,
        "GET",
        &archive,
        &["sec-fetch-site: cross-site"],
        403,
    )
    .await;
    let absolute = format!("http://evil.example{archive}");
    check(&house, "GET", &absolute, &[], 403).await;
    let bearer = format!("authorization: Bearer {TOKEN}");
    check(
        &house,
        "GET",
        &archive,
        &["host: builds.example", &bearer],
        200,
    )
    .await;
}

#[tokio::test]
async fn on_a_bridge_even_archives_need_a_token_unless_opened() {
    let archive = protocol::archive_path(&env());
    let house = House::with(Reach::Bridge, |server| server).await;
    check(&house, "GET", &archive, &[], 401).await;
    check(
        &house,
        "GET",
        &archive,
        &[&format!("authorization: Bearer {TOKEN}")],
        200,
    )
    .await;
    let opened = House::with(Reach::Bridge, |server| server.allow_plain(env())).await;
    check(&opened, "GET", &archive, &[], 200).await;
    check(&opened, "GET", "/gateway-foreign.tar.gz", &[], 401).await;
    check(&opened, "GET", &opened.build_path(), &[], 401).await;
    let other = EnvName::parse("foreign").unwrap();
    let closed = House::with(Reach::Bridge, |server| server.allow_plain(other)).await;
    check(&closed, "GET", &archive, &[], 401).await;
}

#[tokio::test]
async fn programs_of_another_protocol_are_told_so() {
    let house = House::start().await;
    let path = protocol::desired_path(&gateway());
    check(&house, "GET", &path, &["lockgate-protocol: 99"], 426).await;
    let reply = house
        .raw(&format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        ))
        .await;
    assert_eq!(reply.status, 426);
    assert!(
        reply.error().contains("lockgate-protocol"),
        "{}",
        reply.error()
    );
}

#[tokio::test]
async fn reports_are_bounded_and_of_their_own_gateway() {
    let house = House::start().await;
    let path = protocol::status_path(&gateway());
    let put = |body: String| {
        let (house, path) = (&house, &path);
        async move {
            let head = format!(
                "PUT {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nlockgate-protocol: 1\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            house.raw(&format!("{head}{body}")).await
        }
    };
    assert_eq!(put("{}".to_owned()).await.status, 400);
    assert_eq!(put("not JSON".to_owned()).await.status, 400);
    let report = |gateway: &str, padding: usize| {
        serde_json::json!({
            "env": "dev", "gateway": gateway, "agent_version": "1", "agent_pid": 1,
            "seq": 0, "settled": 0, "desired_build": null, "phase": "waiting",
            "running": null, "restarts": 0, "refused": null,
            "problem": "x".repeat(padding), "timings": {},
        })
        .to_string()
    };
    assert_eq!(put(report("gw-pool-dev-1", 0)).await.status, 400);
    assert!(house.reports.all().is_empty());
    assert_eq!(put(report("gw-pool-dev-0", 200 << 10)).await.status, 204);
    assert_eq!(house.reports.all().len(), 1);
    // The body is announced and never sent: refused from the head.
    let head = format!(
        "PUT {path} HTTP/1.1\r\nhost: x\r\nlockgate-protocol: 1\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 300000\r\n\r\n"
    );
    assert_eq!(house.raw(&head).await.status, 413);
    let chunk = "y".repeat(300_000);
    let chunked = format!(
        "PUT {path} HTTP/1.1\r\nhost: x\r\nlockgate-protocol: 1\r\nauthorization: Bearer {TOKEN}\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{chunk}",
        chunk.len()
    );
    assert_eq!(house.raw(&chunked).await.status, 413);
}
