//! stub
#![allow(missing_docs, reason = "stub")]
use std::path::PathBuf;
use std::time::Duration;

/// Where an HTTP server is reached: over TCP, or over a unix socket (control sockets).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint { Tcp { host: String, port: u16 }, Unix(PathBuf) }

#[derive(Debug, thiserror::Error)]
pub enum ClientError { #[error("stub")] Stub }

/// HTTP/1.1 client: one request, one connection, bounded. Sends the protocol headers.
#[derive(Debug, Clone)]
pub struct Client { pub endpoint: Endpoint, /** `lockgate-agent/0.1.0` */ pub program: String, pub token: Option<Secret> }
/// A secret: no `Display`, `Debug` prints `Secret(…)`.
#[derive(Clone)]
pub struct Secret(String);
impl std::fmt::Debug for Secret { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("Secret(…)") } }
impl Secret { pub fn new(text: String) -> Self { Self(text) } pub fn expose(&self) -> &str { &self.0 } }

impl Endpoint {
    /// Reads `http://host:port`; https is a clear error (not spoken yet).
    pub fn parse(_url: &str) -> Result<Self, ClientError> { todo!() }
}
impl Client {
    /// Sends and reads the head; the body streams. Non-2xx is NOT an error here except a protocol gap (426).
    pub async fn send(&self, _request: http::Request<bytes::Bytes>, _head_within: Duration) -> Result<http::Response<hyper::body::Incoming>, ClientError> { todo!() }
    /// GET and read a JSON body (at most 16 MiB). A non-2xx answer is `ClientError` with status, URL and the server's `error` text.
    pub async fn get_json<T: serde::de::DeserializeOwned>(&self, _path: &str, _within: Duration) -> Result<T, ClientError> { todo!() }
    pub async fn send_json<T: serde::de::DeserializeOwned, B: serde::Serialize>(&self, _method: http::Method, _path: &str, _body: &B, _within: Duration) -> Result<T, ClientError> { todo!() }
}
