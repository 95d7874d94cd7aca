//! The load: so many requests at once, each begun when the one before is answered.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::chains::{Chain, host};
use crate::clock::Stopwatch;
use crate::error::BenchError;

/// Requests at the same time.
pub(super) const AT_ONCE: usize = 32;

/// Connections on which those are by HTTP/2.
const HTTP_2_CONNECTIONS: usize = 2;

/// How requests travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Plain,
    Tls,
    TlsHttp2,
}

impl Protocol {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "by HTTP/1.1",
            Self::Tls => "by TLS and HTTP/1.1",
            Self::TlsHttp2 => "by TLS and HTTP/2",
        }
    }
}

/// Clients for one path.
pub(super) struct Load {
    protocol: Protocol,
    path: &'static str,
    connector: TlsConnector,
}

type Times = Result<Vec<Duration>, BenchError>;
type Asked = Request<Empty<Bytes>>;

impl Load {
    /// Clients that trust this authority.
    pub(super) fn new(
        authority: &[u8],
        protocol: Protocol,
        path: &'static str,
    ) -> Result<Self, BenchError> {
        let unexpected = |error: &dyn std::fmt::Display| BenchError::Unexpected {
            what: format!("no TLS for the load: {error}"),
        };
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from(authority.to_vec()))
            .map_err(|error| unexpected(&error))?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unexpected(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = match protocol {
            Protocol::TlsHttp2 => vec![b"h2".to_vec()],
            Protocol::Plain | Protocol::Tls => vec![b"http/1.1".to_vec()],
        };
        Ok(Self {
            protocol,
            path,
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    /// Asks for so long; how long each answer took.
    pub(super) async fn ask(&self, chain: &Chain, ask_for: Duration) -> Times {
        let mut clients = JoinSet::new();
        match self.protocol {
            Protocol::Plain => {
                for _ in 0..AT_ONCE {
                    let stream = open(chain.plain).await?;
                    clients.spawn(by_http_1(stream, self.path, ask_for));
                }
            }
            Protocol::Tls => {
                for _ in 0..AT_ONCE {
                    let stream = self.secure(chain.secured).await?;
                    clients.spawn(by_http_1(stream, self.path, ask_for));
                }
            }
            Protocol::TlsHttp2 => {
                for _ in 0..HTTP_2_CONNECTIONS {
                    let stream = self.secure(chain.secured).await?;
                    let client = http_2(stream).await?;
                    for _ in 0..AT_ONCE / HTTP_2_CONNECTIONS {
                        clients.spawn(by_http_2(client.clone(), self.path, ask_for));
                    }
                }
            }
        }
        let mut all = Vec::new();
        while let Some(times) = clients.join_next().await {
            all.extend(times.map_err(|died| broken(&died))??);
        }
        Ok(all)
    }

    async fn secure(
        &self,
        addr: SocketAddr,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, BenchError> {
        let name = ServerName::try_from(host()).map_err(|error| broken(&error))?;
        let stream = open(addr).await?;
        let secured = self.connector.connect(name, stream).await;
        secured.map_err(|error| broken(&error))
    }
}

/// A connection; a door that was just started may not listen yet.
async fn open(addr: SocketAddr) -> Result<TcpStream, BenchError> {
    let waited = Stopwatch::start();
    loop {
        match TcpStream::connect(addr).await {
            Ok(stream) => {
                let text = addr.to_string();
                let set = stream.set_nodelay(true);
                set.map_err(BenchError::io("connect to", Path::new(&text)))?;
                return Ok(stream);
            }
            Err(error)
                if error.kind() == io::ErrorKind::ConnectionRefused
                    && waited.elapsed() < Duration::from_secs(5) =>
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(error) => return Err(broken(&error)),
        }
    }
}

async fn by_http_1<S>(stream: S, path: &'static str, ask_for: Duration) -> Times
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut client, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    tokio::spawn(connection);
    let asking = Stopwatch::start();
    let mut times = Vec::new();
    while asking.elapsed() < ask_for {
        let answering = Stopwatch::start();
        client.ready().await.map_err(|error| broken(&error))?;
        let answer = client.send_request(request(path, None)?).await;
        read(answer).await?;
        times.push(answering.elapsed());
    }
    Ok(times)
}

async fn http_2<S>(stream: S) -> Result<http2::SendRequest<Empty<Bytes>>, BenchError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (client, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(2 << 20)
        .initial_connection_window_size(16 << 20)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    tokio::spawn(connection);
    Ok(client)
}

async fn by_http_2(
    mut client: http2::SendRequest<Empty<Bytes>>,
    path: &'static str,
    ask_for: Duration,
) -> Times {
    let asking = Stopwatch::start();
    let mut times = Vec::new();
    while asking.elapsed() < ask_for {
        let answering = Stopwatch::start();
        let answer = client.send_request(request(path, Some("https"))?).await;
        read(answer).await?;
        times.push(answering.elapsed());
    }
    Ok(times)
}

fn request(path: &str, scheme: Option<&str>) -> Result<Asked, BenchError> {
    let request = match scheme {
        Some(scheme) => Request::get(format!("{scheme}://{}{path}", host())),
        None => Request::get(path).header("host", host()),
    };
    request.body(Empty::new()).map_err(|error| broken(&error))
}

/// Reads an answer to its end and throws it away; anything but 200 is an error.
async fn read(
    answer: hyper::Result<http::Response<hyper::body::Incoming>>,
) -> Result<(), BenchError> {
    let mut answer = answer.map_err(|error| broken(&error))?;
    if answer.status() != 200 {
        return Err(broken(&answer.status()));
    }
    while let Some(frame) = answer.body_mut().frame().await {
        frame.map_err(|error| broken(&error))?;
    }
    Ok(())
}

fn broken(why: &dyn std::fmt::Display) -> BenchError {
    BenchError::Unexpected {
        what: format!("a request through the doors was not answered: {why}"),
    }
}
