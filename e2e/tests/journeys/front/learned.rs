//! What the application learns of a request through both doors.

use lockgate_e2e::World;
use serde_json::Value;

use super::{ONE, asking, assign, host, running};

/// All values of a header as the application has them, one after the other.
fn values(headers: &[Value], name: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (names, values) = (headers.iter(), headers.iter().skip(1));
    let pairs = names.step_by(2).zip(values.step_by(2));
    pairs
        .filter(|(found, _)| text(found).eq_ignore_ascii_case(name))
        .map(|(_, value)| text(value))
        .collect()
}

#[test]
fn an_application_learns_of_its_client_and_not_what_that_claims() {
    let world = World::new();
    let door = running(&world, &asking(&world, ""), 1);
    assign(&world, "dev-001", ONE);
    let url = format!("https://{}:{}/headers", host(ONE), door.https);
    let claims = [
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-For: 7.7.7.7",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: evil.test",
        "X-Forwarded-Port: 1",
        "X-Forwarded-User: evil",
        "X-Real-IP: 6.6.6.6",
        "Forwarded: for=6.6.6.6;host=evil.test",
    ];
    let claims = claims.iter().flat_map(|claim| ["--header", claim]);
    let claims: Vec<&str> = claims.collect();
    for version in ["--http2", "--http1.1"] {
        // An address of the client alone: the front door's own is 127.0.0.1.
        let own = [version, "--interface", "127.0.0.9", &url];
        let answer = door.curl(&[&own[..], &claims].concat());
        assert_eq!(answer.status, 200, "{answer:?}");
        let headers = answer.json().as_array().cloned().unwrap_or_default();
        let check = |name: &str, expected: &[&str]| {
            assert_eq!(
                values(&headers, name),
                expected,
                "{name} by {version}: {headers:?}"
            );
        };
        check("X-Forwarded-Proto", &["https"]);
        check("X-Forwarded-For", &["127.0.0.9, 127.0.0.1"]);
        check("X-Real-IP", &["127.0.0.9"]);
        let authority = format!("{}:{}", host(ONE), door.https);
        check("X-Forwarded-Host", &[&authority]);
        check("X-Forwarded-Port", &[&door.https.to_string()]);
        check("Host", &[&authority]);
        check("X-Forwarded-User", &[]);
        check("Forwarded", &[]);
        for claimed in ["6.6.6.6", "7.7.7.7", "evil"] {
            assert!(!answer.body.contains(claimed), "{claimed}: {answer:?}");
        }
    }
}
