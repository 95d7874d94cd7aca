//! Whom children are told to trust: the authority that signs what the host's front door shows, so
//! that nobody turns verification off.
//!
//! ```text
//! LOCKGATE_CA_FILE ─────┬─▶ NODE_EXTRA_CA_CERTS       beside what Node trusts
//! the system's bundle ──┴─▶ one file ─▶ SSL_CERT_FILE  in place of the system's bundle
//! ```
//!
//! The file may come later, or be replaced, so it is looked at at each start. Without it nothing
//! is set; without a bundle of the system, nothing that would take its place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tracing::warn;

/// Certificates that Node trusts beside its own.
const NODE_EXTRA_CA_CERTS: &str = "NODE_EXTRA_CA_CERTS";
/// The file of all certificates that OpenSSL, Go and others trust.
const SSL_CERT_FILE: &str = "SSL_CERT_FILE";

/// Where systems keep theirs: Debian and Alpine, Fedora, SUSE, and what OpenSSL itself names.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// How a certificate begins.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// The variables of a start, which count where nobody has set them.
pub(crate) type Variables = Vec<(&'static str, PathBuf)>;

/// What an application is told; the file of both is composed in `folder`.
pub(crate) fn of_application(authority: Option<&Path>, folder: &Path) -> Variables {
    told(authority, Some((folder, &BUNDLES.map(Path::new))))
}

/// What a service of the host is told: that host's own bundle is the user's to complete.
pub(crate) fn of_service(authority: Option<&Path>) -> Variables {
    told(authority, None)
}

fn told(authority: Option<&Path>, both: Option<(&Path, &[&Path])>) -> Variables {
    let Some((path, text)) = authority.and_then(certificate) else {
        return Vec::new();
    };
    let mut all = vec![(NODE_EXTRA_CA_CERTS, path.to_owned())];
    if let Some((folder, bundles)) = both
        && let Some(bundle) = bundles.iter().find_map(|path| fs::read(path).ok())
    {
        match write(folder, &joined(&bundle, &text)) {
            Ok(file) => all.push((SSL_CERT_FILE, file)),
            Err(error) => {
                warn!(folder = %folder.display(), %error, "`{SSL_CERT_FILE}` is not set");
            }
        }
    }
    all
}

/// A file that holds a certificate, and its text.
fn certificate(path: &Path) -> Option<(&Path, String)> {
    let text = fs::read_to_string(path).ok()?;
    text.contains(CERTIFICATE).then_some((path, text))
}

fn joined(bundle: &[u8], authority: &str) -> Vec<u8> {
    let mut all = bundle.to_vec();
    if all.last().is_some_and(|last| *last != b'\n') {
        all.push(b'\n');
    }
    all.extend_from_slice(authority.as_bytes());
    all
}

/// Readable by the application, whoever it runs as. Left alone where it is there already: an agent
/// on a full disk starts what it knows.
fn write(folder: &Path, content: &[u8]) -> io::Result<PathBuf> {
    let path = folder.join("ca-bundle.pem");
    if fs::read(&path).is_ok_and(|there| there == content) {
        return Ok(path);
    }
    let new = folder.join(".ca-bundle.pem.new");
    fs::write(&new, content)?;
    fs::rename(&new, &path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n";

    fn names(told: &Variables) -> Vec<&'static str> {
        told.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn what_is_trusted_is_what_the_system_trusts_and_the_authority() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (authority, bundle, none) = (path("ca.pem"), path("bundle"), path("none"));
        let of_both = || {
            let bundles = [none.as_path(), &bundle];
            told(Some(&authority), Some((folder.path(), &bundles)))
        };
        // It may come later.
        assert_eq!(names(&of_both()), Vec::<&str>::new());
        fs::write(&authority, "").unwrap();
        assert_eq!(names(&of_both()), Vec::<&str>::new());
        fs::write(&authority, OURS).unwrap();
        assert_eq!(of_both(), [(NODE_EXTRA_CA_CERTS, authority.clone())]);
        fs::write(&bundle, "theirs").unwrap();
        let all = of_both();
        assert_eq!(names(&all), [NODE_EXTRA_CA_CERTS, SSL_CERT_FILE]);
        let read = || fs::read_to_string(&all[1].1).unwrap();
        assert_eq!(read(), format!("theirs\n{OURS}"));
        let other = OURS.replace("ours", "another");
        fs::write(&authority, &other).unwrap();
        assert_eq!(of_both(), all);
        assert_eq!(read(), format!("theirs\n{other}"));
        assert_eq!(names(&of_service(Some(&authority))), [NODE_EXTRA_CA_CERTS]);
        assert_eq!(names(&of_service(None)), Vec::<&str>::new());
    }

    #[test]
    fn a_bundle_that_cannot_be_written_leaves_the_system_s_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let authority = path("ca.pem");
        fs::write(&authority, OURS).unwrap();
        let bundles = [authority.as_path()];
        let told = told(Some(&authority), Some((&path("none"), &bundles)));
        assert_eq!(names(&told), [NODE_EXTRA_CA_CERTS]);
    }
}
