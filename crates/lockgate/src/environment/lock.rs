//! One deploy at a time: a lock that says who holds it.

use std::path::PathBuf;

use lockgate_model::EnvName;

use crate::home::Home;

/// Held while something changes what an environment runs; released when dropped or when the process ends.
#[derive(Debug)]
pub(crate) struct DeployLock {}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    /// The process.
    pub(crate) pid: u32,
    /// Since when, UNIX milliseconds.
    pub(crate) since: u64,
    /// What it does: `deploy`.
    pub(crate) what: String,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Somebody else holds it.
    #[error("environment `{env}` is being changed by another process")]
    Held {
        /// The environment.
        env: EnvName,
        /// Who, when that could be read.
        holder: Option<Holder>,
    },
    /// The lock's file cannot be used.
    #[error("`{path}` cannot be locked")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

impl DeployLock {
    /// Takes the lock or says who has it; never waits.
    pub(crate) fn take(
        home: &Home,
        env: &EnvName,
        what: &str,
        now_ms: u64,
    ) -> Result<Self, LockError> {
        todo!()
    }
}
