//! Who asks: what is known of the connection that a request came on.

use std::net::SocketAddr;
use std::sync::Arc;

use http::StatusCode;

use super::page::Page;
use crate::tls::Certificate;

/// A client's connection.
#[derive(Debug, Clone)]
pub(super) struct Client {
    /// The other end.
    pub(super) peer: SocketAddr,
    /// The certificate it was shown; `None` where the connection is not secured.
    pub(super) certificate: Option<Arc<Certificate>>,
}

impl Client {
    /// The scheme of what it asks for.
    pub(super) fn scheme(&self) -> Scheme {
        match self.certificate {
            Some(_) => Scheme::Https,
            None => Scheme::Http,
        }
    }

    /// Refuses a host for which another certificate would have been shown. A client may
    /// take one connection for several names, and is told to take another one.
    pub(super) fn may_ask_for(&self, host: &str) -> Result<(), Page> {
        match &self.certificate {
            Some(certificate) if !certificate.is_for(host) => Err(Page::plain(
                StatusCode::MISDIRECTED_REQUEST,
                "the certificate of this connection is not for this host",
            )),
            Some(_) | None => Ok(()),
        }
    }
}

/// How a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port where none is named.
    pub(super) fn port(self) -> &'static str {
        match self {
            Self::Http => "80",
            Self::Https => "443",
        }
    }
}
