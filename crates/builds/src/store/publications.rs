//! An environment's history: one line of JSON a publication.

use lockgate_model::{BuildId, EnvName};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, read_if_present, write};

/// The history forgets what came before its newest thousand lines.
const KEPT: usize = 1000;

/// One line of an environment's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Publication {
    /// The build.
    pub build: BuildId,
    /// When, UNIX milliseconds.
    pub at: u64,
    /// The workspace's commit.
    pub commit: Option<String>,
    /// The workspace's branch.
    pub branch: Option<String>,
    /// Whether the workspace had changes that were not committed.
    pub dirty: Option<bool>,
    /// Who: `user@host`.
    pub by: String,
    /// Whether the bundles were validated.
    pub validated: bool,
    /// What was done: `deploy`, `rollback`.
    pub action: String,
}

impl Store {
    /// Adds a line to the environment's history. The build must be there.
    pub fn publish(&self, env: &EnvName, publication: &Publication) -> Result<(), StoreError> {
        let _lock = self.lock(env)?;
        if self.manifest(env, &publication.build)?.is_none() {
            return Err(StoreError::UnknownBuild {
                env: env.clone(),
                build: publication.build.clone(),
            });
        }
        let mut history = self.publications(env)?;
        history.push(publication.clone());
        let from = history.len().saturating_sub(KEPT);
        let path = self.history_path(env);
        let mut text = Vec::new();
        for line in history.iter().skip(from) {
            serde_json::to_writer(&mut text, line)
                .map_err(std::io::Error::from)
                .map_err(StoreError::io("write", &path))?;
            text.push(b'\n');
        }
        write::replace(&path, 0o644, &text).map_err(StoreError::io("write", &path))
    }

    /// The environment's history, oldest first.
    pub fn publications(&self, env: &EnvName) -> Result<Vec<Publication>, StoreError> {
        let path = self.history_path(env);
        let text = read_if_present(&path)?.unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n').enumerate();
        lines
            .filter(|(_, line)| !line.is_empty())
            .map(|(index, line)| {
                serde_json::from_slice(line).map_err(|error| StoreError::Damaged {
                    path: path.clone(),
                    why: format!("line {}: {error}", index + 1),
                })
            })
            .collect()
    }

    fn history_path(&self, env: &EnvName) -> std::path::PathBuf {
        self.env_dir(env).join("publications.jsonl")
    }
}
