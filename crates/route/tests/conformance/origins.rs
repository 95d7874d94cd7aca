//! Whom a door with two ports believes where a request came from: on one the proxy before
//! it, on the other nobody.

use lockgate_route::ForwardedHeaders::{Append, Replace};

use crate::doors::{Door, Driver, at_both_doors, in_a_vpn};
use crate::rig::{Application, header, ok};

at_both_doors! {
    each_port_has_its_own_rule
    the_rules_are_the_same_for_user_containers
    two_ports_with_the_same_rule_do_the_same
}

/// What a front door says of a client, and what no front door lets through.
const SAID: [&str; 7] = [
    "x-forwarded-for: 10.0.0.1",
    "x-real-ip: 10.0.0.1",
    "x-forwarded-proto: https",
    "x-forwarded-host: org.test:8443",
    "x-forwarded-port: 8443",
    "forwarded: for=10.0.0.1",
    "proxy-authorization: Basic c2VjcmV0",
];

/// What arrives of that from this port, in lower case.
async fn seen(door: &mut Door, port: usize, host: &str) -> String {
    door.addr = door.addrs[port];
    let host = format!("host: {host}");
    let upgrade = ["connection: upgrade", "upgrade: websocket"];
    let lines = [&["GET / HTTP/1.1", &host][..], &SAID, &upgrade].concat();
    let answer = door.say(&lines).await;
    assert_eq!(answer.status(), 200, "{}", answer.body);
    let seen = answer.body.to_ascii_lowercase();
    // What else a door sets is set on each port.
    assert!(seen.contains(&format!("\r\n{host}\r\n")), "{seen}");
    assert_eq!(header(&seen, "connection"), Some("upgrade"), "{seen}");
    assert_eq!(header(&seen, "upgrade"), Some("websocket"), "{seen}");
    assert_eq!(header(&seen, "proxy-authorization"), None, "{seen}");
    seen
}

fn is_kept(seen: &str) {
    for (name, expected) in [
        ("x-forwarded-for", "10.0.0.1, 127.0.0.1"),
        ("x-real-ip", "10.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "org.test:8443"),
        ("x-forwarded-port", "8443"),
        ("forwarded", "for=10.0.0.1"),
    ] {
        assert_eq!(header(seen, name), Some(expected), "{name} in {seen}");
    }
}

fn is_replaced(seen: &str, host: &str) {
    for (name, expected) in [
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-real-ip", Some("127.0.0.1")),
        ("x-forwarded-proto", Some("http")),
        ("x-forwarded-host", Some(host)),
        ("x-forwarded-port", None),
        ("forwarded", None),
    ] {
        assert_eq!(header(seen, name), expected, "{name} in {seen}");
    }
    assert!(!seen.contains("10.0.0."), "{seen}");
}

async fn each_port_has_its_own_rule(driver: Driver) {
    let application = Application::answering(ok).await;
    for (rules, appends, replaces) in [([Append, Replace], 0, 1), ([Replace, Append], 1, 0)] {
        let mut door = Door::open_as(driver, application.addr, rules).await;
        is_kept(&seen(&mut door, appends, "door.test").await);
        is_replaced(&seen(&mut door, replaces, "door.test").await, "door.test");
    }
}

async fn the_rules_are_the_same_for_user_containers(driver: Driver) {
    if !in_a_vpn() {
        return;
    }
    let application = Application::answering(|_| ok("application")).await;
    let container = Application::answering_at("172.16.0.6", ok).await;
    let mut door = Door::open_as(driver, application.addr, [Append, Replace]).await;
    door.set_routes(&format!("uc-1.x 172.16.0.6 {}", container.addr.port()))
        .await;
    is_kept(&seen(&mut door, 0, "uc-1.x").await);
    is_replaced(&seen(&mut door, 1, "uc-1.x").await, "uc-1.x");
    for addr in door.addrs.clone() {
        door.addr = addr;
        let answer = door.say(&["GET / HTTP/1.1", "host: uc-2.x"]).await;
        assert_eq!(answer.status(), 404);
    }
}

async fn two_ports_with_the_same_rule_do_the_same(driver: Driver) {
    let application = Application::answering(ok).await;
    let mut door = Door::open_as(driver, application.addr, [Append, Append]).await;
    for port in [0, 1] {
        is_kept(&seen(&mut door, port, "door.test").await);
    }
    let mut door = Door::open_as(driver, application.addr, [Replace, Replace]).await;
    for port in [0, 1] {
        is_replaced(&seen(&mut door, port, "door.test").await, "door.test");
    }
}
