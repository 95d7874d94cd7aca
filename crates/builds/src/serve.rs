//! stub
#![allow(missing_docs, reason = "stub")]
mod notice;
mod reports;
#[cfg(test)]
pub(crate) mod samples;

use std::net::SocketAddr;
use std::sync::Arc;
use lockgate_model::EnvName;
use crate::store::Store;

pub use notice::Notice;
pub use reports::{Received, Reports};

/// Whether a listener is the loopback one (archives without a token) or a bridge (tokens only).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach { Loopback, Bridge }

#[derive(Debug, thiserror::Error)]
pub enum ServeError { #[error("stub")] Stub }

pub struct BuildServer { pub store: Store, pub reports: Reports, pub notice: Notice, /** `lockgate/0.1.0` */ pub program: String, _waiting: notice::Waiting }
impl BuildServer {
    /// A server of this store; `program` is said in every answer: `lockgate/0.1.0`.
    pub fn new(store: Store, reports: Reports, notice: Notice, program: String) -> Self { Self { store, reports, notice, program, _waiting: notice::Waiting::default() } }
    /// Opens one environment's current archive, without a token, on bridges too.
    #[must_use]
    pub fn allow_plain(self, _env: EnvName) -> Self { self }
    /// Serves one bound listener until the token is cancelled, then drains for at most 5 s.
    pub async fn serve(self: Arc<Self>, _listener: tokio::net::TcpListener, _reach: Reach, _stop: tokio_util::sync::CancellationToken) -> Result<SocketAddr, ServeError> { todo!() }
}
