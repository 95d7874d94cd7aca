//! The authority that signs: this home's own, or one that mkcert made.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use time::OffsetDateTime;

use super::read::{Seen, first};
use super::{CertificateError, leaf};
use crate::home::{Home, durable, make_private};

/// How long the authority is valid. Ten years: whoever trusts it does so once for a machine's life.
const YEARS: i64 = 10;
/// The file that names the folder of mkcert's authority.
const MKCERT: &str = "mkcert";
/// The file of the own authority's certificate.
const CERTIFICATE: &str = "ca.pem";
/// The file of its key.
pub(crate) const KEY: &str = "ca.key";

/// Whose authority it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// This home's own.
    Own,
    /// mkcert's, in this folder.
    Mkcert(PathBuf),
}

/// Who signs certificates.
pub(crate) struct Authority {
    /// Whose it is.
    pub(crate) source: Source,
    /// The file of its certificate, which is to be trusted.
    pub(crate) file: PathBuf,
    /// Its certificate, PEM.
    pub(crate) pem: String,
    /// What is written in it.
    pub(crate) seen: Seen,
    pub(super) issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// The home's authority, made where there is none yet. `caller` (`user@host`) stands in its name,
    /// so that it is known in a browser's list.
    pub(crate) fn of_home(
        home: &Home,
        caller: &str,
        now: OffsetDateTime,
    ) -> Result<Self, CertificateError> {
        let folder = home.ca_dir();
        make_private(&folder).map_err(|error| CertificateError::Content {
            path: folder.clone(),
            what: error.to_string(),
        })?;
        let word = folder.join(MKCERT);
        if word.exists() {
            let named = durable::read_line(&word).map_err(CertificateError::file(&word))?;
            return Self::of_mkcert(Path::new(&named));
        }
        let (file, key) = (folder.join(CERTIFICATE), folder.join(KEY));
        let lock = folder.join("lock");
        let _lock = durable::lock(&lock).map_err(CertificateError::file(&lock))?;
        // The certificate is written last: where it is, its key is.
        if !file.exists() {
            let (pem, secret) = made(caller, now)?;
            durable::write(&key, secret.as_bytes()).map_err(CertificateError::file(&key))?;
            durable::write(&file, pem.as_bytes()).map_err(CertificateError::file(&file))?;
        }
        Self::load(Source::Own, file, &key)
    }

    /// The home's authority, where there is one by now. Makes nothing.
    pub(crate) fn of_home_if_any(home: &Home) -> Result<Option<Self>, CertificateError> {
        let folder = home.ca_dir();
        let (word, file) = (folder.join(MKCERT), folder.join(CERTIFICATE));
        if word.exists() {
            let named = durable::read_line(&word).map_err(CertificateError::file(&word))?;
            return Self::of_mkcert(Path::new(&named)).map(Some);
        }
        if !file.exists() {
            return Ok(None);
        }
        // The certificate is written last: where it is, its key is.
        Self::load(Source::Own, file, &folder.join(KEY)).map(Some)
    }

    /// Whether mkcert's authority was chosen.
    pub(crate) fn is_chosen(home: &Home) -> bool {
        home.ca_dir().join(MKCERT).exists()
    }

    /// Whether its key made the signature of this certificate, DER.
    pub(crate) fn has_signed(&self, der: &[u8]) -> bool {
        let certificate = x509_parser::parse_x509_certificate(der);
        let issuer = x509_parser::parse_x509_certificate(&self.seen.der);
        match (certificate, issuer) {
            (Ok((_, certificate)), Ok((_, issuer))) => certificate
                .verify_signature(Some(issuer.public_key()))
                .is_ok(),
            _ => false,
        }
    }

    /// The authority in mkcert's folder (`mkcert -CAROOT`).
    fn of_mkcert(folder: &Path) -> Result<Self, CertificateError> {
        Self::load(
            Source::Mkcert(folder.to_owned()),
            folder.join("rootCA.pem"),
            &folder.join("rootCA-key.pem"),
        )
    }

    /// Uses mkcert's authority from now on, or the home's own again. Refused where that folder has none.
    pub(crate) fn choose(home: &Home, mkcert: Option<&Path>) -> Result<(), CertificateError> {
        let word = home.ca_dir().join(MKCERT);
        match mkcert {
            Some(folder) => {
                Self::of_mkcert(folder)?;
                let name = folder.display().to_string();
                durable::write(&word, name.as_bytes()).map_err(CertificateError::file(&word))
            }
            None => match std::fs::remove_file(&word) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(CertificateError::file(&word)(error))
                }
                _ => Ok(()),
            },
        }
    }

    fn load(source: Source, file: PathBuf, key: &Path) -> Result<Self, CertificateError> {
        let read =
            |path: &Path| std::fs::read_to_string(path).map_err(CertificateError::file(path));
        let (pem, secret) = (read(&file)?, read(key)?);
        let wrong = |path: &Path, what: String| CertificateError::Content {
            path: path.to_owned(),
            what,
        };
        let seen = first(&pem).map_err(|what| wrong(&file, what))?;
        if !seen.is_authority {
            return Err(wrong(&file, "is no certificate authority".to_owned()));
        }
        let pair = KeyPair::from_pem(&secret).map_err(|error| {
            wrong(
                key,
                format!("holds no private key that can be used: {error}"),
            )
        })?;
        if !seen.is_of(&pair) {
            return Err(wrong(
                key,
                format!("is not the key of `{}`", file.display()),
            ));
        }
        let issuer = Issuer::from_ca_cert_pem(&pem, pair)
            .map_err(|error| wrong(&file, format!("cannot sign: {error}")))?;
        Ok(Self {
            source,
            file,
            pem,
            seen,
            issuer,
        })
    }
}

/// A new authority: its certificate and its key.
fn made(caller: &str, now: OffsetDateTime) -> Result<(String, String), CertificateError> {
    let name = format!("Lockgate development CA ({caller})");
    let failed = |source| CertificateError::Make {
        names: name.clone(),
        source,
    };
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Lockgate");
    params.distinguished_name.push(DnType::CommonName, &name);
    // What it signs are servers' certificates, never another authority.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = leaf::since(now);
    params.not_after = now + time::Duration::days(365 * YEARS);
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::read::tests::NOW;
    use super::*;
    use crate::environment::tests::home;

    #[test]
    fn an_authority_is_made_once_and_its_key_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let made = Authority::of_home(&home, "a@b", NOW).unwrap();
        let again = Authority::of_home(&home, "c@d", NOW).unwrap();
        assert_eq!(made.pem, again.pem);
        assert_eq!(made.source, Source::Own);
        assert_eq!(made.seen.subject, "Lockgate development CA (a@b)");
        let key = home.ca_dir().join("ca.key");
        let mode = std::fs::metadata(key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn another_authority_is_used_when_it_is_asked_for_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (home, root) = (home(folder.path()), folder.path().join("mkcert"));
        assert!(Authority::of_home_if_any(&home).unwrap().is_none());
        let own = Authority::of_home(&home, "a@b", NOW).unwrap();
        let found = Authority::of_home_if_any(&home).unwrap().unwrap();
        assert_eq!(found.pem, own.pem);
        std::fs::create_dir(&root).unwrap();
        Authority::choose(&home, Some(&root)).unwrap_err();
        let (pem, key) = made("mkcert", NOW).unwrap();
        std::fs::write(root.join("rootCA.pem"), &pem).unwrap();
        std::fs::copy(home.ca_dir().join("ca.key"), root.join("rootCA-key.pem")).unwrap();
        let Err(error) = Authority::choose(&home, Some(&root)) else {
            panic!("another one's key");
        };
        assert!(error.to_string().contains("is not the key of"), "{error}");
        std::fs::write(root.join("rootCA-key.pem"), key).unwrap();
        Authority::choose(&home, Some(&root)).unwrap();
        let used = Authority::of_home(&home, "a@b", NOW).unwrap();
        assert_eq!((used.source, used.pem), (Source::Mkcert(root), pem));
        Authority::choose(&home, None).unwrap();
        Authority::choose(&home, None).unwrap();
        assert_eq!(Authority::of_home(&home, "a@b", NOW).unwrap().pem, own.pem);
    }
}
