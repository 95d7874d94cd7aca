//! Compiled code that Node (22.1 and newer) keeps, in one folder for each build.

use std::fs;
use std::path::{Path, PathBuf};

use lockgate_model::BuildId;

/// The folder of a build.
pub(super) fn folder(state_dir: &Path, build: &BuildId) -> PathBuf {
    state_dir.join("compile-cache").join(build.as_str())
}

/// Removes the folders of all other builds. What cannot be removed stays; it only
/// takes room.
pub(super) fn prune(state_dir: &Path, keep: &[BuildId]) {
    let Ok(entries) = fs::read_dir(state_dir.join("compile-cache")) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        if !keep.iter().any(|build| name == build.as_str()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
