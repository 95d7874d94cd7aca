//! Certificates by the names they are for.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use lockgate_model::plain_host;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self};

/// How a name for a whole level begins.
const WILDCARD: &str = "*.";

/// Why a certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The text holds no certificate, or not in PEM.
    #[error("cannot read the certificate for {names}")]
    Certificate {
        /// The names it should be for.
        names: String,
        /// What is wrong with the text.
        #[source]
        source: pem::Error,
    },
    /// The text holds no private key, or not in PEM.
    #[error("cannot read the private key for {names}")]
    Key {
        /// The names.
        names: String,
        /// What is wrong with the text.
        #[source]
        source: pem::Error,
    },
    /// Certificate and key do not fit, or are of a kind that is not known.
    #[error("the certificate for {names} cannot be used")]
    Unusable {
        /// The names.
        names: String,
        /// The reason.
        #[source]
        source: rustls::Error,
    },
    /// A name that no certificate can be for.
    #[error("`{0}` is not a name that a certificate can be for")]
    Name(String),
    /// A name that this certificate is not for.
    #[error("the certificate is not for `{name}`")]
    NotFor {
        /// The name.
        name: String,
        /// What the certificate says.
        #[source]
        source: rustls::Error,
    },
}

/// A certificate with its key, and the names for which it is shown: `dev.localhost`, or
/// `*.dev.localhost` for everything one level below.
#[derive(Debug)]
pub struct Certificate {
    names: Vec<String>,
    key: Arc<CertifiedKey>,
    /// What it was read from, for a driver that reads files.
    pem: Option<Pem>,
}

/// A chain and its key as texts. The key is a secret.
struct Pem {
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pem(…)")
    }
}

impl Certificate {
    /// Reads a chain and its key, both in PEM, and makes sure that they fit each other
    /// and the names.
    pub fn from_pem(names: &[&str], chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let all = || names.join(", ");
        let pem = Pem {
            chain: chain.to_owned(),
            key: key.to_owned(),
        };
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| CertificateError::Certificate {
                names: all(),
                source,
            })?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|source| CertificateError::Key {
            names: all(),
            source,
        })?;
        Ok(Self {
            pem: Some(pem),
            ..Self::new(names, chain, key)?
        })
    }

    /// Takes a chain, the server's own certificate first, and its key, and makes sure that
    /// they fit each other and the names.
    pub fn new(
        names: &[&str],
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CertificateError> {
        let unusable = |source| CertificateError::Unusable {
            names: names.join(", "),
            source,
        };
        let provider = ring::default_provider();
        let key = CertifiedKey::from_der(chain, key, &provider).map_err(unusable)?;
        let own = key.end_entity_cert().map_err(unusable)?;
        let own = ParsedCertificate::try_from(own).map_err(unusable)?;
        let names = names
            .iter()
            .map(|name| checked(name, &own))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            names,
            key: Arc::new(key),
            pem: None,
        })
    }

    /// The names it is shown for.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The chain and its key in PEM, where they were read from that. The key is a secret.
    pub fn pem(&self) -> Option<(&[u8], &[u8])> {
        self.pem.as_ref().map(|pem| (&*pem.chain, &*pem.key))
    }

    /// Whether it is for this host, however that is written.
    pub(crate) fn is_for(&self, host: &str) -> bool {
        let host = plain_host(host);
        let above = host.split_once('.').map(|(_, above)| above);
        self.names
            .iter()
            .any(|name| match name.strip_prefix(WILDCARD) {
                Some(level) => Some(level) == above,
                None => *name == host,
            })
    }

    pub(super) fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }
}

/// A name in lower case that the certificate is for.
fn checked(name: &str, own: &ParsedCertificate<'_>) -> Result<String, CertificateError> {
    let name = name.to_ascii_lowercase();
    // A certificate for a level is for each name of it, so for any.
    let one = match name.strip_prefix(WILDCARD) {
        Some(level) => format!("any.{level}"),
        None => name.clone(),
    };
    let Ok(server @ ServerName::DnsName(_)) = ServerName::try_from(one) else {
        return Err(CertificateError::Name(name));
    };
    match verify_server_name(own, &server) {
        Ok(()) => Ok(name),
        Err(source) => Err(CertificateError::NotFor { name, source }),
    }
}

/// All certificates of a door.
#[derive(Debug, Clone, Default)]
pub struct Certificates {
    by_name: Arc<HashMap<String, Arc<Certificate>>>,
}

impl Certificates {
    /// Certificates for all their names; of two for one name, the later counts.
    pub fn new(all: impl IntoIterator<Item = Arc<Certificate>>) -> Self {
        let mut by_name = HashMap::new();
        for certificate in all {
            for name in &certificate.names {
                by_name.insert(name.clone(), Arc::clone(&certificate));
            }
        }
        Self {
            by_name: Arc::new(by_name),
        }
    }

    /// Each name and the certificate that is shown for it.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Arc<Certificate>)> {
        let all = self.by_name.iter();
        all.map(|(name, certificate)| (name.as_str(), certificate))
    }

    /// The certificate for a host: one for exactly this name, else one for its level.
    pub fn find(&self, host: &str) -> Option<&Arc<Certificate>> {
        let host = plain_host(host);
        self.by_name.get(&host).or_else(|| {
            let (_, level) = host.split_once('.')?;
            self.by_name.get(&format!("{WILDCARD}{level}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey as Made, KeyPair, generate_simple_self_signed};

    use super::*;

    fn made(names: &[&str]) -> Made<KeyPair> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        generate_simple_self_signed(names).unwrap()
    }

    fn certificate(names: &[&str]) -> Arc<Certificate> {
        let made = made(names);
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        Arc::new(Certificate::from_pem(names, chain.as_bytes(), key.as_bytes()).unwrap())
    }

    #[test]
    fn a_name_of_its_own_comes_before_its_level() {
        let level = certificate(&["dev.test", "*.dev.test"]);
        let own = certificate(&["org-1.dev.test", "*.org-1.dev.test"]);
        let all = Certificates::new([Arc::clone(&level), Arc::clone(&own)]);
        for (host, expected) in [
            ("dev.test", Some(&level)),
            ("DEV.test.:443", Some(&level)),
            ("ganymede.dev.test", Some(&level)),
            ("org-1.dev.test", Some(&own)),
            ("uc-1.org-1.dev.test", Some(&own)),
            ("uc-1.org-2.dev.test", None),
            ("a.b.org-1.dev.test", None),
            (".dev.test", Some(&level)),
            ("test", None),
            ("", None),
        ] {
            let found = all.find(host);
            let same = match (found, expected) {
                (Some(found), Some(expected)) => Arc::ptr_eq(found, expected),
                (None, None) => true,
                _ => false,
            };
            assert!(same, "{host}: {:?}", found.map(|it| it.names()));
            if let Some(found) = found {
                assert!(found.is_for(host), "{host}");
            }
        }
        assert!(!level.is_for("uc-1.org-1.dev.test"));
        assert!(!own.is_for("dev.test"));
    }

    #[test]
    fn of_two_for_one_name_the_later_counts() {
        let (old, new) = (certificate(&["a.test"]), certificate(&["a.test"]));
        let all = Certificates::new([old, Arc::clone(&new)]);
        assert!(Arc::ptr_eq(all.find("a.test").unwrap(), &new));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_name() {
        let (one, other) = (made(&["a.test", "*.b.test"]), made(&["a.test"]));
        let (chain, key) = (one.cert.pem(), one.signing_key.serialize_pem());
        let (chain, key) = (chain.as_bytes(), key.as_bytes());
        let foreign = other.signing_key.serialize_pem();
        let foreign = foreign.as_bytes();
        for (names, chain, key, expected) in [
            (
                &["c.test"][..],
                chain,
                key,
                "the certificate is not for `c.test`",
            ),
            (
                &["b.test"],
                chain,
                key,
                "the certificate is not for `b.test`",
            ),
            (
                &["*.a.test"],
                chain,
                key,
                "the certificate is not for `*.a.test`",
            ),
            (&["a b"], chain, key, "`a b` is not a name"),
            (&["127.0.0.1"], chain, key, "`127.0.0.1` is not a name"),
            (
                &["a.test"],
                b"",
                key,
                "the certificate for a.test cannot be used",
            ),
            (
                &["a.test"],
                chain,
                b"",
                "cannot read the private key for a.test",
            ),
            (
                &["a.test"],
                chain,
                foreign,
                "the certificate for a.test cannot be used",
            ),
        ] {
            let error = Certificate::from_pem(names, chain, key).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
        }
        let both = Certificate::from_pem(&["A.test", "*.b.test"], chain, key).unwrap();
        assert_eq!(both.names(), ["a.test", "*.b.test"]);
    }
}
