//! A build's archive in three encodings, and the one that counts as current.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use lockgate_model::{BuildId, EnvName};
use nix::fcntl::FlockArg;

use super::builds::lock_folder;
use super::{Store, StoreError, gzip, temporary, write};

/// The uncompressed archive's file name.
pub(super) const IDENTITY: &str = "archive.tar";
const GZIP: &str = "archive.tar.gz";
const ZSTD: &str = "archive.tar.zst";

/// 25 MB in a tenth of a second at gzip's size.
const ZSTD_LEVEL: i32 = 3;

/// How an archive's bytes are encoded on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// The tar itself.
    Identity,
    /// gzip, for everything that ever spoke HTTP.
    Gzip,
    /// zstd, for agents that are not near.
    Zstd,
}

impl Store {
    /// A build's archive in an encoding, made when it is missing; `None` when there is
    /// no such build. Blocks while it compresses.
    pub fn archive(
        &self,
        env: &EnvName,
        build: &BuildId,
        encoding: Encoding,
    ) -> Result<Option<PathBuf>, StoreError> {
        let folder = self.build_dir(env, build);
        match encoding {
            Encoding::Identity => {
                let identity = folder.join(IDENTITY);
                Ok(exists(&identity)?.then_some(identity))
            }
            Encoding::Gzip => self.encoded(env, &folder, GZIP, gzip),
            Encoding::Zstd => self.encoded(env, &folder, ZSTD, zstd),
        }
    }

    /// The file with this name beside the identity archive, made by `encode` when
    /// missing. Several who ask at once wait for the one who makes it.
    pub(super) fn encoded(
        &self,
        env: &EnvName,
        folder: &Path,
        name: &str,
        encode: impl Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Option<PathBuf>, StoreError> {
        let (path, identity) = (folder.join(name), folder.join(IDENTITY));
        while !exists(&path)? {
            let turn = match lock_folder(folder, FlockArg::LockExclusive) {
                Ok(turn) => turn,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(source) => return Err(StoreError::io("lock", folder)(source)),
            };
            if exists(&path)? {
                break;
            }
            let bytes = match encode(&identity) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(source) => return Err(StoreError::io("compress", &identity)(source)),
            };
            let _lock = self.lock(env)?;
            // Meanwhile the build may have been removed and packed anew, with another
            // BUILD_INFO.txt: then these bytes are not its archive.
            if turn.metadata().is_ok_and(|mine| is(&mine, folder)) {
                write::replace(&path, 0o644, &bytes).map_err(StoreError::io("write", &path))?;
            }
        }
        Ok(Some(path))
    }

    /// Makes `archive.tar.gz` (if missing) and points `gateway-{env}.tar.gz` at it by
    /// rename. Returns path and size in bytes.
    pub fn make_current(
        &self,
        env: &EnvName,
        build: &BuildId,
    ) -> Result<(PathBuf, u64), StoreError> {
        let unknown = || StoreError::UnknownBuild {
            env: env.clone(),
            build: build.clone(),
        };
        let archive = self
            .archive(env, build, Encoding::Gzip)?
            .ok_or_else(unknown)?;
        let _lock = self.lock(env)?;
        let current = self.current_path(env);
        let found = std::fs::metadata(&archive).map_err(StoreError::io("read", &archive))?;
        if !same_file(&archive, &current) {
            point(&self.dir, &temporary(env), &archive, &current)
                .map_err(StoreError::io("write", &current))?;
        }
        Ok((current, found.len()))
    }

    /// The build whose archive is current.
    pub fn current(&self, env: &EnvName) -> Result<Option<BuildId>, StoreError> {
        let current = self.current_path(env);
        let builds = self.builds(env)?;
        Ok(builds
            .into_iter()
            .rev()
            .find(|build| same_file(&self.build_dir(env, build).join(GZIP), &current)))
    }
}

fn exists(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(StoreError::io("read", path))
}

fn gzip(identity: &Path) -> io::Result<Vec<u8>> {
    gzip::gzip(&std::fs::read(identity)?)
}

fn zstd(identity: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(identity)?;
    let size = file.metadata()?.len();
    let mut encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
    encoder.set_pledged_src_size(Some(size))?;
    encoder.include_checksum(true)?;
    io::copy(
        &mut io::BufReader::with_capacity(1 << 20, file),
        &mut encoder,
    )?;
    encoder.finish()
}

/// Replaces `current` by a second name of `archive`; by a copy where the file system
/// has no second names.
fn point(folder: &Path, prefix: &str, archive: &Path, current: &Path) -> io::Result<()> {
    let linked = tempfile::Builder::new()
        .prefix(prefix)
        .make_in(folder, |path| std::fs::hard_link(archive, path));
    match linked {
        Ok(temporary) => {
            temporary.into_temp_path().persist(current)?;
            write::sync(folder)
        }
        Err(_) => write::replace(current, 0o644, &std::fs::read(archive)?),
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    std::fs::metadata(one).is_ok_and(|one| is(&one, other))
}

/// Whether the path leads to this file or folder.
pub(super) fn is(one: &Metadata, path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.ino() == one.ino() && found.dev() == one.dev())
}
