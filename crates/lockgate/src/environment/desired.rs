//! What the gateways of an environment shall run: one build for all that are not pinned.
//!
//! Statements say what each gateway was told; this says what the environment as a whole was
//! told, and whether a publication is on its way through the gateways. A gateway that joins,
//! or is not pinned any more, gets this build.

use std::path::PathBuf;

use lockgate_model::{AppSettings, BuildId, EnvName};
use serde::{Deserialize, Serialize};

use super::EnvironmentError;
use crate::deploy::strategy::DeployStrategy;
use crate::home::{Home, durable};

/// An environment's build, and one that has not reached all gateways.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Desired {
    /// What was published to every gateway last.
    pub(crate) whole: Option<Whole>,
    /// What is being published, or was and did not come to its end.
    pub(crate) begun: Option<Begun>,
}

/// A build that was published to every gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Whole {
    /// The build.
    pub(crate) build: BuildId,
    /// How the application is started.
    pub(crate) settings: AppSettings,
}

/// A publication that has not reached every gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// The build.
    pub(crate) build: BuildId,
    /// The number that its statements share.
    pub(crate) seq: u64,
    /// In which order gateways get it.
    pub(crate) strategy: DeployStrategy,
    /// When it began, UNIX milliseconds.
    pub(crate) at: u64,
    /// Who began it: `user@host`.
    pub(crate) by: String,
}

impl Desired {
    /// Reads the environment's file; an environment without one has no build yet.
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

    /// All builds it names; none of them may be removed.
    pub(crate) fn builds(&self) -> impl Iterator<Item = &BuildId> {
        let whole = self.whole.iter().map(|whole| &whole.build);
        whole.chain(self.begun.iter().map(|begun| &begun.build))
    }
}

/// Beside env.toml. Settings hold the application's variables, so it is readable by its owner alone.
fn file(home: &Home, env: &EnvName) -> PathBuf {
    home.env_dir(env).join("desired.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests;

    #[test]
    fn what_is_saved_is_loaded_and_a_broken_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let home = tests::home(folder.path());
        let env = EnvName::parse("dev-001").unwrap();
        std::fs::create_dir(home.env_dir(&env)).unwrap();
        assert_eq!(Desired::load(&home, &env).unwrap(), Desired::default());
        let build = |digit: &str| BuildId::parse(&digit.repeat(12)).unwrap();
        let desired = Desired {
            whole: Some(Whole {
                build: build("a"),
                settings: AppSettings::default(),
            }),
            begun: Some(Begun {
                build: build("b"),
                seq: 7,
                strategy: DeployStrategy::Canary,
                at: 5,
                by: "ada@box".to_owned(),
            }),
        };
        desired.save(&home, &env).unwrap();
        assert_eq!(Desired::load(&home, &env).unwrap(), desired);
        let named: Vec<_> = desired.builds().cloned().collect();
        assert_eq!(named, [build("a"), build("b")]);

        std::fs::write(file(&home, &env), "{").unwrap();
        let error = Desired::load(&home, &env).unwrap_err().to_string();
        assert!(error.contains("dev-001/desired.json"), "{error}");
    }
}
