//! stub
#![allow(missing_docs, reason = "stub")]
use std::path::PathBuf;
use lockgate_model::{Digest, EnvName, Manifest};
use crate::store::Store;

/// What is packed from where: `from` (file or folder below `workspace`) lands at `to` below `gateway/`.
#[derive(Debug, Clone)]
pub struct PackSource { pub env: EnvName, pub workspace: PathBuf, pub parts: Vec<Part> }
#[derive(Debug, Clone)]
pub struct Part { pub from: PathBuf, pub to: String, pub required: bool }

/// Where a build came from. The caller gathers it (git, node --version); pack writes it into BUILD_INFO.txt.
#[derive(Debug, Clone)]
pub struct Provenance { pub built_at: std::time::SystemTime, pub commit: Option<String>, pub branch: Option<String>, pub dirty: Option<bool>, pub node_version: Option<String>, pub tool: String }

#[derive(Debug, Clone)]
pub struct Packed {
    pub manifest: Manifest,
    pub manifest_digest: Digest,
    /// False when the store already held this build.
    pub new: bool,
    /// Files left out, with the rule: `.env` (environment file).
    pub left_out: Vec<LeftOut>,
}
#[derive(Debug, Clone)]
pub struct LeftOut { pub path: PathBuf, pub why: &'static str }

#[derive(Debug, thiserror::Error)]
pub enum PackError { #[error("stub")] Stub }

/// Reads, names, archives and stores a build. `validated` is called once all files are read and may
/// run on another thread meanwhile; see the plan. BUILD_INFO's `Validated:` line takes its answer.
pub fn pack(_source: &PackSource, _provenance: &Provenance, _validated: bool, _store: &Store) -> Result<Packed, PackError> { todo!() }
