//! Unpacks an archive that must be exactly what a manifest names.
//!
//! The folder unpacked into is fresh, ours alone (0700) and holds only folders and
//! regular files that this module created from checked [`FilePath`]s, each with
//! `create_new`. No link can lie in it, so plain paths are safe.
//!
//! Accepted are regular files of the manifest, each once, with their size and digest,
//! and the folders that lead to them. Everything else is refused, whatever it is:
//! links, devices, other names, names twice, extended headers, bytes behind the end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use lockgate_model::{Digest, FilePath, Manifest, ManifestFile};
use sha2::{Digest as _, Sha256};
use tar::{Archive, Entry, EntryType};

/// The archive's top folder.
const TOP: &str = "gateway";
/// Files that wait for the disk while others are still coming.
const SYNC_QUEUE: usize = 32;
/// Threads that wait for the disk: the file system joins their waits into one.
const SYNC_THREADS: usize = 4;

/// Why an archive is not what its manifest names.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The manifest itself cannot be unpacked.
    #[error("the manifest names `{path}`, {why}")]
    Manifest {
        /// The path it names.
        path: String,
        /// What is wrong with that.
        why: &'static str,
    },
    /// The bytes are no archive, or they ended early.
    #[error("it cannot be read as an archive")]
    Read(#[source] io::Error),
    /// An entry that does not belong there.
    #[error("it holds `{path}`, {why}")]
    Entry {
        /// The entry's path, as it stands in the archive.
        path: String,
        /// Why it is refused.
        why: &'static str,
    },
    /// A file has another size.
    #[error("`{path}` has {found} bytes, its manifest says {expected}")]
    Size {
        /// The file.
        path: FilePath,
        /// The size in the manifest, in bytes.
        expected: u64,
        /// The size in the archive, in bytes.
        found: u64,
    },
    /// A file has another content.
    #[error("`{path}` has another content than its manifest says")]
    Content {
        /// The file.
        path: FilePath,
    },
    /// Files are missing.
    #[error("it lacks {count} of its manifest's files, `{first}` among them")]
    Missing {
        /// The first that is missing.
        first: FilePath,
        /// How many are.
        count: usize,
    },
    /// The archive is longer or shorter than its manifest says.
    #[error("it is {} than the {expected} bytes its manifest says", if *.longer { "longer" } else { "shorter" })]
    Length {
        /// The length in the manifest, in bytes.
        expected: u64,
        /// Whether it is longer.
        longer: bool,
    },
    /// Bytes behind the archive's end.
    #[error("something follows behind its end")]
    Trailing,
    /// The disk refused.
    #[error("cannot write `{path}`")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// What an archive must hold, by path.
#[derive(Debug)]
pub(super) struct Contents<'a> {
    files: BTreeMap<&'a str, &'a ManifestFile>,
    /// The folders that lead to them, parents before children.
    folders: BTreeSet<&'a str>,
    archive_bytes: u64,
}

impl<'a> Contents<'a> {
    /// Reads what a manifest names; refuses what cannot lie side by side on any file
    /// system.
    pub(super) fn of(manifest: &'a Manifest) -> Result<Self, UnpackError> {
        let refused = |path: &str, why| UnpackError::Manifest {
            path: path.to_owned(),
            why,
        };
        let mut files = BTreeMap::new();
        let mut folders = BTreeSet::new();
        for file in &manifest.files {
            let path = file.path.as_str();
            if !matches!(file.mode, 0o644 | 0o755) {
                return Err(refused(path, "whose mode is neither 0644 nor 0755"));
            }
            if files.insert(path, file).is_some() {
                return Err(refused(path, "and that twice"));
            }
            folders.extend(
                path.match_indices('/')
                    .filter_map(|(end, _)| path.get(..end)),
            );
        }
        let mut folded = HashMap::new();
        for path in files.keys().chain(&folders) {
            match folded.insert(path.to_lowercase(), *path) {
                None => {}
                Some(other) if other == *path => {
                    return Err(refused(path, "which is a file and a folder"));
                }
                Some(_) => return Err(refused(path, "which another path equals but for case")),
            }
        }
        Ok(Self {
            files,
            folders,
            archive_bytes: manifest.archive_bytes,
        })
    }

    /// Unpacks an archive into a fresh folder of which nobody else knows. All of it is
    /// on disk when this returns.
    pub(super) fn unpack(&self, archive: impl Read, into: &Path) -> Result<(), UnpackError> {
        for folder in &self.folders {
            let path = into.join(folder);
            DirBuilder::new()
                .mode(0o755)
                .create(&path)
                .and_then(|()| std::fs::set_permissions(&path, Permissions::from_mode(0o755)))
                .map_err(written(&path))?;
        }
        let (queue, files) = sync_channel(SYNC_QUEUE);
        let files = Mutex::new(files);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..SYNC_THREADS)
                .map(|_| scope.spawn(|| sync_files(&files)))
                .collect();
            let mut unpacked = self.read_archive(archive, into, &queue);
            drop(queue);
            for worker in workers {
                match worker.join() {
                    Ok(synced) => unpacked = unpacked.and(synced),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            unpacked
        })?;
        let folders = self.folders.iter().map(|folder| into.join(folder));
        for folder in folders.chain([into.to_owned()]) {
            crate::store::write::sync(&folder).map_err(written(&folder))?;
        }
        Ok(())
    }

    fn read_archive(
        &self,
        archive: impl Read,
        into: &Path,
        queue: &SyncSender<(PathBuf, File)>,
    ) -> Result<(), UnpackError> {
        let mut archive = Archive::new(Counted::new(archive, self.archive_bytes));
        let mut buffer = vec![0; 256 << 10];
        let mut seen = BTreeSet::new();
        let outcome = self.read_entries(&mut archive, &mut seen, |file, entry| {
            let path = into.join(file.path.as_str());
            let written = write_file(entry, file, &path, &mut buffer)?;
            // A worker that is gone has found an error, which counts.
            let _ = queue.send((path, written));
            Ok(())
        });
        let mut counted = archive.into_inner();
        let outcome = outcome.and_then(|()| counted.expect_zeros(&mut buffer));
        if counted.longer {
            return Err(UnpackError::Length {
                expected: self.archive_bytes,
                longer: true,
            });
        }
        outcome?;
        let mut missing = self
            .files
            .values()
            .filter(|f| !seen.contains(f.path.as_str()));
        if let Some(first) = missing.next() {
            return Err(UnpackError::Missing {
                first: first.path.clone(),
                count: 1 + missing.count(),
            });
        }
        if counted.read_bytes < self.archive_bytes {
            return Err(UnpackError::Length {
                expected: self.archive_bytes,
                longer: false,
            });
        }
        Ok(())
    }

    /// Gives each file that belongs there to `take`, and refuses everything else.
    fn read_entries<'s, R: Read>(
        &'s self,
        archive: &mut Archive<R>,
        seen: &mut BTreeSet<&'s str>,
        mut take: impl FnMut(&ManifestFile, &mut Entry<'_, R>) -> Result<(), UnpackError>,
    ) -> Result<(), UnpackError> {
        for entry in archive.entries().map_err(UnpackError::Read)? {
            let mut entry = entry.map_err(UnpackError::Read)?;
            let raw = entry.path_bytes().into_owned();
            let refuse = |why| UnpackError::Entry {
                path: String::from_utf8_lossy(&raw).into_owned(),
                why,
            };
            if entry.pax_extensions().map_err(UnpackError::Read)?.is_some() {
                return Err(refuse("which carries extended headers"));
            }
            let path = std::str::from_utf8(&raw).map_err(|_| refuse("which is not UTF-8"))?;
            match entry.header().entry_type() {
                EntryType::Directory => {
                    let path = path.strip_suffix('/').unwrap_or(path);
                    let below = path.strip_prefix(TOP).and_then(|p| p.strip_prefix('/'));
                    let known = below.and_then(|below| self.folders.get(below));
                    if path != TOP && known.is_none() {
                        return Err(refuse(
                            "a folder that leads to none of the manifest's files",
                        ));
                    }
                }
                EntryType::Regular => {
                    let below = path.strip_prefix(TOP).and_then(|p| p.strip_prefix('/'));
                    let known = below.and_then(|below| self.files.get_key_value(below));
                    let (name, file) =
                        known.ok_or_else(|| refuse("which is not in the manifest"))?;
                    if !seen.insert(*name) {
                        return Err(refuse("and that twice"));
                    }
                    take(file, &mut entry)?;
                }
                _ => return Err(refuse("which is neither a regular file nor a folder")),
            }
        }
        Ok(())
    }
}

fn write_file(
    entry: &mut Entry<'_, impl Read>,
    file: &ManifestFile,
    path: &Path,
    buffer: &mut [u8],
) -> Result<File, UnpackError> {
    let size = |found| UnpackError::Size {
        path: file.path.clone(),
        expected: file.size,
        found,
    };
    if entry.size() != file.size {
        return Err(size(entry.size()));
    }
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(written(path))?;
    let mut digest = Sha256::new();
    let mut copied = 0;
    loop {
        let count = entry.read(buffer).map_err(UnpackError::Read)?;
        let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else {
            break;
        };
        copied += piece.len() as u64;
        digest.update(piece);
        target.write_all(piece).map_err(written(path))?;
    }
    if copied != file.size {
        return Err(size(copied));
    }
    if Digest::from_bytes(digest.finalize().into()) != file.sha256 {
        return Err(UnpackError::Content {
            path: file.path.clone(),
        });
    }
    target
        .set_permissions(Permissions::from_mode(file.mode))
        .map_err(written(path))?;
    Ok(target)
}

/// Waits for the disk, file after file, until no more come.
fn sync_files(files: &Mutex<Receiver<(PathBuf, File)>>) -> Result<(), UnpackError> {
    let next = || {
        let files = files.lock().unwrap_or_else(PoisonError::into_inner);
        files.recv().ok()
    };
    let mut outcome = Ok(());
    while let Some((path, file)) = next() {
        outcome = outcome.and(file.sync_all().map_err(written(&path)));
    }
    outcome
}

fn written(path: &Path) -> impl FnOnce(io::Error) -> UnpackError {
    move |source| UnpackError::Write {
        path: path.to_owned(),
        source,
    }
}

/// Counts what is read and ends at a limit; whether there was more is noted.
struct Counted<R> {
    reader: R,
    read_bytes: u64,
    limit_bytes: u64,
    longer: bool,
}

impl<R: Read> Counted<R> {
    fn new(reader: R, limit_bytes: u64) -> Self {
        Self {
            reader,
            read_bytes: 0,
            limit_bytes,
            longer: false,
        }
    }

    /// Reads on to the end; behind an archive's end only zeros may follow.
    fn expect_zeros(&mut self, buffer: &mut [u8]) -> Result<(), UnpackError> {
        loop {
            let count = self.read(buffer).map_err(UnpackError::Read)?;
            let rest = buffer.get(..count).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            if rest.iter().any(|byte| *byte != 0) {
                return Err(UnpackError::Trailing);
            }
        }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.read_bytes += count as u64;
        if self.read_bytes > self.limit_bytes {
            self.longer = true;
            return Err(io::Error::other("longer than its manifest says"));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
