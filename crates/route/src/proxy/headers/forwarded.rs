//! What a proxy says of where a request came from.

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::without_port;
use crate::proxy::ForwardedHeaders;
use crate::proxy::client::Client;
use crate::proxy::rules::{Rules, Stage};

pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
pub(super) const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Whether a header is one in which proxies say where a request came from.
pub(super) fn says_origin(name: &HeaderName) -> bool {
    [FORWARDED, REAL_IP].contains(name) || name.as_str().starts_with("x-forwarded-")
}

/// Says where a request came from.
pub(super) fn forward_headers(
    headers: &mut HeaderMap,
    host: Option<&HeaderValue>,
    client: &Client,
    rules: &Rules,
) {
    let peer = client.peer.ip().to_canonical().to_string();
    let before = match rules.forwarded {
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
    if !headers.contains_key(REAL_IP)
        && let Ok(peer) = HeaderValue::from_str(&peer)
    {
        headers.insert(REAL_IP, peer);
    }
    let scheme = client.scheme();
    if !headers.contains_key(FORWARDED_PROTO) {
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme.name()));
    }
    if rules.stage == Stage::Front {
        let named = host.and_then(|host| host.to_str().ok()).and_then(port);
        let port = named.unwrap_or(scheme.port());
        if let Ok(port) = HeaderValue::from_str(port) {
            headers.insert(FORWARDED_PORT, port);
        }
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

/// The port that a host names.
fn port(host: &str) -> Option<&str> {
    let port = host.get(without_port(host).len()..)?;
    port.strip_prefix(':').filter(|port| !port.is_empty())
}
