//! A certificate authority made for one test, and clients that trust it and nothing else.

use std::sync::Arc;

use lockgate_route::Certificate;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub(crate) const HTTP_1: &[u8] = b"http/1.1";
pub(crate) const HTTP_2: &[u8] = b"h2";

pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let name = "an authority of a test";
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    /// A certificate for these names, with its key.
    pub(crate) fn certificate(&self, names: &[&str]) -> Arc<Certificate> {
        let (chain, key) = self.pem(names);
        let made = Certificate::from_pem(names, chain.as_bytes(), key.as_bytes());
        Arc::new(made.unwrap())
    }

    /// The same as two texts.
    pub(crate) fn pem(&self, names: &[&str]) -> (String, String) {
        let all: Vec<String> = names.iter().map(ToString::to_string).collect();
        let params = CertificateParams::new(all).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = params.signed_by(&key, &self.issuer).unwrap();
        (own.pem(), key.serialize_pem())
    }

    /// A client's side of TLS that offers these protocols.
    pub(crate) fn connector(&self, protocols: &[&[u8]]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }
}
