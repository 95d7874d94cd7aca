//! TLS as the front door speaks it: which certificate a client is shown, and which names
//! may be asked for on its connection.
//!
//! Certificates are a watched value: a new one is shown from the next handshake on, and
//! connections that are open stay as they are.

mod certificates;

use std::sync::Arc;

use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, ServerConfig, crypto::ring};

pub use certificates::{Certificate, CertificateError, Certificates};

/// HTTP/2 in the list of protocols that both sides of TLS agree on.
pub(crate) const HTTP_2: &[u8] = b"h2";
/// HTTP/1.1 there.
const HTTP_1: &[u8] = b"http/1.1";

/// The server's side of TLS.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    certificates: watch::Receiver<Certificates>,
}

impl Tls {
    pub(crate) fn new(certificates: watch::Receiver<Certificates>) -> Self {
        Self { certificates }
    }

    /// What makes connections secure: TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor, Error> {
        let provider = Arc::new(ring::default_provider());
        let shown = Arc::new(Shown(self.certificates.clone()));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(shown);
        config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
        // Sessions are resumed by what the client keeps, so their number costs nothing.
        config.ticketer = ring::Ticketer::new()?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// The certificate that a client was shown who named this server.
    pub(crate) fn shown(&self, name: &str) -> Option<Arc<Certificate>> {
        self.certificates.borrow().find(name).cloned()
    }
}

/// Looks in the newest certificates for each handshake.
#[derive(Debug)]
struct Shown(watch::Receiver<Certificates>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificates = self.0.borrow();
        let found = certificates.find(hello.server_name()?)?;
        Some(found.key())
    }
}
