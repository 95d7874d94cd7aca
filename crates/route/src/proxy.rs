//! The embedded proxy: accepts, forwards, streams, and ends in good order.
//!
//! ```text
//! accept ─▶ forward ─┬─▶ pool ─▶ upstream      one request, one answer, both streamed
//!                    ├─▶ tunnel                 what was upgraded: bytes both ways
//!                    └─▶ page                   404, 502, 503: its own answers
//! ```
//!
//! Nothing is buffered beyond what a socket read brings, and a connect has no
//! timeout: while an application restarts, its listening socket is held by somebody
//! else and the request waits there.

mod accept;
mod body;
mod connection;
mod forward;
mod headers;
mod origin;
pub(crate) mod page;
mod pool;
mod tunnel;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::lookup::Lookup;
use crate::proxy::forward::Forwarder;

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
}

/// A reverse proxy for HTTP/1.1 and what is upgraded from it.
#[derive(Debug)]
pub struct EmbeddedProxy {
    lookup: Lookup,
    forwarded: ForwardedHeaders,
}

impl EmbeddedProxy {
    /// A proxy that sends requests where `lookup` says.
    pub fn new(lookup: Lookup) -> Self {
        Self {
            lookup,
            forwarded: ForwardedHeaders::default(),
        }
    }

    /// Says what happens to `X-Forwarded-*` headers that a client sends.
    #[must_use]
    pub fn forwarded(mut self, forwarded: ForwardedHeaders) -> Self {
        self.forwarded = forwarded;
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
        let forwarder = Arc::new(Forwarder::new(self.lookup, self.forwarded));
        tracing::debug!(%addr, "door open");
        accept::accept(listener, forwarder, &stop).await;
        tracing::debug!(%addr, "door closed");
        Ok(())
    }
}
