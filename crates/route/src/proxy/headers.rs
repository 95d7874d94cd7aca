//! Headers: which belong to one connection only, and what a proxy says of itself.

use std::net::SocketAddr;

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    TE, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

use super::ForwardedHeaders;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Why a request cannot be forwarded: a sentence for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unforwardable {
    /// HTTP/1.1 requires exactly one `Host`.
    Host,
    /// `CONNECT` asks for another kind of proxy.
    Connect,
    /// A transfer coding other than `chunked`.
    TransferCoding,
}

/// Reads the host a request is for: that of an absolute URI, else the `Host` header.
pub(super) fn host(parts: &Parts) -> Result<Option<HeaderValue>, Unforwardable> {
    if parts.method == Method::CONNECT {
        return Err(Unforwardable::Connect);
    }
    let mut named = parts.headers.get_all(HOST).iter();
    let first = named.next();
    if named.next().is_some() {
        return Err(Unforwardable::Host);
    }
    if let Some(authority) = parts.uri.authority() {
        // A name and a password before the host are for nobody else.
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        return HeaderValue::from_str(host)
            .map(Some)
            .map_err(|_| Unforwardable::Host);
    }
    match first {
        None if parts.version >= Version::HTTP_11 => Err(Unforwardable::Host),
        host => Ok(host.cloned()),
    }
}

/// A host without its port: `gw.example:7100` → `gw.example`, `[::1]:80` → `[::1]`.
pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Turns a client's request head into the one the upstream gets. `host` is what
/// [`host`] read. Returns whether the client asks for an upgrade.
pub(super) fn to_upstream(
    parts: &mut Parts,
    host: Option<HeaderValue>,
    peer: SocketAddr,
    forwarded: ForwardedHeaders,
) -> Result<bool, Unforwardable> {
    let headers = &mut parts.headers;
    if !plainly_coded(headers) {
        return Err(Unforwardable::TransferCoding);
    }
    drop_second_length(headers);
    let upgrade = upgrade_asked(headers).filter(|_| parts.version >= Version::HTTP_11);
    strip_hop_by_hop(headers);
    // The body is asked for as soon as the upstream's connection takes it, and that
    // is what tells the client to continue.
    headers.remove(EXPECT);
    if let Some(upgrade) = &upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, upgrade.clone());
    }
    forward_headers(headers, host.as_ref(), peer, forwarded);
    // HTTP/1.1 requires the line, also when an HTTP/1.0 client named no host.
    headers.insert(HOST, host.unwrap_or(HeaderValue::from_static("")));
    parts.version = Version::HTTP_11;
    parts.uri = origin_form(&parts.uri);
    Ok(upgrade.is_some())
}

/// Removes what belongs to the connection with the upstream from its answer. Fails
/// when the body is coded in a way that the client would not learn of.
pub(super) fn from_upstream(headers: &mut HeaderMap, upgraded: bool) -> Result<(), Unforwardable> {
    if !plainly_coded(headers) {
        return Err(Unforwardable::TransferCoding);
    }
    drop_second_length(headers);
    let upgrade = headers.get(UPGRADE).filter(|_| upgraded).cloned();
    strip_hop_by_hop(headers);
    if let Some(upgrade) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, upgrade);
    }
    Ok(())
}

/// Whether a message has no transfer coding, or `chunked` once and nothing else.
fn plainly_coded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = |coding: &HeaderValue| {
        let coding = coding.as_bytes().trim_ascii();
        coding.eq_ignore_ascii_case(b"chunked")
    };
    codings.next().is_none_or(chunked) && codings.next().is_none()
}

/// Where chunks say how long a body is, nothing else does: passed on, the other length
/// would count, and cut the body or lead into the next message.
fn drop_second_length(headers: &mut HeaderMap) {
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
}

/// The protocol a client wants to upgrade to, when `Connection` says that it is meant.
/// HTTP/2 is none of them: its requests would pass the routes by.
fn upgrade_asked(headers: &HeaderMap) -> Option<HeaderValue> {
    let meant = connection_tokens(headers).any(|token| token.eq_ignore_ascii_case("upgrade"));
    let tunnelled = |upgrade: &&HeaderValue| {
        let protocols = upgrade.to_str().unwrap_or_default().split(',');
        !protocols
            .map(str::trim)
            .any(|name| name.eq_ignore_ascii_case("h2c"))
    };
    headers
        .get(UPGRADE)
        .filter(|_| meant)
        .filter(tunnelled)
        .cloned()
}

fn connection_tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = connection_tokens(headers)
        .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
        // These say how long a message is, for whom and from where; a client cannot have
        // them dropped.
        .filter(|name| ![HOST, CONTENT_LENGTH].contains(name) && !says_origin(name))
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        headers.remove(name);
    }
}

/// Whether a header is one in which proxies say where a request came from.
fn says_origin(name: &HeaderName) -> bool {
    *name == FORWARDED || name.as_str().starts_with("x-forwarded-")
}

fn forward_headers(
    headers: &mut HeaderMap,
    host: Option<&HeaderValue>,
    peer: SocketAddr,
    forwarded: ForwardedHeaders,
) {
    let peer = peer.ip().to_canonical().to_string();
    let before = match forwarded {
        ForwardedHeaders::Append => joined(headers, &FORWARDED_FOR),
        ForwardedHeaders::Replace => {
            let told: Vec<_> = headers
                .keys()
                .filter(|name| says_origin(name))
                .cloned()
                .collect();
            for name in told {
                headers.remove(name);
            }
            None
        }
    };
    let chain = before.map_or_else(|| peer.clone(), |before| format!("{before}, {peer}"));
    if let Ok(chain) = HeaderValue::from_str(&chain) {
        headers.insert(FORWARDED_FOR, chain);
    }
    if !headers.contains_key(FORWARDED_PROTO) {
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    if let Some(host) = host
        && !headers.contains_key(FORWARDED_HOST)
    {
        headers.insert(FORWARDED_HOST, host.clone());
    }
}

/// All values of a header as one list; `None` when there is none that is text.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<&str> = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// Path and query only, as an origin server expects them.
fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query()
        .cloned()
        .map_or_else(|| Uri::from_static("/"), Uri::from)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(request: http::request::Builder) -> Parts {
        request.body(()).unwrap().into_parts().0
    }

    fn sent(request: http::request::Builder, forwarded: ForwardedHeaders) -> Parts {
        let mut parts = parts(request);
        let host = host(&parts).unwrap();
        to_upstream(
            &mut parts,
            host,
            "192.0.2.7:4711".parse().unwrap(),
            forwarded,
        )
        .unwrap();
        parts
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
                .header(CONNECTION, "x-forwarded-for, forwarded")
        };
        let replaced = sent(lying(), ForwardedHeaders::Replace);
        for gone in ["x-forwarded-port", "forwarded"] {
            assert!(!replaced.headers.contains_key(gone), "{gone}");
        }
        assert_eq!(replaced.headers[FORWARDED_FOR], "192.0.2.7");
        assert_eq!(replaced.headers[FORWARDED_PROTO], "http");
        let appended = sent(lying(), ForwardedHeaders::Append);
        assert_eq!(
            appended.headers[FORWARDED_FOR],
            "10.0.0.1, 10.0.0.2, 192.0.2.7"
        );
        assert_eq!(appended.headers[FORWARDED_PROTO], "https");
        assert_eq!(appended.headers[FORWARDED], "for=10.0.0.1");
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
        let peer = "192.0.2.7:1".parse().unwrap();
        assert_eq!(
            to_upstream(&mut coded, None, peer, ForwardedHeaders::Replace),
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
}
