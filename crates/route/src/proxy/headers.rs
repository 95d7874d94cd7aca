//! Headers: which belong to one connection only, and what a proxy says of itself.

mod forwarded;

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

use super::client::Client;
use super::rules::Rules;
use forwarded::{forward_headers, says_origin};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// The most header lines of a request, as in HTTP/1.1, where hyper counts them.
const MOST_HEADERS: usize = 100;

/// Why a request cannot be forwarded: a sentence for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unforwardable {
    /// HTTP/1.1 requires exactly one `Host`.
    Host,
    /// HTTP/2 names the host in `:authority`; another one in `Host` is a second opinion.
    TwoHosts,
    /// More header lines than are read.
    Headers,
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
        let same = |named: &HeaderValue| {
            let authority = authority.as_str().as_bytes();
            named.as_bytes().eq_ignore_ascii_case(authority)
        };
        if parts.version == Version::HTTP_2 && !first.is_none_or(same) {
            return Err(Unforwardable::TwoHosts);
        }
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
    client: &Client,
    rules: &Rules,
) -> Result<bool, Unforwardable> {
    let headers = &mut parts.headers;
    if parts.version == Version::HTTP_2 {
        join_cookies(headers);
        if headers.len() > MOST_HEADERS {
            return Err(Unforwardable::Headers);
        }
    }
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
    forward_headers(headers, host.as_ref(), client, rules);
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

/// HTTP/2 may send each cookie in a line of its own; HTTP/1.1 has one line.
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() > 1
        && let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(COOKIE, whole);
    }
}

/// Path and query only, as an origin server expects them.
fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query()
        .cloned()
        .map_or_else(|| Uri::from_static("/"), Uri::from)
}

#[cfg(test)]
mod tests;
