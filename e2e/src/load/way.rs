//! How clients reach who they ask: plainly, or over TLS by HTTP/1.1 or HTTP/2.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use http::{HeaderValue, Request, Uri, header, uri};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::bodies::Sent;
use super::connections::{Connection, Sender};

/// What clients call who they ask, where nothing else is said.
const PLAIN_HOST: &str = "127.0.0.1";

/// What clients need to ask over TLS.
#[derive(Debug, Clone)]
pub struct Secured {
    /// The name that they ask for.
    pub host: String,
    /// The certificate that they trust.
    pub trusted: PathBuf,
    /// Whether requests go by HTTP/2. WebSockets never do.
    pub http_2: bool,
}

/// A connection, whatever it is made of.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + fmt::Debug> Stream for T {}

/// The way to who is asked.
pub(super) struct Way {
    target: SocketAddr,
    host: String,
    secure: Option<Secure>,
}

struct Secure {
    name: ServerName<'static>,
    http_1: TlsConnector,
    /// For requests by HTTP/2, where they go so.
    http_2: Option<TlsConnector>,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Way({} at {})", self.host, self.target)
    }
}

impl Way {
    pub(super) fn new(target: SocketAddr, secured: Option<Secured>) -> io::Result<Self> {
        let Some(secured) = secured else {
            return Ok(Self {
                target,
                host: PLAIN_HOST.to_owned(),
                secure: None,
            });
        };
        let connector = |protocol: &[u8]| connector(&secured, protocol);
        let name = ServerName::try_from(secured.host.clone()).map_err(io::Error::other)?;
        Ok(Self {
            target,
            host: format!("{}:{}", secured.host, target.port()),
            secure: Some(Secure {
                name,
                http_1: connector(b"http/1.1")?,
                http_2: secured.http_2.then(|| connector(b"h2")).transpose()?,
            }),
        })
    }

    /// The host as requests name it.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Makes a request one for this host, in the words of the version it goes by.
    pub(super) fn address(&self, request: &mut Request<Sent>) {
        let Some(secure) = &self.secure else { return };
        let headers = request.headers_mut();
        if secure.http_2.is_none() {
            if let Ok(host) = HeaderValue::from_str(&self.host) {
                headers.insert(header::HOST, host);
            }
            return;
        }
        headers.remove(header::HOST);
        headers.remove(header::CONNECTION);
        let mut parts = uri::Parts::from(request.uri().clone());
        parts.scheme = Some(uri::Scheme::HTTPS);
        parts.authority = self.host.parse().ok();
        // A path and an authority that parse make a URI.
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }

    /// A connection for a WebSocket, by HTTP/1.1.
    pub(super) async fn stream(&self) -> io::Result<Box<dyn Stream>> {
        self.secured(|secure: &Secure| secure.http_1.clone()).await
    }

    /// A connection for requests.
    pub(super) async fn connection(&self) -> Result<Connection, Unconnected> {
        let io = TokioIo::new(self.secured(Secure::for_requests).await?);
        // What goes wrong on it is said to whoever waits for an answer.
        let sender = if self.secure.as_ref().is_some_and(|it| it.http_2.is_some()) {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            Sender::Two(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await?;
            tokio::spawn(connection);
            Sender::One(sender)
        };
        Ok(Connection {
            sender,
            answered: None,
        })
    }

    async fn secured(
        &self,
        by: impl FnOnce(&Secure) -> TlsConnector,
    ) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(self.target).await?;
        stream.set_nodelay(true)?;
        match &self.secure {
            None => Ok(Box::new(stream)),
            Some(secure) => {
                let name = secure.name.clone();
                Ok(Box::new(by(secure).connect(name, stream).await?))
            }
        }
    }
}

impl Secure {
    fn for_requests(&self) -> TlsConnector {
        self.http_2.as_ref().unwrap_or(&self.http_1).clone()
    }
}

/// Why there is no connection.
pub(super) enum Unconnected {
    Io(io::Error),
    Hyper(hyper::Error),
}

impl From<io::Error> for Unconnected {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<hyper::Error> for Unconnected {
    fn from(error: hyper::Error) -> Self {
        Self::Hyper(error)
    }
}

fn connector(secured: &Secured, protocol: &[u8]) -> io::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    let trusted = CertificateDer::from_pem_file(&secured.trusted).map_err(io::Error::other)?;
    roots.add(trusted).map_err(io::Error::other)?;
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
