//! What is kept of the gateways as they were: which container stood in a gateway's place, and how it
//! was started. Written before anything is done to it, so that the way back is known however the
//! way there ends.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lockgate_model::EnvName;
use serde::{Deserialize, Serialize};

use crate::environment::EnvironmentError;
use crate::home::{Home, durable};
use crate::runtime::docker::found::Restart;

/// A container that stood in a gateway's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Its id.
    pub(crate) id: String,
    /// The image it was made from.
    pub(crate) image: String,
    /// When the engine started it again by itself.
    pub(crate) restart: Restart,
    /// Whether it ran.
    pub(crate) running: bool,
    /// Since when it is put aside, UNIX milliseconds.
    pub(crate) since: u64,
}

/// Those of an environment, by the gateway's number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AllKept(BTreeMap<u32, Kept>);

impl AllKept {
    /// Reads the environment's file; an environment without one keeps none.
    pub(crate) fn load(home: &Home, env: &EnvName) -> Result<Self, EnvironmentError> {
        let path = file(home, env);
        let read =
            durable::read_json(&path).map_err(|source| EnvironmentError::File { path, source })?;
        Ok(read.unwrap_or_default())
    }

    /// Writes the file, whole or not at all. The caller holds the `DeployLock`.
    pub(crate) fn save(&self, home: &Home, env: &EnvName) -> Result<(), EnvironmentError> {
        let path = file(home, env);
        durable::write_json(&path, self).map_err(|source| EnvironmentError::File { path, source })
    }

    /// The one of a gateway.
    pub(crate) fn of(&self, number: u32) -> Option<&Kept> {
        self.0.get(&number)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Kept)> {
        self.0.iter().map(|(number, kept)| (*number, kept))
    }

    /// Keeps one for a gateway.
    pub(crate) fn keep(&mut self, number: u32, kept: Kept) {
        self.0.insert(number, kept);
    }

    /// Keeps it no more.
    pub(crate) fn forget(&mut self, number: u32) {
        self.0.remove(&number);
    }
}

/// Beside env.toml.
fn file(home: &Home, env: &EnvName) -> PathBuf {
    home.env_dir(env).join("kept.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests;

    #[test]
    fn what_is_kept_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let home = tests::home(folder.path());
        let env = EnvName::parse("dev-001").unwrap();
        std::fs::create_dir(home.env_dir(&env)).unwrap();
        let mut all = AllKept::load(&home, &env).unwrap();
        assert_eq!(all, AllKept::default());
        let kept = Kept {
            id: "abc".into(),
            image: "seed:1".into(),
            restart: Restart {
                policy: "on-failure".into(),
                retries: Some(3),
            },
            running: true,
            since: 5,
        };
        all.keep(2, kept.clone());
        all.save(&home, &env).unwrap();
        let mut read = AllKept::load(&home, &env).unwrap();
        assert_eq!(read.of(2), Some(&kept));
        assert_eq!(read.iter().count(), 1);
        read.forget(2);
        assert_eq!(read, AllKept::default());

        std::fs::write(file(&home, &env), "[").unwrap();
        let error = AllKept::load(&home, &env).unwrap_err().to_string();
        assert!(error.contains("dev-001/kept.json"), "{error}");
    }
}
