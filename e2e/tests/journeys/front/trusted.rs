//! Children are told to trust the authority, so that nobody turns verification off.

use std::fs;

use lockgate_e2e::{World, get};
use serde_json::Value;

use super::certificates::certificate;
use super::{ONE, asking, assign, configure, host, running, until_answered};

/// A service of the host with the same application.
const SERVICE: &str = "
[services.asker]
command = ['node', 'dist/packages/app-gateway/main.js']
env = { PORT = '3999' }
ready = 'http://127.0.0.1:3999/'
";

fn text<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn an_application_and_a_service_reach_the_front_door_with_nothing_switched_off() {
    let world = World::new();
    let workspace = asking(&world, SERVICE);
    let door = running(&world, &workspace, 1);
    assign(&world, "dev-001", ONE);
    let url = format!("https://{}:{}/", host(ONE), door.https);
    let trusted = world.home().join("ca/trusted.pem");

    let told = door.get(&host(ONE), "/").json();
    assert_eq!(
        text(&told, "NODE_EXTRA_CA_CERTS"),
        trusted.to_str().unwrap()
    );
    let authority = fs::read_to_string(&trusted).unwrap();
    assert_eq!(authority, fs::read_to_string(&door.trusted).unwrap());
    let bundle = fs::read_to_string(text(&told, "SSL_CERT_FILE")).unwrap();
    let own = fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").unwrap();
    assert_eq!(bundle, format!("{own}{authority}"));
    let path = format!("/fetch?url={url}");
    let fetched = door.get(&host(ONE), &path).json();
    assert_eq!(fetched.get("status"), Some(&200.into()), "{fetched}");

    // Of a service's variables, only what is added to what the machine trusts.
    let service = get(3999, "/").unwrap().json();
    assert_eq!(
        text(&service, "NODE_EXTRA_CA_CERTS"),
        trusted.to_str().unwrap()
    );
    assert_eq!(service.get("SSL_CERT_FILE"), Some(&Value::Null));
    let fetched = get(3999, &path).unwrap().json();
    assert_eq!(fetched.get("status"), Some(&200.into()), "{fetched}");

    // What the workspace says itself counts more. And this machine's own names are its own.
    let none = "[app.env]\nNODE_EXTRA_CA_CERTS = '/none'\nSSL_CERT_FILE = ''\n";
    configure(&workspace, none);
    world.deploy("dev-001").expect(0);
    let told = until_answered(&door, &host(ONE), "has its own", |it| {
        text(&it.json(), "NODE_EXTRA_CA_CERTS") == "/none"
    });
    assert_eq!(told.json().get("SSL_CERT_FILE"), Some(&"".into()));
    let refused = door.get(&host(ONE), &path).json();
    assert!(refused.get("error").is_some(), "{refused}");
    let hosts = fs::read_to_string("/etc/hosts").unwrap();
    assert!(!hosts.contains("lockgate"), "{hosts}");
}

#[test]
fn where_nothing_is_signed_nobody_is_told_whom_to_trust() {
    let world = World::new();
    let workspace = asking(&world, "");
    certificate(
        &workspace.path,
        "DNS:dev-001.localhost,DNS:*.dev-001.localhost",
    );
    configure(
        &workspace,
        "[front]\ncertificate = 'own.pem'\nkey = 'own.key'\n",
    );
    let door = running(&world, &workspace, 1);
    let own = door.trusting(&workspace.path.join("own.pem"));
    assert_eq!(own.get("dev-001.localhost", "/").status, 404);
    let port = world.ports("dev-001").first().copied().unwrap();
    let told = get(port, "/").unwrap().json();
    for name in ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"] {
        assert_eq!(told.get(name), Some(&Value::Null), "{name}");
    }
    assert!(!world.home().join("ca").exists());
}
