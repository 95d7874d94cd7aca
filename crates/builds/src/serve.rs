//! stub
#![allow(missing_docs, reason = "stub")]
use std::net::SocketAddr;
use std::sync::Arc;
use lockgate_model::{GatewayName, Report};
use crate::store::Store;

/// Whether a listener is the loopback one (archives without a token) or a bridge (tokens only).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach { Loopback, Bridge }

/// The newest report of every gateway, in memory; readers wait for a change.
#[derive(Debug, Clone, Default)]
pub struct Reports { _inner: Arc<()> }
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Received { pub report: Report, /** UNIX ms of the last contact of any kind */ pub last_contact: u64 }
impl Reports {
    pub fn put(&self, _report: Report, _now_ms: u64) {}
    pub fn contact(&self, _gateway: &GatewayName, _now_ms: u64) {}
    pub fn all(&self) -> Vec<Received> { todo!() }
    pub fn forget(&self, _gateway: &GatewayName) {}
    /// Changes whenever a report changes.
    pub fn version(&self) -> tokio::sync::watch::Receiver<u64> { todo!() }
}

/// Tells waiting queries that statements changed.
#[derive(Debug, Clone)]
pub struct Notice { _sender: Arc<tokio::sync::watch::Sender<u64>> }
impl Default for Notice { fn default() -> Self { todo!() } }
impl Notice { pub fn ring(&self) {} }

#[derive(Debug, thiserror::Error)]
pub enum ServeError { #[error("stub")] Stub }

pub struct BuildServer { pub store: Store, pub reports: Reports, pub notice: Notice, /** `lockgate/0.1.0` */ pub program: String }
impl BuildServer {
    /// Serves one bound listener until the token is cancelled, then drains for at most 5 s.
    pub async fn serve(self: Arc<Self>, _listener: tokio::net::TcpListener, _reach: Reach, _stop: tokio_util::sync::CancellationToken) -> Result<SocketAddr, ServeError> { todo!() }
}
