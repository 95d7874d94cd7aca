//! What a request asked for and where that led, kept as long as its connection.

use std::net::SocketAddr;

use http::HeaderValue;
use http::request::Parts;
use http::uri::PathAndQuery;
use lockgate_model::plain_host;

use super::headers;
use crate::lookup::{Asked, Decision, Lookup, Upstream};

/// What a request asks for, kept while its head travels.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    host: Option<HeaderValue>,
    path: PathAndQuery,
}

impl Wanted {
    pub(super) fn new(host: Option<HeaderValue>, parts: &Parts) -> Self {
        let path = parts.uri.path_and_query().cloned();
        Self {
            host,
            path: path.unwrap_or_else(|| PathAndQuery::from_static("/")),
        }
    }

    /// The URL of the same by HTTPS at this port.
    pub(super) fn by_https(&self, port: u16) -> Option<HeaderValue> {
        let host = plain_host(self.host.as_ref()?.to_str().ok()?);
        if !self.path().starts_with('/') {
            return None;
        }
        let port = match port {
            443 => String::new(),
            other => format!(":{other}"),
        };
        HeaderValue::from_str(&format!("https://{host}{port}{}", self.path)).ok()
    }

    pub(super) fn asked(&self) -> Asked<'_> {
        let host = self.host.as_ref().and_then(|host| host.to_str().ok());
        Asked {
            host: headers::without_port(host.unwrap_or_default()),
            path: self.path(),
        }
    }

    pub(super) fn path(&self) -> &str {
        self.path.path()
    }
}

/// Where a connection leads, and what was asked for when that was decided.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) addr: SocketAddr,
    epoch: u64,
    wanted: Wanted,
}

impl Origin {
    pub(super) fn new(upstream: &Upstream, wanted: &Wanted) -> Self {
        Self {
            addr: upstream.addr,
            epoch: upstream.epoch,
            wanted: wanted.clone(),
        }
    }

    /// Whether a connection of the other one may serve a request of this one.
    pub(super) fn is_served_by(&self, other: &Self) -> bool {
        (self.addr, self.epoch) == (other.addr, other.epoch)
    }

    /// Whether the same would be decided now.
    pub(super) fn is_current(&self, lookup: &Lookup) -> bool {
        match lookup.decide(&self.wanted.asked()) {
            Decision::To(now) => (now.addr, now.epoch) == (self.addr, self.epoch),
            Decision::Wait(_)
            | Decision::Unavailable(_)
            | Decision::Files(_)
            | Decision::Secure(_)
            | Decision::NotFound
            | Decision::Nobody(_) => false,
        }
    }
}
