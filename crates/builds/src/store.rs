//! Keeps an environment's builds, history, statements and gateways' token digests.
//!
//! ```text
//! gateway-{env}.tar.gz                     the current archive, replaced by rename
//! {env}/builds/{build}/manifest.json       its SHA-256 is the manifest digest
//! {env}/builds/{build}/archive.tar         identity; .gz and .zst beside it, made when asked
//! {env}/publications.jsonl                 what was published when, oldest first
//! {env}/gateways/{name}.json               the digest of a gateway's token
//! {env}/statements/{name}.json             what a gateway shall run, signed
//! .{env}.lock                              held while an environment is written
//! ```
//!
//! A build appears and disappears by one rename, so (environment, build) is all or
//! nothing and never changes. Every other file is replaced whole. Readers take no
//! lock; writers of one environment take turns.
//!
//! Left out on purpose: keys and tokens. The build server may open this folder.

mod archives;
mod builds;
mod gateways;
mod gzip;
mod lock;
mod publications;
mod sweep;
pub(crate) mod write;

use std::io;
use std::path::{Path, PathBuf};

use lockgate_model::{BuildId, EnvName, GatewayName};

pub use archives::Encoding;
pub(crate) use builds::Draft;
pub use publications::Publication;

/// A folder of builds, statements and gateways' token digests. Holds no key and no token.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

/// Why the store could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {act} `{path}`")]
    Io {
        /// What was tried: `read`, `write`.
        act: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what the store wrote.
    #[error("`{path}` is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The environment has no such build.
    #[error("environment `{env}` has no build `{build}`")]
    UnknownBuild {
        /// The environment.
        env: EnvName,
        /// The build that was asked for.
        build: BuildId,
    },
    /// A statement with this or a higher number is already there.
    #[error("gateway `{gateway}` already has statement {held}, so {seq} is not newer")]
    NotNewer {
        /// The gateway.
        gateway: GatewayName,
        /// The number that was refused.
        seq: u64,
        /// The number the store holds.
        held: u64,
    },
}

impl StoreError {
    /// For `map_err`: names the act and the path of a failed system call.
    fn io(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            act,
            path: path.to_owned(),
            source,
        }
    }
}

impl Store {
    /// Opens the folder, making it when it is missing.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let dir = std::path::absolute(dir).map_err(StoreError::io("resolve", dir))?;
        std::fs::create_dir_all(&dir).map_err(StoreError::io("create", &dir))?;
        Ok(Self { dir })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where an environment's current archive lies, whether or not there is one.
    pub fn current_path(&self, env: &EnvName) -> PathBuf {
        self.dir.join(format!("gateway-{env}.tar.gz"))
    }

    /// Removes everything of an environment. One that is not there is no error.
    pub fn remove_env(&self, env: &EnvName) -> Result<(), StoreError> {
        let lock = self.lock(env)?;
        self.sweep(env)?;
        let current = self.current_path(env);
        write::remove_file(&current).map_err(StoreError::io("remove", &current))?;
        self.remove_folder(env, &self.env_dir(env))?;
        lock.remove()
    }

    /// Removes a folder of an environment, under the environment's lock.
    fn remove_folder(&self, env: &EnvName, folder: &Path) -> Result<(), StoreError> {
        write::remove_folder(folder, &self.dir, &temporary(env))
            .map_err(StoreError::io("remove", folder))
    }

    fn env_dir(&self, env: &EnvName) -> PathBuf {
        self.dir.join(env.as_str())
    }

    fn builds_dir(&self, env: &EnvName) -> PathBuf {
        self.env_dir(env).join("builds")
    }

    fn build_dir(&self, env: &EnvName, build: &BuildId) -> PathBuf {
        self.builds_dir(env).join(build.as_str())
    }
}

/// How names of an environment begin that are only there while its lock is held; no
/// environment's name has a dot.
fn temporary(env: &EnvName) -> String {
    format!("{}{env}.", write::TEMPORARY)
}

/// Reads a file; `None` when it is not there.
fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::io("read", path)(source)),
    }
}

/// Reads a JSON file of the store; `None` when it is not there.
fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let Some(bytes) = read_if_present(path)? else {
        return Ok(None);
    };
    let value = serde_json::from_slice(&bytes).map_err(|error| StoreError::Damaged {
        path: path.to_owned(),
        why: error.to_string(),
    })?;
    Ok(Some(value))
}

/// Replaces a JSON file of the store.
fn write_json<T: serde::Serialize>(path: &Path, mode: u32, value: &T) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(value)
        .map_err(io::Error::from)
        .map_err(StoreError::io("write", path))?;
    write::replace(path, mode, &bytes).map_err(StoreError::io("write", path))
}

#[cfg(test)]
mod tests;
