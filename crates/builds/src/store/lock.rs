//! One writer per environment, across threads and processes.

use std::fs::File;
use std::path::PathBuf;

use lockgate_model::EnvName;
use nix::fcntl::{Flock, FlockArg};

use super::archives::is;
use super::{Store, StoreError, write};

/// Held while an environment is written. The kernel lets go of it when its holder dies.
#[must_use]
pub(super) struct EnvLock {
    path: PathBuf,
    _held: Flock<File>,
}

impl Store {
    /// Waits for the environment's lock. Everything done under it is short.
    pub(super) fn lock(&self, env: &EnvName) -> Result<EnvLock, StoreError> {
        let path = self.dir.join(format!(".{env}.lock"));
        loop {
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .map_err(StoreError::io("open", &path))?;
            let held = Flock::lock(file, FlockArg::LockExclusive)
                .map_err(|(_, errno)| StoreError::io("lock", &path)(errno.into()))?;
            let mine = held.metadata().map_err(StoreError::io("read", &path))?;
            // Removed with its environment while we waited: that lock guards nothing any more.
            if is(&mine, &path) {
                return Ok(EnvLock { path, _held: held });
            }
        }
    }
}

impl EnvLock {
    /// Removes the lock's file together with its environment.
    pub(super) fn remove(self) -> Result<(), StoreError> {
        write::remove_file(&self.path).map_err(StoreError::io("remove", &self.path))
    }
}
