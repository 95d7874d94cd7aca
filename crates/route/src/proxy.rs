//! The embedded proxy: accepts, forwards, streams, and ends in good order.
//!
//! ```text
//! accept ─▶ forward ─┬─▶ pool ─▶ upstream      one request, one answer, both streamed
//!                    ├─▶ tunnel                 what was upgraded: bytes both ways
//!                    └─▶ page, card             its own answers: 404, 502, 503, who it is
//! ```
//!
//! Nothing is buffered beyond what a socket read brings, and a connect has no
//! timeout: while an application restarts, its listening socket is held by somebody
//! else and the request waits there.

mod accept;
mod attend;
mod body;
pub(crate) mod card;
mod client;
mod connection;
mod files;
mod forward;
mod headers;
mod origin;
pub(crate) mod page;
mod pool;
mod rules;
mod serve;
mod strict;
mod tunnel;
mod wait;
mod wire;

use std::sync::Arc;

use lockgate_model::DoorCard;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::rustls;
use tokio_util::sync::CancellationToken;

pub use wait::Patience;
pub(crate) use wait::WaitingRoom;

use crate::lookup::Lookup;
use crate::proxy::card::Introduction;
use crate::proxy::forward::Forwarder;
use crate::proxy::rules::{Rules, Stage};
use crate::tls::{Certificates, Tls};

/// What happens to `X-Forwarded-*` headers that a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardedHeaders {
    /// They are replaced: whoever connects is the client.
    #[default]
    Replace,
    /// They are kept and the peer is appended: another proxy stands before this one.
    Append,
}

/// Why a proxy could not serve.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The listener does not say where it listens.
    #[error("cannot read the address of the door's listener")]
    Listener(#[source] std::io::Error),
    /// TLS cannot be set up at all.
    #[error("cannot set up TLS for the door")]
    Tls(#[source] rustls::Error),
}

/// A reverse proxy for HTTP/1.1 and what is upgraded from it; by TLS for HTTP/2 too.
#[derive(Debug)]
pub struct EmbeddedProxy {
    lookup: Lookup,
    rules: Rules,
    tls: Option<Tls>,
    introduction: Option<Introduction>,
}

impl EmbeddedProxy {
    /// A proxy that sends requests where `lookup` says.
    pub fn new(lookup: Lookup) -> Self {
        Self {
            lookup,
            rules: Rules::default(),
            tls: None,
            introduction: None,
        }
    }

    /// The proxy of a front door: requests wait in this room for their gateways.
    pub(crate) fn front(lookup: Lookup, room: WaitingRoom) -> Self {
        Self {
            lookup,
            rules: Rules {
                stage: Stage::Front,
                forwarded: ForwardedHeaders::Replace,
                room: Some(room),
                closed_to_vpn: false,
            },
            tls: None,
            introduction: None,
        }
    }

    /// Speaks TLS, by HTTP/1.1 and HTTP/2, and shows these certificates.
    pub(crate) fn secured(mut self, certificates: watch::Receiver<Certificates>) -> Self {
        self.tls = Some(Tls::new(certificates));
        self
    }

    /// Says what happens to `X-Forwarded-*` headers that a client sends.
    #[must_use]
    pub fn forwarded(mut self, forwarded: ForwardedHeaders) -> Self {
        self.rules.forwarded = forwarded;
        self
    }

    /// Serves no client of a gateway's VPN: user containers get nothing of the host's.
    #[must_use]
    pub fn closed_to_vpn(mut self) -> Self {
        self.rules.closed_to_vpn = true;
        self
    }

    /// Makes it a gateway's door, which tells who it is: see [`DoorCard::is_asked_for`].
    #[must_use]
    pub fn introduced_by(mut self, card: impl Fn() -> DoorCard + Send + Sync + 'static) -> Self {
        self.introduction = Some(Introduction::new(card));
        self
    }

    /// Serves a bound listener until `stop` is cancelled: then it accepts no more,
    /// requests in flight may finish for five seconds, and what is left is cut.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> Result<(), ProxyError> {
        let addr = listener.local_addr().map_err(ProxyError::Listener)?;
        let tls = self.tls.map(serve::Handshake::new).transpose();
        let tls = tls.map_err(ProxyError::Tls)?;
        let forwarder = Arc::new(Forwarder::new(self.lookup, self.rules, self.introduction));
        tracing::debug!(%addr, "door open");
        accept::accept(listener, forwarder, tls, &stop).await;
        tracing::debug!(%addr, "door closed");
        Ok(())
    }
}
