//! What can go wrong on the way from a statement to a release.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lockgate_model::{BuildId, Digest, EnvName, GatewayName};

use super::UnpackError;
use crate::client::ClientError;
use crate::sign::SignError;

/// Why there is no statement, no report or no release.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server was not reached, or said no.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The statement is not signed by the environment's key.
    #[error("the statement of `{url}` is not one of this environment")]
    Signature {
        /// What was asked.
        url: String,
        /// Why it does not count.
        #[source]
        source: SignError,
    },
    /// The statement is properly signed but meant for somebody else.
    #[error("the statement of `{url}` is for `{named}`, not for `{gateway}`")]
    OtherGateway {
        /// What was asked.
        url: String,
        /// Who asked.
        gateway: GatewayName,
        /// The gateway that the statement names.
        named: GatewayName,
    },
    /// The manifest is not the one that was signed.
    #[error("the manifest of `{url}` has digest `{found}`, `{signed}` was signed")]
    ManifestDigest {
        /// What was asked.
        url: String,
        /// The digest in the statement.
        signed: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// The manifest was signed but describes another build.
    #[error("the manifest of `{url}` is of build `{build}` in environment `{env}`")]
    OtherBuild {
        /// What was asked.
        url: String,
        /// The environment it names.
        env: EnvName,
        /// The build it names.
        build: BuildId,
    },
    /// The archive came in an encoding nobody asked for.
    #[error("`{url}` came encoded as `{encoding}`, which was not asked for")]
    Encoding {
        /// What was asked.
        url: String,
        /// The encoding it came in.
        encoding: String,
    },
    /// The server stopped sending.
    #[error("`{url}` sent nothing for {}", humantime::format_duration(*.within))]
    Silent {
        /// What was asked.
        url: String,
        /// How long was waited.
        within: Duration,
    },
    /// The archive is not exactly what the manifest names.
    #[error("the archive of `{url}` is refused")]
    Archive {
        /// What was asked.
        url: String,
        /// What is wrong with it.
        #[source]
        source: UnpackError,
    },
    /// The folder of releases could not be read or written.
    #[error("cannot {act} `{path}`")]
    Disk {
        /// What was tried: `create`, `rename`.
        act: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The program is ending.
    #[error("the fetch was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
}

impl FetchError {
    /// Whether no server was reached at all: another address may do better.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Client(error) if error.is_unreachable())
    }

    /// For `map_err`: names the act and the path of a failed system call.
    pub(super) fn disk(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk {
            act,
            path: path.to_owned(),
            source,
        }
    }

    /// A thread that panicked takes its caller along; one that never ran is said.
    pub(super) fn interrupted(error: tokio::task::JoinError) -> Self {
        if error.is_panic() {
            std::panic::resume_unwind(error.into_panic());
        }
        Self::Interrupted(error)
    }
}
