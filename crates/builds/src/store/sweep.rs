//! Removes what programs left that died in the middle of writing.

use std::path::Path;

use lockgate_model::EnvName;
use nix::fcntl::FlockArg;

use super::builds::{DRAFT, lock_folder};
use super::{Store, StoreError, temporary, write};

impl Store {
    /// Called under the environment's lock, under which all temporary names come and
    /// go: the ones that are there belong to nobody. Drafts outlive the lock; they are
    /// locked themselves as long as their owner lives.
    pub(super) fn sweep(&self, env: &EnvName) -> Result<(), StoreError> {
        let folder = self.env_dir(env);
        remove_all(&self.dir, &temporary(env), |_| true)?;
        for inner in ["", "builds", "gateways", "statements"] {
            remove_all(&folder.join(inner), write::TEMPORARY, |_| true)?;
        }
        remove_all(&self.builds_dir(env), DRAFT, |draft| {
            lock_folder(draft, FlockArg::LockExclusiveNonblock).is_ok()
        })
    }
}

/// Removes what begins so in a folder and is left behind.
fn remove_all(
    folder: &Path,
    prefix: &str,
    left_behind: impl Fn(&Path) -> bool,
) -> Result<(), StoreError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(StoreError::io("list", folder)(source)),
    };
    for entry in entries {
        let entry = entry.map_err(StoreError::io("list", folder))?;
        let path = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(prefix) || !left_behind(&path) {
            continue;
        }
        let kind = entry.file_type().map_err(StoreError::io("read", &path))?;
        let removed = if kind.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            write::remove_file(&path)
        };
        removed.map_err(StoreError::io("remove", &path))?;
    }
    Ok(())
}
