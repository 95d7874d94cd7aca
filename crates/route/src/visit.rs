//! One request as a client of a door sends it, to see whether it is answered and which
//! certificate is shown.
//!
//! Whether the certificate is to be trusted is for the caller to say: any is taken here, as long
//! as who shows it has its key.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// Who is visited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit<'a> {
    /// Where it listens.
    pub address: SocketAddr,
    /// The name that it is asked for.
    pub host: &'a str,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Visited {
    /// The answer's status.
    pub answer: Result<StatusCode, VisitError>,
    /// The certificate that was shown, DER.
    pub certificate: Option<Vec<u8>>,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum VisitError {
    /// Nobody listens, or it cannot be reached.
    #[error("nobody answers at {address}")]
    Connect {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// TLS did not come about.
    #[error("no TLS with `{host}`")]
    Tls {
        /// The name that was asked for.
        host: String,
        /// The cause.
        source: io::Error,
    },
    /// The connection ended without an answer, or it was none.
    #[error("no answer by HTTP")]
    Http(#[source] hyper::Error),
    /// The name cannot be asked for.
    #[error("`{host}` cannot be asked for")]
    Name {
        /// The name.
        host: String,
    },
    /// It took too long.
    #[error("no answer within {} s", within.as_secs_f32())]
    Late {
        /// How long was waited.
        within: Duration,
    },
}

impl Visit<'_> {
    /// Asks for `/`; the answer's body is left where it is.
    pub async fn pay(&self, within: Duration) -> Visited {
        let shown = Arc::new(Witness::default());
        let asked = timeout(within, self.ask(&shown)).await;
        Visited {
            answer: asked.unwrap_or(Err(VisitError::Late { within })),
            certificate: shown.certificate.get().cloned(),
        }
    }

    async fn ask(&self, shown: &Arc<Witness>) -> Result<StatusCode, VisitError> {
        let address = self.address;
        let stream = TcpStream::connect(address)
            .await
            .map_err(|source| VisitError::Connect { address, source })?;
        if !self.tls {
            return self.request(stream).await;
        }
        let failed = |source| VisitError::Tls {
            host: self.host.to_owned(),
            source,
        };
        let name = ServerName::try_from(self.host.to_owned()).map_err(|_| self.no_name())?;
        let connector = connector(Arc::clone(shown)).map_err(|it| failed(io::Error::other(it)))?;
        let stream = connector.connect(name, stream).await.map_err(failed)?;
        self.request(stream).await
    }

    async fn request(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
    ) -> Result<StatusCode, VisitError> {
        let host = format!("{}:{}", self.host, self.address.port());
        let request = Request::get("/")
            .header(header::HOST, host)
            .header(header::USER_AGENT, "lockgate")
            .header(header::ACCEPT, "*/*")
            .body(Empty::<Bytes>::new())
            .map_err(|_| self.no_name())?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(VisitError::Http)?;
        let answer = sender.send_request(request);
        // The connection moves the bytes, and ends with the answer or before it.
        let answer = tokio::select! {
            answer = answer => answer,
            ended = connection => match ended {
                Ok(()) => return Err(VisitError::Connect {
                    address: self.address,
                    source: io::ErrorKind::UnexpectedEof.into(),
                }),
                Err(error) => return Err(VisitError::Http(error)),
            },
        };
        answer
            .map(|answer| answer.status())
            .map_err(VisitError::Http)
    }

    fn no_name(&self) -> VisitError {
        VisitError::Name {
            host: self.host.to_owned(),
        }
    }
}

fn connector(witness: Arc<Witness>) -> Result<TlsConnector, Error> {
    let provider = Arc::clone(&witness.provider);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(witness)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Sees a certificate and remembers it.
#[derive(Debug)]
struct Witness {
    provider: Arc<CryptoProvider>,
    certificate: OnceLock<Vec<u8>>,
}

impl Default for Witness {
    fn default() -> Self {
        Self {
            provider: Arc::new(ring::default_provider()),
            certificate: OnceLock::new(),
        }
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.certificate.get_or_init(|| certificate.to_vec());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let known = &self.provider.signature_verification_algorithms;
        known.supported_schemes()
    }
}
