//! The application's variables that the host keeps: `lockgate set`. For the environment as a
//! whole and for single gateways, whose own go first.
//!
//! They lie in `envs/{env}/variables.json` (0600) and travel in each gateway's statement, which
//! only its own token opens; they are never part of a build. Nothing here shows a value: a
//! variable is known by its name and by a digest that tells whether it changed, salted per
//! environment so that equal values of two environments cannot be told to be equal.

mod names;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use lockgate_model::{Digest, EnvName, GatewayName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub(crate) use self::names::{NameError, check_name, remark};
use crate::home::{Home, durable};

/// How many hex digits of a digest are shown: enough to see a change, too few to guess by.
const SHOWN_DIGITS: usize = 8;

/// The longest `NAME=value` that the kernel passes to a process: 128 KiB with the closing zero.
const LONGEST: usize = 128 * 1024 - 1;

/// The variables of an environment. They are secrets, so this has no `Debug`.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Variables {
    /// Random text, made with the first variable.
    salt: String,
    /// Those of every gateway.
    all: BTreeMap<String, String>,
    /// Those of single gateways, by number.
    gateways: BTreeMap<u32, BTreeMap<String, String>>,
}

/// Why variables cannot be read, written or taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VariablesError {
    /// The file cannot be read or written.
    #[error("`{path}` cannot be read or written")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The system gives no random bytes.
    #[error("no random bytes for a salt")]
    Random(#[source] getrandom::Error),
    /// The name cannot be one of these variables'.
    #[error("`{name}` cannot be set")]
    Name {
        /// The name.
        name: String,
        /// Why.
        source: NameError,
    },
    /// The value cannot be that of a variable.
    #[error("the value of `{name}` cannot be used: {why}")]
    Value {
        /// The name.
        name: String,
        /// Why.
        why: String,
    },
}

/// A variable as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Shown {
    /// Its name.
    pub(crate) name: String,
    /// The first digits of the salted digest of its value.
    pub(crate) digest: String,
    /// The gateway whose own it is; `None` where it is every gateway's.
    pub(crate) gateway: Option<GatewayName>,
}

/// A change of one variable.
pub(crate) enum Change {
    /// It gets this value.
    Set(String, String),
    /// It is not set any more.
    Unset(String),
}

impl Variables {
    /// Reads the environment's file; an environment without one has none.
    pub(crate) fn load(home: &Home, env: &EnvName) -> Result<Self, VariablesError> {
        let path = file(home, env);
        let read =
            durable::read_json(&path).map_err(|source| VariablesError::File { path, source })?;
        Ok(read.unwrap_or_default())
    }

    /// Writes the file, whole or not at all. The caller holds the `DeployLock`.
    pub(crate) fn save(&mut self, home: &Home, env: &EnvName) -> Result<(), VariablesError> {
        if self.salt.is_empty() {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(VariablesError::Random)?;
            Digest::from_bytes(bytes).hex().clone_into(&mut self.salt);
        }
        let path = file(home, env);
        durable::write_json(&path, self).map_err(|source| VariablesError::File { path, source })
    }

    /// All variables of a gateway, its own over those of every gateway.
    pub(crate) fn of(&self, number: u32) -> BTreeMap<String, String> {
        let mut all = self.all.clone();
        if let Some(own) = self.gateways.get(&number) {
            all.extend(own.clone());
        }
        all
    }

    /// Makes the changes for these gateways, or for every one where none is named. Returns
    /// the names that were to be taken away and were not there.
    pub(crate) fn change(&mut self, gateways: Option<&[u32]>, changes: &[Change]) -> Vec<String> {
        let mut missing = Vec::new();
        for change in changes {
            let mut there = false;
            match gateways {
                None => there = apply(&mut self.all, change),
                Some(numbers) => {
                    for number in numbers {
                        there |= apply(self.gateways.entry(*number).or_default(), change);
                    }
                }
            }
            if let (Change::Unset(name), false) = (change, there) {
                missing.push(name.clone());
            }
        }
        self.gateways.retain(|_, own| !own.is_empty());
        missing
    }

    /// Forgets what was set for a gateway that is gone. Whether there was anything.
    pub(crate) fn forget(&mut self, number: u32) -> bool {
        self.gateways.remove(&number).is_some()
    }

    /// All of them by name, those of every gateway first.
    pub(crate) fn shown(&self, env: &EnvName) -> Vec<Shown> {
        let shown = |gateway: Option<GatewayName>| {
            move |(name, value): (&String, &String)| Shown {
                name: name.clone(),
                digest: self.digest(value),
                gateway: gateway.clone(),
            }
        };
        let mut all: Vec<Shown> = self.all.iter().map(shown(None)).collect();
        for (number, own) in &self.gateways {
            let gateway = GatewayName::new(env, *number);
            all.extend(own.iter().map(shown(Some(gateway))));
        }
        all
    }

    fn digest(&self, value: &str) -> String {
        let mut digest = Sha256::new();
        digest.update(self.salt.as_bytes());
        digest.update(value.as_bytes());
        let digest = Digest::from_bytes(digest.finalize().into());
        digest.hex().chars().take(SHOWN_DIGITS).collect()
    }
}

/// Whether the variable was there.
fn apply(variables: &mut BTreeMap<String, String>, change: &Change) -> bool {
    match change {
        Change::Set(name, value) => variables.insert(name.clone(), value.clone()).is_some(),
        Change::Unset(name) => variables.remove(name).is_some(),
    }
}

/// Whether this can be a variable; the value is not part of the message.
pub(crate) fn check(name: &str, value: &str) -> Result<(), VariablesError> {
    check_name(name).map_err(|source| VariablesError::Name {
        name: name.to_owned(),
        source,
    })?;
    let why = if value.contains('\0') {
        "it holds a zero byte, and no program can be given one".to_owned()
    } else if name.len() + 1 + value.len() > LONGEST {
        format!("with its name it is longer than {LONGEST} bytes, more than a program can be given")
    } else {
        return Ok(());
    };
    Err(VariablesError::Value {
        name: name.to_owned(),
        why,
    })
}

fn file(home: &Home, env: &EnvName) -> PathBuf {
    home.env_dir(env).join("variables.json")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::environment::tests;

    fn set(name: &str, value: &str) -> Change {
        Change::Set(name.to_owned(), value.to_owned())
    }

    fn unset(name: &str) -> Change {
        Change::Unset(name.to_owned())
    }

    fn of(variables: &Variables, number: u32) -> String {
        let all = variables.of(number);
        let all: Vec<String> = all.iter().map(|(n, v)| format!("{n}={v}")).collect();
        all.join(" ")
    }

    #[test]
    fn a_gateways_own_variable_goes_before_that_of_all() {
        let mut variables = Variables::default();
        variables.change(None, &[set("A", "1"), set("B", "1")]);
        variables.change(Some(&[1, 2]), &[set("A", "2")]);
        assert_eq!(of(&variables, 0), "A=1 B=1");
        assert_eq!(of(&variables, 1), "A=2 B=1");

        // What is taken away uncovers what is below it.
        assert!(variables.change(Some(&[1]), &[unset("A")]).is_empty());
        assert_eq!(of(&variables, 1), "A=1 B=1");
        assert_eq!(of(&variables, 2), "A=2 B=1");
        assert_eq!(variables.change(Some(&[0, 1]), &[unset("A")]), ["A"]);
        assert_eq!(variables.change(None, &[unset("C"), unset("B")]), ["C"]);
        assert_eq!(of(&variables, 0), "A=1");
        assert!(variables.forget(2) && !variables.forget(2));
    }

    #[test]
    fn variables_are_shown_by_name_and_digest_alone() {
        let env = EnvName::parse("dev-001").unwrap();
        let mut variables = Variables {
            salt: "salt".to_owned(),
            ..Variables::default()
        };
        variables.change(None, &[set("SECRET", "hunter2")]);
        variables.change(Some(&[1]), &[set("SECRET", "hunter2"), set("A", "")]);
        let shown = |name: &str, digest: &str, gateway: Option<u32>| Shown {
            name: name.to_owned(),
            digest: digest.to_owned(),
            gateway: gateway.map(|number| GatewayName::new(&env, number)),
        };
        // printf salthunter2 | sha256sum, printf salt | sha256sum
        assert_eq!(
            variables.shown(&env),
            [
                shown("SECRET", "6efb3088", None),
                shown("A", "63479ad6", Some(1)),
                shown("SECRET", "6efb3088", Some(1)),
            ]
        );
    }

    #[test]
    fn they_are_kept_private_with_a_salt_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let home = tests::home(folder.path());
        let mut salts = Vec::new();
        for name in ["dev-001", "dev-002"] {
            let env = EnvName::parse(name).unwrap();
            std::fs::create_dir(home.env_dir(&env)).unwrap();
            let mut variables = Variables::load(&home, &env).unwrap();
            variables.change(None, &[set("A", "1")]);
            variables.change(Some(&[10]), &[set("B", "2")]);
            variables.save(&home, &env).unwrap();
            let mode = std::fs::metadata(file(&home, &env)).unwrap().permissions();
            assert_eq!(mode.mode() & 0o777, 0o600);
            let mut read = Variables::load(&home, &env).unwrap();
            assert_eq!(of(&read, 10), "A=1 B=2");
            let salt = read.salt.clone();
            read.save(&home, &env).unwrap();
            assert_eq!(Variables::load(&home, &env).unwrap().salt, salt);
            salts.push(salt);
        }
        assert_ne!(salts[0], salts[1]);
    }

    #[test]
    fn what_no_program_can_be_given_is_refused_without_being_shown() {
        check("A", &"x".repeat(LONGEST - 2)).unwrap();
        for value in ["secret\0".to_owned(), "secret".repeat(30_000)] {
            let error = check("A", &value).unwrap_err().to_string();
            assert!(
                error.starts_with("the value of `A` cannot be used: "),
                "{error}"
            );
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(check("GATEWAY_ID", "x").is_err());
    }
}
