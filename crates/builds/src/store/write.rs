//! Whole files or none: temporary name, fsync, rename, fsync of the folder.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The start of every temporary name; no name of the store begins with a dot.
pub(crate) const TEMPORARY: &str = ".tmp-";

/// Replaces `path` with these bytes. A reader sees the old file or the new one.
pub(crate) fn replace(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let folder = parent(path)?;
    written(folder, mode, bytes)?.persist(path)?;
    sync(folder)
}

/// Creates `path` with these bytes, or fails with `AlreadyExists`.
pub(crate) fn create(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let folder = parent(path)?;
    written(folder, mode, bytes)?.persist_noclobber(path)?;
    sync(folder)
}

/// Makes a file's content last, or the names in a folder.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Removes a file; one that is not there is no error.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes a folder at once for everybody who looks, then file by file. `aside`
/// is a folder of the same file system; what a program that dies meanwhile leaves
/// there begins with `prefix`. One that is not there is no error.
pub(crate) fn remove_folder(folder: &Path, aside: &Path, prefix: &str) -> io::Result<()> {
    let grave = tempfile::Builder::new().prefix(prefix).tempdir_in(aside)?;
    match std::fs::rename(folder, grave.path().join("removed")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            if let Some(parent) = folder.parent() {
                sync(parent)?;
            }
            grave.close()
        }
    }
}

fn parent(path: &Path) -> io::Result<&Path> {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Ok(Path::new(".")),
        Some(folder) => Ok(folder),
        None => Err(io::Error::from(io::ErrorKind::IsADirectory)),
    }
}

fn written(folder: &Path, mode: u32, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    Ok(file)
}
