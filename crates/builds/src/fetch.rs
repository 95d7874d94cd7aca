//! stub
#![allow(missing_docs, reason = "stub")]
use std::path::{Path, PathBuf};
use std::time::Duration;
use lockgate_model::{BuildId, GatewayName, Report, SignedStatement, Statement};
use crate::client::Client;
use crate::sign::PublicKey;

#[derive(Debug, thiserror::Error)]
pub enum FetchError { #[error("stub")] Stub }

/// The blocking query: `None` when nothing differs from `after` within `wait`.
/// The signature is verified, env and gateway are compared; seq and key are the caller's to judge.
pub async fn desired(_client: &Client, _key: &PublicKey, _gateway: &GatewayName, _after: u64, _wait: Duration) -> Result<Option<(Statement, SignedStatement)>, FetchError> { todo!() }
pub async fn put_report(_client: &Client, _report: &Report) -> Result<(), FetchError> { todo!() }

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step { Fetching, Verifying }
#[derive(Debug, Clone)]
pub struct Fetched { pub release: PathBuf, pub fetch: Duration, pub verify: Duration }

/// Brings the statement's build to `releases/{build}`: manifest (digest compared with the statement), archive into a fresh
/// hidden folder beside it, exactly the manifest's files, verified, fsynced, renamed. `on_step` is told where it is.
/// Nothing is removed before that.
pub async fn fetch_release(_client: &Client, _statement: &Statement, _releases: &Path, _on_step: &(dyn Fn(Step) + Send + Sync)) -> Result<Fetched, FetchError> { todo!() }
/// Whether `releases/{build}` is a whole release of this build (the manifest beside it has this digest).
pub fn release_present(_statement: &Statement, _releases: &Path) -> bool { todo!() }
/// Removes all but the newest `keep` releases, never those in `in_use`. Returns what was removed.
pub fn collect_releases(_releases: &Path, _keep: usize, _in_use: &[BuildId]) -> Result<Vec<BuildId>, FetchError> { todo!() }
