use http::Request;

use super::forwarded::{FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PORT, FORWARDED_PROTO, REAL_IP};
use super::*;
use crate::proxy::ForwardedHeaders;
use crate::proxy::rules::Stage;
use http::header::FORWARDED;

fn parts(request: http::request::Builder) -> Parts {
    request.body(()).unwrap().into_parts().0
}

fn sent(request: http::request::Builder, forwarded: ForwardedHeaders) -> Parts {
    let rules = Rules {
        forwarded,
        ..Rules::default()
    };
    sent_by(request, &rules)
}

fn sent_by(request: http::request::Builder, rules: &Rules) -> Parts {
    let mut parts = parts(request);
    let host = host(&parts).unwrap();
    to_upstream(&mut parts, host, &client(), rules).unwrap();
    parts
}

fn client() -> Client {
    Client {
        peer: "192.0.2.7:4711".parse().unwrap(),
        certificate: None,
    }
}

fn get() -> http::request::Builder {
    Request::get("/a?b=c").header(HOST, "door.example:7100")
}

#[test]
fn the_host_is_kept_and_the_peer_is_named() {
    let parts = sent(get(), ForwardedHeaders::Replace);
    assert_eq!(parts.headers[HOST], "door.example:7100");
    assert_eq!(parts.headers[FORWARDED_HOST], "door.example:7100");
    assert_eq!(parts.headers[FORWARDED_FOR], "192.0.2.7");
    assert_eq!(parts.headers[FORWARDED_PROTO], "http");
    assert_eq!(parts.headers[REAL_IP], "192.0.2.7");
}

#[test]
fn the_front_door_names_the_port_that_was_asked_for() {
    let front = Rules {
        stage: Stage::Front,
        ..Rules::default()
    };
    for (host, expected) in [
        ("a.test:8443", "8443"),
        ("a.test", "80"),
        ("a.test:", "80"),
        ("[::1]:7", "7"),
        ("[::1]", "80"),
    ] {
        let request = Request::get("/")
            .header(HOST, host)
            .header("x-forwarded-port", "1");
        let parts = sent_by(request, &front);
        assert_eq!(parts.headers[FORWARDED_PORT], expected, "{host}");
    }
}

#[test]
fn cookies_of_http_2_become_one_line() {
    let request = Request::get("https://a.test/")
        .version(Version::HTTP_2)
        .header(COOKIE, "a=1")
        .header(COOKIE, "b=2")
        .header(COOKIE, "c=3");
    let parts = sent(request, ForwardedHeaders::Replace);
    let cookies: Vec<_> = parts.headers.get_all(COOKIE).iter().collect();
    assert_eq!(cookies, ["a=1; b=2; c=3"]);
}

#[test]
fn http_2_has_one_opinion_on_its_host() {
    let asking = |named: &[&str]| {
        let request = Request::get("https://A.test/").version(Version::HTTP_2);
        let all = named.iter();
        parts(all.fold(request, |request, host| request.header(HOST, *host)))
    };
    for named in [&[][..], &["a.TEST"]] {
        let named = host(&asking(named)).unwrap();
        assert_eq!(named.unwrap(), "A.test");
    }
    for (named, expected) in [
        (&["b.test"][..], Unforwardable::TwoHosts),
        (&["a.test:80"], Unforwardable::TwoHosts),
        (&["a.test", "a.test"], Unforwardable::Host),
    ] {
        assert_eq!(host(&asking(named)), Err(expected), "{named:?}");
    }
    let nowhere = parts(Request::get("/").version(Version::HTTP_2));
    assert_eq!(host(&nowhere), Err(Unforwardable::Host));
}

#[test]
fn header_lines_of_http_2_are_counted() {
    let asking = |lines: usize| {
        let request = Request::get("https://a.test/").version(Version::HTTP_2);
        let all = 0..lines;
        let request = all.fold(request, |it, line| it.header(format!("x-{line}"), "1"));
        let mut parts = parts(request);
        to_upstream(&mut parts, None, &client(), &Rules::default())
    };
    assert_eq!(asking(MOST_HEADERS), Ok(false));
    assert_eq!(asking(MOST_HEADERS + 1), Err(Unforwardable::Headers));
}

#[test]
fn a_client_cannot_lie_about_where_it_came_from_unless_a_proxy_stands_before() {
    let lying = || {
        get()
            .header(FORWARDED_FOR, "10.0.0.1")
            .header(FORWARDED_FOR, "10.0.0.2")
            .header(FORWARDED_PROTO, "https")
            .header("x-forwarded-port", "443")
            .header(FORWARDED, "for=10.0.0.1")
            .header(REAL_IP, "10.0.0.1")
            .header(CONNECTION, "x-forwarded-for, forwarded, x-real-ip")
    };
    let replaced = sent(lying(), ForwardedHeaders::Replace);
    for gone in ["x-forwarded-port", "forwarded"] {
        assert!(!replaced.headers.contains_key(gone), "{gone}");
    }
    assert_eq!(replaced.headers[FORWARDED_FOR], "192.0.2.7");
    assert_eq!(replaced.headers[FORWARDED_PROTO], "http");
    assert_eq!(replaced.headers[REAL_IP], "192.0.2.7");
    let appended = sent(lying(), ForwardedHeaders::Append);
    assert_eq!(
        appended.headers[FORWARDED_FOR],
        "10.0.0.1, 10.0.0.2, 192.0.2.7"
    );
    assert_eq!(appended.headers[FORWARDED_PROTO], "https");
    assert_eq!(appended.headers[FORWARDED], "for=10.0.0.1");
    assert_eq!(appended.headers[REAL_IP], "10.0.0.1");
}

#[test]
fn headers_of_one_connection_stay_there() {
    let parts = sent(
        get()
            .header(CONNECTION, "keep-alive, X-Private")
            .header(CONNECTION, "host, content-length")
            .header("x-private", "1")
            .header("keep-alive", "timeout=5")
            .header(TE, "trailers")
            .header(EXPECT, "100-continue")
            .header("x-kept", "1"),
        ForwardedHeaders::Replace,
    );
    for gone in ["connection", "x-private", "keep-alive", "te", "expect"] {
        assert!(!parts.headers.contains_key(gone), "{gone}");
    }
    assert!(parts.headers.contains_key("x-kept"));
    assert!(parts.headers.contains_key(HOST));
}

#[test]
fn an_upgrade_is_one_only_when_the_connection_header_says_so() {
    for (connection, expected) in [
        (Some("Upgrade"), true),
        (Some("keep-alive, upgrade"), true),
        (Some("keep-alive"), false),
        (None, false),
    ] {
        let mut request = get().header(UPGRADE, "websocket");
        if let Some(connection) = connection {
            request = request.header(CONNECTION, connection);
        }
        let parts = sent(request, ForwardedHeaders::Replace);
        assert_eq!(
            parts.headers.contains_key(UPGRADE),
            expected,
            "{connection:?}"
        );
    }
}

#[test]
fn http_2_and_old_clients_are_not_upgraded() {
    let asking = |protocol| {
        get()
            .header(CONNECTION, "upgrade, http2-settings")
            .header(UPGRADE, protocol)
    };
    for request in [
        asking("h2c"),
        asking("websocket, H2C"),
        asking("websocket").version(Version::HTTP_10),
    ] {
        let parts = sent(request, ForwardedHeaders::Replace);
        assert!(!parts.headers.contains_key(UPGRADE));
        assert!(!parts.headers.contains_key(CONNECTION));
    }
}

#[test]
fn an_absolute_uri_decides_the_host_and_becomes_a_path() {
    let parts = sent(
        Request::get("http://me:secret@other.example/x?y").header(HOST, "door.example"),
        ForwardedHeaders::Replace,
    );
    assert_eq!(parts.headers[HOST], "other.example");
    assert_eq!(parts.uri, "/x?y");
}

#[test]
fn requests_that_cannot_be_forwarded_are_told_apart() {
    for (request, expected) in [
        (Request::get("/"), Unforwardable::Host),
        (get().header(HOST, "second"), Unforwardable::Host),
        (
            Request::connect("door.example:80").header(HOST, "door.example"),
            Unforwardable::Connect,
        ),
    ] {
        assert_eq!(host(&parts(request)), Err(expected));
    }
    let old = parts(Request::get("/").version(Version::HTTP_10));
    assert_eq!(host(&old), Ok(None));
    let mut coded = parts(get().header(TRANSFER_ENCODING, "gzip, chunked"));
    assert_eq!(
        to_upstream(&mut coded, None, &client(), &Rules::default()),
        Err(Unforwardable::TransferCoding)
    );
}

#[test]
fn a_port_is_not_part_of_the_host() {
    for (host, expected) in [
        ("door.example:7100", "door.example"),
        ("door.example", "door.example"),
        ("[::1]:80", "[::1]"),
        ("[::1]", "[::1]"),
        ("", ""),
    ] {
        assert_eq!(without_port(host), expected);
    }
}
