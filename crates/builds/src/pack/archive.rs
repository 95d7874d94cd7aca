//! Writes a canonical tar while hashing what goes into it.
//!
//! Canonical: one top folder `gateway/`, files in the order given with their folders
//! before them, `BUILD_INFO.txt` last (its content is known last), owner 0 without
//! names, one fixed time, modes 0644 and 0755, regular files and folders only.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use lockgate_model::{BUILD_INFO, Digest, FilePath, ManifestFile};
use nix::fcntl::OFlag;
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use super::PackError;

/// The top folder.
const TOP: &str = "gateway";
/// Every entry's time: 1980-01-01, the oldest that no tool complains about.
const TIME: u64 = 315_532_800;
const BUFFER_BYTES: usize = 512 * 1024;

/// An archive that is being written.
pub(super) struct ArchiveWriter {
    path: PathBuf,
    tar: tar::Builder<BufWriter<File>>,
    folders: HashSet<String>,
}

/// What tells that a file is still the one that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileState {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileState {
    fn of(found: &Metadata) -> Self {
        Self {
            inode: found.ino(),
            size: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
        }
    }
}

impl ArchiveWriter {
    /// Starts an archive with its top folder.
    pub(super) fn create(path: &Path) -> Result<Self, PackError> {
        let file = File::create_new(path).map_err(PackError::io("create", path))?;
        let mut writer = Self {
            path: path.to_owned(),
            tar: tar::Builder::new(BufWriter::with_capacity(BUFFER_BYTES, file)),
            folders: HashSet::new(),
        };
        writer.folder(TOP)?;
        Ok(writer)
    }

    /// Adds a file of the disk. The returned state is for [`expect_unchanged`].
    pub(super) fn append_file(
        &mut self,
        path: &FilePath,
        from: &Path,
    ) -> Result<(ManifestFile, FileState), PackError> {
        // A link or a pipe that was put here after the walk is neither followed nor waited for.
        let file = File::options()
            .read(true)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
            .open(from)
            .map_err(PackError::io("read", from))?;
        let found = file.metadata().map_err(PackError::io("read", from))?;
        let changed = || PackError::Changed {
            path: from.to_owned(),
        };
        if !found.is_file() {
            return Err(changed());
        }
        let mode = if found.mode() & 0o111 == 0 {
            0o644
        } else {
            0o755
        };
        let mut input = Hashing::new(BufReader::with_capacity(BUFFER_BYTES, file));
        let size = found.len();
        let written = self.entry(path, mode, size, (&mut input).take(size));
        if let Some(source) = input.failed {
            return Err(PackError::io("read", from)(source));
        }
        written?;
        let ended = input.read(&mut [0]).map_err(PackError::io("read", from))? == 0;
        if input.bytes != size || !ended {
            return Err(changed());
        }
        let file = ManifestFile {
            path: path.clone(),
            mode,
            size,
            sha256: input.digest(),
        };
        Ok((file, FileState::of(&found)))
    }

    /// Adds `BUILD_INFO.txt`.
    pub(super) fn append_build_info(&mut self, text: &str) -> Result<ManifestFile, PackError> {
        let path = FilePath::parse(BUILD_INFO).map_err(|error| PackError::Refused {
            problems: vec![error.to_string()],
        })?;
        let mut input = Hashing::new(text.as_bytes());
        let size = text.len() as u64;
        self.entry(&path, 0o644, size, &mut input)?;
        Ok(ManifestFile {
            path,
            mode: 0o644,
            size,
            sha256: input.digest(),
        })
    }

    /// Ends the archive. Returns its size in bytes.
    pub(super) fn finish(self) -> Result<u64, PackError> {
        let path = self.path;
        let end = |tar: tar::Builder<BufWriter<File>>| -> io::Result<u64> {
            let mut output = tar.into_inner()?;
            output.flush()?;
            Ok(output.get_ref().metadata()?.len())
        };
        end(self.tar).map_err(PackError::io("write", &path))
    }

    fn entry(
        &mut self,
        path: &FilePath,
        mode: u32,
        size: u64,
        content: impl Read,
    ) -> Result<(), PackError> {
        let place = format!("{TOP}/{path}");
        for (at, _) in place.match_indices('/') {
            if let Some(folder) = place.get(..at) {
                self.folder(folder)?;
            }
        }
        let mut header = header(EntryType::Regular, mode, size);
        self.tar
            .append_data(&mut header, &place, content)
            .map_err(PackError::io("write", &self.path))
    }

    fn folder(&mut self, place: &str) -> Result<(), PackError> {
        if !self.folders.insert(place.to_owned()) {
            return Ok(());
        }
        let mut header = header(EntryType::Directory, 0o755, 0);
        self.tar
            .append_data(&mut header, format!("{place}/"), io::empty())
            .map_err(PackError::io("write", &self.path))
    }
}

impl std::fmt::Debug for ArchiveWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ArchiveWriter").field(&self.path).finish()
    }
}

/// Fails when the file is not what it was when it was read.
pub(super) fn expect_unchanged(path: &Path, before: &FileState) -> Result<(), PackError> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if FileState::of(&found) == *before => Ok(()),
        _ => Err(PackError::Changed {
            path: path.to_owned(),
        }),
    }
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(TIME);
    header.set_size(size);
    header
}

/// Hashes and counts what is read through it.
struct Hashing<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
    /// Kept, so that a file that cannot be read is not taken for an archive that
    /// cannot be written.
    failed: Option<io::Error>,
}

impl<R: Read> Hashing<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            bytes: 0,
            failed: None,
        }
    }

    fn digest(self) -> Digest {
        Digest::from_bytes(self.hash.finalize().into())
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.inner.read(buffer) {
            Ok(count) => count,
            Err(error) => {
                let told = io::Error::from(error.kind());
                self.failed = Some(error);
                return Err(told);
            }
        };
        self.hash.update(buffer.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        Ok(count)
    }
}
