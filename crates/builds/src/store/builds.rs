//! Builds: written aside, shown by rename, never changed.

use std::fs::{File, Permissions};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use lockgate_model::{BUILD_INFO, BuildId, Digest, EnvName, Manifest};
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{Store, StoreError, archives, read_if_present, write};

const MANIFEST: &str = "manifest.json";
/// A build that is still being written.
pub(super) const DRAFT: &str = ".draft-";
/// `BUILD_INFO.txt` is a page of text; more is not ours.
const BUILD_INFO_LIMIT_BYTES: u64 = 256 * 1024;

impl Store {
    /// An environment's builds, in the order in which they were last published; those
    /// never published stand at the time they were packed. Oldest first.
    pub fn builds(&self, env: &EnvName) -> Result<Vec<BuildId>, StoreError> {
        let folder = self.builds_dir(env);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(StoreError::io("list", &folder)(source)),
        };
        let published = self.publications(env)?;
        let mut builds = Vec::new();
        for entry in entries {
            let entry = entry.map_err(StoreError::io("list", &folder))?;
            let name = entry.file_name();
            let Some(build) = name.to_str().and_then(|name| BuildId::parse(name).ok()) else {
                continue;
            };
            let last = published.iter().rev().find(|one| one.build == build);
            let at = last.map_or_else(|| packed_at(&entry), |one| one.at);
            builds.push((at, build));
        }
        builds.sort();
        Ok(builds.into_iter().map(|(_, build)| build).collect())
    }

    /// A build's manifest and its digest, `None` when there is no such build.
    pub fn manifest(
        &self,
        env: &EnvName,
        build: &BuildId,
    ) -> Result<Option<(Manifest, Digest)>, StoreError> {
        let path = self.manifest_path(env, build);
        let Some(bytes) = read_if_present(&path)? else {
            return Ok(None);
        };
        let damaged = |why: String| StoreError::Damaged {
            path: path.clone(),
            why,
        };
        let manifest: Manifest =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if manifest.env != *env || manifest.build != *build {
            let (other_env, other) = (&manifest.env, &manifest.build);
            return Err(damaged(format!(
                "it describes build `{other}` of environment `{other_env}`"
            )));
        }
        Ok(Some((manifest, digest_of(&bytes))))
    }

    /// Where a build's `manifest.json` lies, whether or not there is one.
    pub fn manifest_path(&self, env: &EnvName, build: &BuildId) -> PathBuf {
        self.build_dir(env, build).join(MANIFEST)
    }

    /// The text of a build's `BUILD_INFO.txt`.
    pub fn build_info(&self, env: &EnvName, build: &BuildId) -> Result<String, StoreError> {
        let path = self.build_dir(env, build).join(archives::IDENTITY);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(StoreError::UnknownBuild {
                    env: env.clone(),
                    build: build.clone(),
                });
            }
            Err(source) => return Err(StoreError::io("read", &path)(source)),
        };
        read_build_info(file)
            .map_err(StoreError::io("read", &path))?
            .ok_or_else(|| StoreError::Damaged {
                path,
                why: format!("it holds no `{BUILD_INFO}`"),
            })
    }

    /// Removes all but the newest `keep` builds, never those in `in_use` and never the
    /// current archive's. Returns what was removed, oldest first.
    pub fn prune(
        &self,
        env: &EnvName,
        keep: usize,
        in_use: &[BuildId],
    ) -> Result<Vec<BuildId>, StoreError> {
        let _lock = self.lock(env)?;
        let builds = self.builds(env)?;
        let current = self.current(env)?;
        let old = builds.len().saturating_sub(keep);
        let mut removed = Vec::new();
        for build in builds.into_iter().take(old) {
            if in_use.contains(&build) || current.as_ref() == Some(&build) {
                continue;
            }
            self.remove_folder(env, &self.build_dir(env, &build))?;
            removed.push(build);
        }
        Ok(removed)
    }

    /// Starts a build: a folder nobody sees until [`Draft::keep`]. Drafts that a crashed
    /// process left are removed.
    pub(crate) fn draft(&self, env: &EnvName) -> Result<Draft, StoreError> {
        let _lock = self.lock(env)?;
        let builds = self.builds_dir(env);
        std::fs::create_dir_all(&builds).map_err(StoreError::io("create", &builds))?;
        self.sweep(env)?;
        let folder = tempfile::Builder::new()
            .prefix(DRAFT)
            .tempdir_in(&builds)
            .map_err(StoreError::io("create a folder in", &builds))?;
        let alive = lock_folder(folder.path(), FlockArg::LockExclusiveNonblock)
            .map_err(StoreError::io("lock", folder.path()))?;
        Ok(Draft {
            store: self.clone(),
            env: env.clone(),
            folder,
            _alive: alive,
        })
    }

    /// Whether a build is there with an archive of the size its manifest names.
    fn whole(&self, env: &EnvName, build: &BuildId) -> Option<(Manifest, Digest)> {
        let (manifest, digest) = self.manifest(env, build).ok()??;
        let archive = self.build_dir(env, build).join(archives::IDENTITY);
        let size = std::fs::metadata(archive).ok()?.len();
        (size == manifest.archive_bytes).then_some((manifest, digest))
    }
}

/// A build that is being written. Dropped, it leaves nothing.
#[derive(Debug)]
pub(crate) struct Draft {
    store: Store,
    env: EnvName,
    folder: TempDir,
    _alive: Flock<File>,
}

impl Draft {
    /// Where the identity archive is to be written.
    pub(crate) fn archive_path(&self) -> PathBuf {
        self.folder.path().join(archives::IDENTITY)
    }

    /// Shows the build under its name. When the store already holds it, that one stays
    /// as it is and is returned, with `false`.
    pub(crate) fn keep(self, manifest: Manifest) -> Result<(Manifest, Digest, bool), StoreError> {
        let _lock = self.store.lock(&self.env)?;
        if let Some((held, digest)) = self.store.whole(&self.env, &manifest.build) {
            return Ok((held, digest, false));
        }
        let bytes = serde_json::to_vec(&manifest)
            .map_err(std::io::Error::from)
            .map_err(StoreError::io("write", self.folder.path()))?;
        let path = self.folder.path().join(MANIFEST);
        write::create(&path, 0o644, &bytes).map_err(StoreError::io("write", &path))?;
        let archive = self.archive_path();
        write::sync(&archive).map_err(StoreError::io("write", &archive))?;
        std::fs::set_permissions(self.folder.path(), Permissions::from_mode(0o755))
            .map_err(StoreError::io("open up", self.folder.path()))?;

        let target = self.store.build_dir(&self.env, &manifest.build);
        // Only a damaged build can lie there: a whole one was returned above.
        self.store.remove_folder(&self.env, &target)?;
        std::fs::rename(self.folder.path(), &target).map_err(StoreError::io("create", &target))?;
        // Renamed away: there is nothing left for the temporary folder to remove.
        let _ = self.folder.keep();
        let builds = self.store.builds_dir(&self.env);
        write::sync(&builds).map_err(StoreError::io("write", &builds))?;
        Ok((manifest, digest_of(&bytes), true))
    }
}

/// Locks a folder, so that others can tell whether its owner lives.
pub(super) fn lock_folder(folder: &Path, how: FlockArg) -> std::io::Result<Flock<File>> {
    Flock::lock(File::open(folder)?, how).map_err(|(_, errno)| errno.into())
}

fn packed_at(entry: &std::fs::DirEntry) -> u64 {
    let modified = entry.metadata().and_then(|found| found.modified()).ok();
    modified
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| u64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

fn digest_of(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

fn read_build_info(file: File) -> std::io::Result<Option<String>> {
    let wanted = Path::new("gateway").join(BUILD_INFO);
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        if entry.path()? == wanted {
            let mut text = String::new();
            entry
                .take(BUILD_INFO_LIMIT_BYTES)
                .read_to_string(&mut text)?;
            return Ok(Some(text));
        }
    }
    Ok(None)
}
