//! The store's files as they are sent: opened below the store's folder only, digested
//! once, and kept in memory while they are asked for.
//!
//! A gateway pool asks for the same archive several times within a second. The first
//! request reads and digests it, the others wait for that and share the bytes.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use lockgate_model::Digest;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::Mode;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;

/// All files in memory together: 64 MiB, the archives of a few environments.
const MEMORY_BYTES: u64 = 64 << 20;
/// A file larger than this is read anew for each request.
const KEPT_BYTES: u64 = MEMORY_BYTES / 2;

/// What the content of a file is recognised by. A hard link is the same file, a
/// replaced one is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Identity {
    fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
        }
    }
}

/// A file's content, as far as it is known.
#[derive(Debug)]
pub(super) struct Representation {
    pub(super) sha256: [u8; 32],
    /// The content, where it is small enough to be kept.
    pub(super) bytes: Option<Bytes>,
}

impl Representation {
    /// The strong entity tag, quoted: nothing but the same bytes has it.
    pub(super) fn etag(&self) -> String {
        format!("\"{}\"", Digest::from_bytes(self.sha256).hex())
    }
}

/// An open file and its content.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: Arc<File>,
    pub(super) length: u64,
    pub(super) content: Arc<Representation>,
}

/// The files that were asked for lately.
#[derive(Debug, Default)]
pub(super) struct Files {
    shelf: Mutex<Shelf>,
}

type Slot = Arc<OnceCell<Arc<Representation>>>;

#[derive(Debug, Default)]
struct Shelf {
    clock: u64,
    slots: HashMap<Identity, (u64, Slot)>,
}

impl Files {
    /// Opens a regular file below `folder`; `None` when there is none of that name.
    pub(super) async fn open(&self, folder: &Path, path: &Path) -> io::Result<Option<Opened>> {
        let (folder, path) = (folder.to_owned(), path.to_owned());
        let found = blocking(move || open_below(&folder, &path)).await?;
        let Some((file, identity)) = found else {
            return Ok(None);
        };
        let file = Arc::new(file);
        let slot = self.slot(identity);
        let reading = || {
            let file = Arc::clone(&file);
            blocking(move || read(&file, identity.size).map(Arc::new))
        };
        let content = Arc::clone(slot.get_or_try_init(reading).await?);
        Ok(Some(Opened {
            file,
            length: identity.size,
            content,
        }))
    }

    /// The file's place on the shelf; the least lately used give way.
    fn slot(&self, identity: Identity) -> Slot {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.clock += 1;
        let now = shelf.clock;
        let (used, slot) = shelf.slots.entry(identity).or_default();
        *used = now;
        let slot = Arc::clone(slot);
        shelf.shrink();
        slot
    }
}

impl Shelf {
    fn shrink(&mut self) {
        /// Digests of files that are not kept take next to nothing, but not nothing.
        const MOST_FILES: usize = 256;
        loop {
            let held: u64 = self.slots.keys().map(kept_bytes).sum();
            if held <= MEMORY_BYTES && self.slots.len() <= MOST_FILES {
                return;
            }
            let oldest = self.slots.iter().min_by_key(|(_, (used, _))| *used);
            let Some(oldest) = oldest.map(|(identity, _)| *identity) else {
                return;
            };
            self.slots.remove(&oldest);
        }
    }
}

fn kept_bytes(identity: &Identity) -> u64 {
    if identity.size <= KEPT_BYTES {
        identity.size
    } else {
        0
    }
}

/// Runs what may block on a thread for that.
pub(super) async fn blocking<T: Send + 'static, E: Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // The runtime is going down, or the work broke an invariant: go down with it.
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}

/// Opens a file for reading; the kernel makes sure that it lies below `folder` and
/// that no symbolic link leads to it. `None` when there is none, or no regular one.
fn open_below(folder: &Path, path: &Path) -> io::Result<Option<(File, Identity)>> {
    let Ok(relative) = path.strip_prefix(folder) else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{}` lies outside of the store", path.display()),
        ));
    };
    // A pipe of that name must not make the server wait for a writer.
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let how = OpenHow::new()
        .flags(flags)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let root = File::open(folder)?;
    let opened = match openat2(&root, relative, how) {
        // A kernel before 5.6, or a container's filter that does not know the call:
        // the names are plain, so only a link in the store's own folders could mislead.
        Err(Errno::ENOSYS | Errno::EPERM) => openat(AT_FDCWD, path, flags, Mode::empty()),
        opened => opened,
    };
    let file = match opened {
        Ok(descriptor) => File::from(descriptor),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::EXDEV) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let found = file.metadata()?;
    Ok(found.is_file().then(|| (file, Identity::of(&found))))
}

fn read(file: &File, size: u64) -> io::Result<Representation> {
    if let Some(size) = usize::try_from(size).ok().filter(|_| size <= KEPT_BYTES) {
        let mut bytes = vec![0; size];
        file.read_exact_at(&mut bytes, 0)?;
        return Ok(Representation {
            sha256: Sha256::digest(&bytes).into(),
            bytes: Some(Bytes::from(bytes)),
        });
    }
    let mut digest = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    let mut reader = file.take(size);
    let mut seen = 0;
    loop {
        let count = reader.read(&mut piece)?;
        if count == 0 {
            break;
        }
        seen += count as u64;
        digest.update(piece.get(..count).unwrap_or_default());
    }
    if seen == size {
        Ok(Representation {
            sha256: digest.finalize().into(),
            bytes: None,
        })
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn identity(inode: u64, size: u64) -> Identity {
        Identity {
            device: 1,
            inode,
            size,
            modified: (0, 0),
        }
    }

    #[test]
    fn the_shelf_keeps_what_was_used_last_within_its_bounds() {
        let files = Files::default();
        let third = MEMORY_BYTES / 3;
        let first = files.slot(identity(1, third));
        files.slot(identity(2, third));
        files.slot(identity(3, MEMORY_BYTES * 9));
        assert!(Arc::ptr_eq(&first, &files.slot(identity(1, third))));
        files.slot(identity(4, third + 3));
        let shelf = files.shelf.lock().unwrap();
        let mut kept: Vec<u64> = shelf.slots.keys().map(|identity| identity.inode).collect();
        kept.sort_unstable();
        // 2 gave way; 3 takes no memory but was used before 1 and 4.
        assert_eq!(kept, [1, 3, 4]);
    }

    #[test]
    fn nothing_outside_of_the_folder_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        std::fs::create_dir_all(store.join("real")).unwrap();
        std::fs::write(dir.path().join("secret"), "s").unwrap();
        std::fs::write(store.join("real/file"), "f").unwrap();
        symlink("../secret", store.join("link")).unwrap();
        symlink("real", store.join("folder")).unwrap();
        nix::unistd::mkfifo(&store.join("pipe"), Mode::S_IRWXU).unwrap();
        assert!(
            open_below(&store, &store.join("real/file"))
                .unwrap()
                .is_some()
        );
        for none in [
            "link",
            "folder/file",
            "pipe",
            "real",
            "../secret",
            "nothing",
        ] {
            let opened = open_below(&store, &store.join(none)).unwrap();
            assert!(opened.is_none(), "{none}");
        }
        assert!(open_below(&store, &dir.path().join("secret")).is_err());
    }

    #[tokio::test]
    async fn a_replaced_file_is_another_and_a_hard_link_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&a, "one").unwrap();
        std::fs::hard_link(&a, &b).unwrap();
        let files = Files::default();
        let open = async |path| files.open(dir.path(), path).await.unwrap().unwrap();
        let (first, linked) = (open(&a).await, open(&b).await);
        assert!(Arc::ptr_eq(&first.content, &linked.content));
        std::fs::write(dir.path().join("c"), "two").unwrap();
        std::fs::rename(dir.path().join("c"), &a).unwrap();
        assert_eq!(open(&a).await.content.bytes.as_deref(), Some(&b"two"[..]));
        assert_eq!(open(&b).await.content.bytes.as_deref(), Some(&b"one"[..]));
    }
}
