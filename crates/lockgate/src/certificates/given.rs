//! Certificates that a team has of its own.

use std::path::Path;

use rcgen::KeyPair;
use time::OffsetDateTime;

use super::read::{Seen, first};
use super::{CertificateError, Leaf};

/// How keys begin in the forms that came before PKCS #8: SEC 1 and PKCS #1.
const OLDER: [&str; 2] = [
    "-----BEGIN EC PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY-----",
];

/// Reads a chain and its key. Refused where they do not belong together or the certificate has ended;
/// whether it covers what is asked for is seen when it is.
pub(crate) fn given(
    certificate: &Path,
    key: &Path,
    now: OffsetDateTime,
) -> Result<Leaf, CertificateError> {
    let read = |path: &Path| std::fs::read_to_string(path).map_err(CertificateError::file(path));
    let wrong = |path: &Path, what: String| CertificateError::Content {
        path: path.to_owned(),
        what,
    };
    let (chain, secret) = (read(certificate)?, read(key)?);
    let seen = first(&chain).map_err(|what| wrong(certificate, what))?;
    is_key_of(&seen, &secret, certificate).map_err(|what| wrong(key, what))?;
    if seen.not_after <= now {
        return Err(wrong(
            certificate,
            format!("ended on {}", seen.not_after.date()),
        ));
    }
    Ok(Leaf {
        chain,
        key: secret,
        names: seen.names,
        not_after: seen.not_after,
    })
}

/// Says what is wrong with a key. Those of the older forms are not compared here: whoever shows the
/// certificate refuses a key that is another's.
fn is_key_of(seen: &Seen, secret: &str, certificate: &Path) -> Result<(), String> {
    if secret.contains("ENCRYPTED") {
        return Err("is encrypted, and there is nobody to ask for its passphrase".to_owned());
    }
    match KeyPair::from_pem(secret) {
        Ok(pair) if seen.is_of(&pair) => Ok(()),
        Ok(_) => Err(format!("is not the key of `{}`", certificate.display())),
        Err(_) if OLDER.iter().any(|begin| secret.contains(begin)) => Ok(()),
        Err(error) => Err(format!("holds no private key that can be used: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::super::leaf::issue;
    use super::super::read::tests::NOW;
    use super::super::{Authority, Leaf};
    use super::*;
    use crate::environment::tests::home;

    #[test]
    fn files_that_do_not_fit_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::of_home(&home(folder.path()), "a@b", NOW).unwrap();
        let names = ["a.test".to_owned()];
        let write = |name: &str, leaf: &Leaf| {
            let (chain, key) = (
                folder.path().join(format!("{name}.crt")),
                folder.path().join(format!("{name}.key")),
            );
            std::fs::write(&chain, &leaf.chain).unwrap();
            std::fs::write(&key, &leaf.key).unwrap();
            (chain, key)
        };
        let one = issue(&authority, &names, NOW).unwrap();
        let (chain, key) = write("one", &one);
        let (_, other) = write("other", &issue(&authority, &names, NOW).unwrap());
        assert!(given(&chain, &key, NOW).unwrap() == one);
        let check = |chain: &Path, key: &Path, days, expected: &str| {
            let Err(error) = given(chain, key, NOW + Duration::days(days)) else {
                panic!("refused: {expected}");
            };
            assert!(error.to_string().contains(expected), "{error}");
        };
        check(&chain, &other, 0, "other.key` is not the key of");
        check(&chain, &key, 91, "one.crt` ended on 2026-04-01");
        check(&key, &key, 0, "holds no certificate in PEM");
        check(&chain, &chain, 0, "holds no private key");
        let locked = folder.path().join("locked.key");
        std::fs::write(&locked, "-----BEGIN ENCRYPTED PRIVATE KEY-----").unwrap();
        check(&chain, &locked, 0, "locked.key` is encrypted");
        check(&folder.path().join("none"), &key, 0, "none` cannot be read");
    }
}
