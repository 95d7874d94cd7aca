//! The folder of releases.
//!
//! ```text
//! {build}/                 a release: whole, since it appeared by rename
//! .manifests/{build}.json  the manifest it was verified with, byte by byte
//! .fetch-…/                being unpacked; removed when that fails
//! .broken-…/{build}        was there under a release's name and was not whole
//! ```

use std::fs::{DirEntry, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use lockgate_model::{BuildId, Digest, Manifest, Statement};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::FetchError;
use crate::store::write;

const MANIFESTS: &str = ".manifests";
const FETCHING: &str = ".fetch-";
const BROKEN: &str = ".broken-";
/// How names begin that an interrupted program left.
const LEFT_BEHIND: [&str; 3] = [FETCHING, BROKEN, write::TEMPORARY];

/// A gateway's releases.
#[derive(Debug, Clone)]
pub(super) struct Releases {
    dir: PathBuf,
}

impl Releases {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// A release's folder.
    pub(super) fn release(&self, build: &BuildId) -> PathBuf {
        self.dir.join(build.as_str())
    }

    fn manifest(&self, build: &BuildId) -> PathBuf {
        self.dir.join(MANIFESTS).join(format!("{build}.json"))
    }

    /// Whether the statement's build is here as a whole. Sizes and contents are not
    /// compared again: they were verified before the release appeared, and what the
    /// gateway itself lays over it later is its own affair.
    pub(super) fn holds(&self, statement: &Statement) -> bool {
        let Ok(bytes) = std::fs::read(self.manifest(&statement.build)) else {
            return false;
        };
        if Digest::from_bytes(Sha256::digest(&bytes).into()) != statement.manifest {
            return false;
        }
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&bytes) else {
            return false;
        };
        let release = self.release(&statement.build);
        let real = |path: &Path| std::fs::symlink_metadata(path).map(|found| found.file_type());
        real(&release).is_ok_and(|kind| kind.is_dir())
            && manifest.files.iter().all(|file| {
                real(&release.join(file.path.as_str())).is_ok_and(|kind| kind.is_file())
            })
    }

    /// A fresh folder for one fetch, ours alone.
    pub(super) fn fresh(&self) -> Result<TempDir, FetchError> {
        std::fs::create_dir_all(&self.dir).map_err(FetchError::disk("create", &self.dir))?;
        tempfile::Builder::new()
            .prefix(FETCHING)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&self.dir)
            .map_err(FetchError::disk("create a folder in", &self.dir))
    }

    /// Makes a verified folder the release of this build.
    pub(super) fn place(
        &self,
        fresh: TempDir,
        build: &BuildId,
        manifest: &[u8],
    ) -> Result<(), FetchError> {
        let release = self.release(build);
        // Everybody may read it, as after tar.
        std::fs::set_permissions(fresh.path(), Permissions::from_mode(0o755))
            .map_err(FetchError::disk("change the mode of", fresh.path()))?;
        self.move_aside(&release)?;
        let note = self.manifest(build);
        let notes = self.dir.join(MANIFESTS);
        std::fs::create_dir_all(&notes).map_err(FetchError::disk("create", &notes))?;
        write::replace(&note, 0o644, manifest).map_err(FetchError::disk("write", &note))?;
        std::fs::rename(fresh.path(), &release)
            .map_err(FetchError::disk("move a release to", &release))?;
        // It is a release now; there is nothing left to clean up.
        let _ = fresh.keep();
        write::sync(&self.dir).map_err(FetchError::disk("write", &self.dir))
    }

    /// Whatever is there under a release's name. A process may still run from it, so
    /// it is moved, not removed.
    fn move_aside(&self, release: &Path) -> Result<(), FetchError> {
        match std::fs::symlink_metadata(release) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(FetchError::disk("read", release)(source)),
            Ok(_) => {}
        }
        let aside = tempfile::Builder::new()
            .prefix(BROKEN)
            .tempdir_in(&self.dir)
            .map_err(FetchError::disk("create a folder in", &self.dir))?
            .keep();
        let name = release.file_name().unwrap_or_default();
        tracing::warn!(
            release = %release.display(),
            aside = %aside.display(),
            "a release is not whole and is moved aside"
        );
        std::fs::rename(release, aside.join(name)).map_err(FetchError::disk("move", release))
    }

    /// Removes all but the newest `keep` releases, never those in use.
    pub(super) fn collect(
        &self,
        keep: usize,
        in_use: &[BuildId],
    ) -> Result<Vec<BuildId>, FetchError> {
        let mut releases: Vec<(SystemTime, BuildId)> = entries(&self.dir)?
            .iter()
            .filter_map(|entry| {
                let build = BuildId::parse(entry.file_name().to_str()?).ok()?;
                Some((self.fetched_at(&build), build))
            })
            .collect();
        releases.sort();
        let old = releases.len().saturating_sub(keep);
        let mut removed = Vec::new();
        for (_, build) in releases.into_iter().take(old) {
            if in_use.contains(&build) {
                continue;
            }
            // The note first: a release without one does not count as whole.
            let (release, note) = (self.release(&build), self.manifest(&build));
            write::remove_file(&note).map_err(FetchError::disk("remove", &note))?;
            write::remove_folder(&release, &self.dir, write::TEMPORARY)
                .map_err(FetchError::disk("remove", &release))?;
            removed.push(build);
        }
        Ok(removed)
    }

    fn fetched_at(&self, build: &BuildId) -> SystemTime {
        std::fs::metadata(self.manifest(build))
            .and_then(|found| found.modified())
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Removes what an interrupted fetch or removal left, and manifests without a release.
    pub(super) fn sweep(&self) -> Result<(), FetchError> {
        for entry in entries(&self.dir)? {
            let name = entry.file_name();
            let left = |start: &&str| name.to_str().is_some_and(|name| name.starts_with(start));
            if LEFT_BEHIND.iter().any(left) {
                remove(&entry.path())?;
            }
        }
        for entry in entries(&self.dir.join(MANIFESTS))? {
            let name = entry.file_name();
            let build = name.to_str().and_then(|name| name.strip_suffix(".json"));
            let build = build.and_then(|build| BuildId::parse(build).ok());
            if !build.is_some_and(|build| self.release(&build).is_dir()) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// What lies in a folder; nothing when there is no such folder.
fn entries(folder: &Path) -> Result<Vec<DirEntry>, FetchError> {
    match std::fs::read_dir(folder) {
        Ok(entries) => entries
            .collect::<io::Result<_>>()
            .map_err(FetchError::disk("list", folder)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(FetchError::disk("list", folder)(source)),
    }
}

fn remove(path: &Path) -> Result<(), FetchError> {
    let kind = std::fs::symlink_metadata(path).map(|found| found.file_type());
    let removed = match kind {
        Ok(kind) if kind.is_dir() => std::fs::remove_dir_all(path),
        _ => write::remove_file(path),
    };
    removed.map_err(FetchError::disk("remove", path))
}
