//! stub
#![allow(missing_docs, reason = "stub")]
use std::path::{Path, PathBuf};
use lockgate_model::{BuildId, Digest, EnvName, GatewayName, Manifest, SignedStatement};

/// A folder of builds, statements and gateways' token digests. Holds no key and no token.
#[derive(Debug, Clone)]
pub struct Store { _dir: PathBuf }

#[derive(Debug, thiserror::Error)]
pub enum StoreError { #[error("stub")] Stub }

/// One line of an environment's history.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Publication { pub build: BuildId, /** UNIX ms */ pub at: u64, pub commit: Option<String>, pub branch: Option<String>, pub dirty: Option<bool>, /** user@host */ pub by: String, pub validated: bool, /** `deploy`, `rollback` */ pub action: String }

impl Store {
    /// Opens the folder, making it when it is missing.
    pub fn open(_dir: &Path) -> Result<Self, StoreError> { todo!() }
    pub fn dir(&self) -> &Path { todo!() }
    // builds
    pub fn builds(&self, _env: &EnvName) -> Result<Vec<BuildId>, StoreError> { todo!() }
    pub fn manifest(&self, _env: &EnvName, _build: &BuildId) -> Result<Option<(Manifest, Digest)>, StoreError> { todo!() }
    /// The text of a build's BUILD_INFO.txt.
    pub fn build_info(&self, _env: &EnvName, _build: &BuildId) -> Result<String, StoreError> { todo!() }
    /// Makes `archive.tar.gz` (if missing) and points `gateway-{env}.tar.gz` at it by rename. Returns path and size in bytes.
    pub fn make_current(&self, _env: &EnvName, _build: &BuildId) -> Result<(PathBuf, u64), StoreError> { todo!() }
    // publications
    pub fn publish(&self, _env: &EnvName, _publication: &Publication) -> Result<(), StoreError> { todo!() }
    /// Oldest first.
    pub fn publications(&self, _env: &EnvName) -> Result<Vec<Publication>, StoreError> { todo!() }
    // gateways
    pub fn admit(&self, _gateway: &GatewayName, _token: &Digest) -> Result<(), StoreError> { todo!() }
    pub fn token_digest(&self, _gateway: &GatewayName) -> Result<Option<Digest>, StoreError> { todo!() }
    pub fn dismiss(&self, _gateway: &GatewayName) -> Result<(), StoreError> { todo!() }
    pub fn put_statement(&self, _gateway: &GatewayName, _seq: u64, _signed: &SignedStatement) -> Result<(), StoreError> { todo!() }
    pub fn statement(&self, _gateway: &GatewayName) -> Result<Option<(u64, SignedStatement)>, StoreError> { todo!() }
    /// Removes everything of an environment.
    pub fn remove_env(&self, _env: &EnvName) -> Result<(), StoreError> { todo!() }
}
