//! Certificates of the front door: a certificate authority of this home, made once, and what it
//! signs for each environment.
//!
//! ```text
//! $LOCKGATE_HOME/ca/ca.pem       what browsers are told to trust (`lockgate trust`)
//!                   ca.key       its key, 0600; it never leaves this folder
//!                   mkcert       instead of both: the folder of an authority that mkcert made
//!                   trusted.pem  the certificate of the one that signs: what gateways trust
//! envs/{env}/tls/{name}.pem      a chain and its key, 0600, made anew before it ends
//! ```
//!
//! A wildcard covers one label, so an environment has one for `*.{domain}`, and each organization
//! one for its user containers, `*.org-{uuid}.{domain}`. A team that has certificates of its own
//! gives them by `[front]` in lockgate.toml; what they cover is not signed here.

mod authority;
mod given;
mod kept;
mod leaf;
mod read;
pub(crate) mod trusted;

use std::io;
use std::path::PathBuf;

pub(crate) use self::authority::{Authority, KEY, Source};
pub(crate) use self::given::given;
pub(crate) use self::kept::keep;
pub(crate) use self::leaf::Leaf;
pub(crate) use self::read::{Seen, first};

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// A file cannot be read or written.
    #[error("`{path}` cannot be read or written")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("`{path}` {what}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The library refused.
    #[error("cannot make a certificate for {names}")]
    Make {
        /// What it was to be for.
        names: String,
        /// The cause.
        source: rcgen::Error,
    },
}

impl CertificateError {
    fn file(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::File { path, source }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use super::Authority;
    use super::read::tests::NOW;

    /// An authority of a home below a folder.
    pub(crate) fn authority(folder: &Path) -> Authority {
        Authority::of_home(&crate::environment::tests::home(folder), "a@b", NOW).unwrap()
    }
}
