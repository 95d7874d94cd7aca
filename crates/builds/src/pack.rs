//! Turns what the build tool left into a named, canonical archive in the store.
//!
//! ```text
//! parts ─▶ walk ─▶ read once: hash + tar ─▶ name ─▶ BUILD_INFO ─▶ store
//!           │             │
//!       left out      a file that changes meanwhile is an error
//! ```
//!
//! The same content gives the same name and the same bytes, whoever packs it and
//! wherever. [`read`] does the slow part and needs to know nothing about validation,
//! so both run side by side; [`Reading::keep`] takes the verdict and stores the build.
//!
//! Left out on purpose: credentials (see [`LeftOut`]), links and everything else that
//! is no regular file; empty folders; owners and times.

mod archive;
mod build_info;
mod never;
mod walk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use lockgate_model::{Digest, EnvName, FilePath, Manifest, ManifestFile};
use sha2::{Digest as _, Sha256};

use crate::secrets::{self, SecretHit};
use crate::store::{Draft, Store, StoreError};
use archive::{ArchiveWriter, FileState};

/// What is packed from where: `from` (file or folder below `workspace`) lands at `to` below `gateway/`.
#[derive(Debug, Clone)]
pub struct PackSource {
    /// The environment the build is for.
    pub env: EnvName,
    /// The folder that all parts lie in.
    pub workspace: PathBuf,
    /// What is packed.
    pub parts: Vec<Part>,
}

/// A file or folder of the workspace and its place in the build.
#[derive(Debug, Clone)]
pub struct Part {
    /// The file or folder, relative to the workspace.
    pub from: PathBuf,
    /// Where it lands below `gateway/`; empty for `gateway/` itself.
    pub to: String,
    /// Whether it is an error when it is not there.
    pub required: bool,
}

/// Where a build came from. The caller gathers it; [`pack`] writes it into `BUILD_INFO.txt`.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// When.
    pub built_at: SystemTime,
    /// The workspace's commit.
    pub commit: Option<String>,
    /// The workspace's branch.
    pub branch: Option<String>,
    /// Whether the workspace had changes that were not committed.
    pub dirty: Option<bool>,
    /// What `node --version` says.
    pub node_version: Option<String>,
    /// The program that packs, with its version.
    pub tool: String,
}

/// A build in the store.
#[derive(Debug, Clone)]
pub struct Packed {
    /// Its files.
    pub manifest: Manifest,
    /// The digest of its `manifest.json`.
    pub manifest_digest: Digest,
    /// False when the store already held this build.
    pub new: bool,
    /// What was not packed.
    pub left_out: Vec<LeftOut>,
}

/// Something in a part's folder that is not packed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// The path, relative to the workspace.
    pub path: PathBuf,
    /// The rule: `environment file`.
    pub why: &'static str,
}

/// Why a build could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A required part is not there.
    #[error("`{path}` is not there, so there is nothing to pack")]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// A part lies outside the workspace, maybe through a link.
    #[error("`{path}` lies outside the workspace `{workspace}`")]
    Outside {
        /// The path, with links followed.
        path: PathBuf,
        /// The workspace, with links followed.
        workspace: PathBuf,
    },
    /// The parts hold no file at all.
    #[error("there is not one file to pack in `{workspace}`")]
    Empty {
        /// The workspace.
        workspace: PathBuf,
    },
    /// Files that must not be packed as they are; all of them.
    #[error("{}", problems.join("\n"))]
    Refused {
        /// One sentence each.
        problems: Vec<String>,
    },
    /// A file was written while it was packed.
    #[error("`{path}` changed while it was packed")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {act} `{path}`")]
    Io {
        /// What was tried.
        act: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The store failed.
    #[error("cannot store the build")]
    Store {
        /// What the store said.
        #[from]
        source: StoreError,
    },
}

impl PackError {
    /// For `map_err`: names the act and the path of a failed system call.
    fn io(act: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io {
            act,
            path: path.to_owned(),
            source,
        }
    }
}

/// Reads, names, archives and stores a build.
///
/// `validated` becomes the `Validated:` line of `BUILD_INFO.txt`. Who wants to validate
/// meanwhile calls [`read`] and [`Reading::keep`] instead.
pub fn pack(
    source: &PackSource,
    provenance: &Provenance,
    validated: bool,
    store: &Store,
) -> Result<Packed, PackError> {
    read(source, store)?.keep(provenance, validated)
}

/// A build whose files are read and archived but which nobody sees yet. Dropped, it
/// leaves nothing.
#[derive(Debug)]
pub struct Reading {
    env: EnvName,
    workspace: PathBuf,
    draft: Draft,
    archive: ArchiveWriter,
    files: Vec<ManifestFile>,
    left_out: Vec<LeftOut>,
    secrets: Vec<SecretHit>,
}

/// Finds the secrets in what would be packed.
pub fn scan(source: &PackSource) -> Result<Vec<SecretHit>, PackError> {
    let walked = walk::walk(&source.workspace, &source.parts)?;
    Ok(secrets::scan(&walked.files))
}

/// Finds the files of all parts and reads each of them once, into a draft in the store.
/// Beside that they are searched for secrets.
pub fn read(source: &PackSource, store: &Store) -> Result<Reading, PackError> {
    let walked = walk::walk(&source.workspace, &source.parts)?;
    let draft = store.draft(&source.env)?;
    let mut archive = ArchiveWriter::create(&draft.archive_path())?;
    let (read, secrets) = std::thread::scope(|scope| {
        let scanning = scope.spawn(|| secrets::scan(&walked.files));
        let read = append(&mut archive, &walked.files);
        (read, scanning.join())
    });
    let (files, seen) = read?;
    let secrets = secrets.map_err(|_| PackError::Refused {
        problems: vec!["the search for secrets stopped half-way".to_owned()],
    })?;
    // A build tool that rewrites its output while we read must not leave a mixture.
    for ((_, from), state) in walked.files.iter().zip(&seen) {
        archive::expect_unchanged(from, state)?;
    }
    Ok(Reading {
        env: source.env.clone(),
        workspace: walked.workspace,
        draft,
        archive,
        files,
        left_out: walked.left_out,
        secrets,
    })
}

type Appended = (Vec<ManifestFile>, Vec<FileState>);

fn append(
    archive: &mut ArchiveWriter,
    files: &BTreeMap<FilePath, PathBuf>,
) -> Result<Appended, PackError> {
    let appended = files
        .iter()
        .map(|(path, from)| archive.append_file(path, from));
    let appended: Result<Vec<_>, PackError> = appended.collect();
    Ok(appended?.into_iter().unzip())
}

impl Reading {
    /// The secrets in what was read. Whoever keeps it has looked at them.
    pub fn secrets(&self) -> &[SecretHit] {
        &self.secrets
    }

    /// Adds `BUILD_INFO.txt` and shows the build in the store. Where the store already
    /// holds a build of this content, that one stays as it is.
    pub fn keep(mut self, provenance: &Provenance, validated: bool) -> Result<Packed, PackError> {
        let build = name(&self.files).build_id();
        let text = build_info::render(&build_info::BuildInfo {
            env: &self.env,
            build: &build,
            workspace: &self.workspace,
            provenance,
            validated,
            files: &self.files,
        });
        let info = self.archive.append_build_info(&text)?;
        let at = self.files.partition_point(|file| file.path < info.path);
        self.files.insert(at, info);
        let manifest = Manifest {
            env: self.env,
            build,
            archive_bytes: self.archive.finish()?,
            files: self.files,
        };
        let (manifest, manifest_digest, new) = self.draft.keep(manifest)?;
        Ok(Packed {
            manifest,
            manifest_digest,
            new,
            left_out: self.left_out,
        })
    }
}

/// The digest that names a build: over its sorted file list, one line a file.
fn name(files: &[ManifestFile]) -> Digest {
    let mut hash = Sha256::new();
    for file in files {
        let (path, mode, size) = (&file.path, file.mode, file.size);
        let line = format!("{path}\0{mode:o}\0{size}\0{}\n", file.sha256.hex());
        hash.update(line);
    }
    Digest::from_bytes(hash.finalize().into())
}

#[cfg(test)]
mod tests;
