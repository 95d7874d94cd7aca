//! Files that are there whole or not at all, readable by their owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

/// Replaces `path` with `content` (mode 0600): a temporary file beside it, fsync, rename, fsync of the folder.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let (folder, file) = beside(path, content)?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Makes `path` with `content` (mode 0600) unless it is there already; of two who do, one is first.
pub(crate) fn write_once(path: &Path, content: &[u8]) -> io::Result<()> {
    let (folder, file) = beside(path, content)?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
        _ => sync_folder(folder),
    }
}

/// A temporary file with the whole content, on disk, in the folder of `path`.
fn beside<'p>(path: &'p Path, content: &[u8]) -> io::Result<(&'p Path, NamedTempFile)> {
    let folder = path
        .parent()
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut file = tempfile::Builder::new()
        .prefix(".write-")
        .tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    Ok((folder, file))
}

/// Replaces `path` with a value as JSON.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    write(path, &serde_json::to_vec(value)?)
}

/// The value that a file holds as JSON; `None` where there is no file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file's text without white space at its ends.
pub(crate) fn read_line(path: &Path) -> io::Result<String> {
    fs::read_to_string(path).map(|text| text.trim().to_owned())
}

/// Makes what happened to a folder's entries last.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Opens a log (0600) for appending; one larger than `limit_bytes` is put aside as `….log.1` first.
pub(crate) fn open_log(path: &Path, limit_bytes: u64) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|found| found.len() > limit_bytes) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// Opens a lock's file (0600), making it when it is missing; its content is kept.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Waits for a lock that is only ever held for a moment. Released when the file is dropped.
pub(crate) fn lock(path: &Path) -> io::Result<File> {
    let file = open_lock(path)?;
    file.lock()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seq");
        write(&path, b"first").unwrap();
        write(&path, b"2").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_log_is_appended_to_and_put_aside_when_it_is_large() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.log");
        for text in ["one ", "two ", "three "] {
            open_log(&path, 6)
                .unwrap()
                .write_all(text.as_bytes())
                .unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "three ");
        let aside = fs::read_to_string(folder.path().join("server.log.1")).unwrap();
        assert_eq!(aside, "one two ");
    }
}
