//! Says what every gateway shall run: one signed, numbered statement each.
//!
//! ```text
//! asked + last statement ─▶ say (pure) ─▶ sign ─▶ store ─▶ history
//! ```
//!
//! Every call issues a new number, also where nothing else changes, so that a build that a gateway
//! refused is tried again; a gateway that runs what it is told does nothing. The number is written to
//! `envs/{env}/seq` before the first statement that carries it.

use std::fs;
use std::io;
use std::path::PathBuf;

use lockgate_builds::sign::{SignError, SigningKey};
use lockgate_builds::store::{Publication, Store, StoreError};
use lockgate_model::{AppSettings, BuildId, Digest, EnvName, GatewayName, KeyId, Statement};

use super::create::KEY;
use super::{Environment, EnvironmentError, Gateway};
use crate::home::{Home, durable};

/// What is published.
#[derive(Debug, Clone)]
pub(crate) struct Publish {
    /// The build to run.
    pub(crate) build: BuildId,
    /// How the application is started.
    pub(crate) settings: AppSettings,
    /// The gateways it is for, by number; `None` means all.
    pub(crate) gateways: Option<Vec<u32>>,
    /// Restart also where build and settings are unchanged.
    pub(crate) restart: bool,
    /// The line for the history, if it is one.
    pub(crate) publication: Option<Publication>,
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    /// The number of these statements; a gateway is done when its report's `settled` reaches it.
    pub(crate) seq: u64,
    /// The gateways it was said to, by number.
    pub(crate) gateways: Vec<Said>,
}

/// One gateway's statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// The gateway.
    pub(crate) gateway: GatewayName,
    /// Whether it asks for anything else than the statement before: build, settings, restart.
    pub(crate) changed: bool,
    /// Whether the gateway shall run (it is enabled).
    pub(crate) run: bool,
}

/// Why nothing, or not everything, was published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// The store does not have the build.
    #[error("environment `{env}` has no build `{build}`")]
    UnknownBuild {
        /// The environment.
        env: EnvName,
        /// The build.
        build: BuildId,
    },
    /// The environment, or a gateway of it, is not there.
    #[error("nothing was published")]
    Environment(#[from] EnvironmentError),
    /// The key cannot be read, or does not sign.
    #[error("the statements of environment `{env}` cannot be signed")]
    Sign {
        /// The environment.
        env: EnvName,
        /// The cause.
        source: SignError,
    },
    /// The store cannot be read or written.
    #[error("the statements of environment `{env}` cannot be stored")]
    Store {
        /// The environment.
        env: EnvName,
        /// The cause.
        source: StoreError,
    },
    /// The file with the last number, or its lock, cannot be used.
    #[error("`{path}` cannot be used")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file with the last number holds something else.
    #[error("`{path}` holds `{text}`, expected the number of the last statement")]
    Number {
        /// The file.
        path: PathBuf,
        /// What it holds.
        text: String,
    },
}

/// Signs and stores a statement for each gateway and appends the history's line.
///
/// The caller holds the `DeployLock` and calls `ControlClient::changed` afterwards.
pub(crate) fn publish(
    home: &Home,
    store: &Store,
    environment: &Environment,
    what: &Publish,
    now_ms: u64,
) -> Result<Published, PublishError> {
    let env = &environment.name;
    let wrap = |source| unstored(env, source);
    let manifest = store.manifest(env, &what.build).map_err(wrap)?;
    let (_, manifest) = manifest.ok_or_else(|| PublishError::UnknownBuild {
        env: env.clone(),
        build: what.build.clone(),
    })?;
    let asked = Asked::Run {
        build: &what.build,
        manifest: &manifest,
        settings: &what.settings,
        restart: what.restart,
    };
    let gateways = selected(environment, what.gateways.as_deref())?;
    let published = Publisher::open(home, store, environment)?.say(&gateways, &asked, now_ms)?;
    if let Some(line) = &what.publication {
        store.publish(env, line).map_err(wrap)?;
    }
    Ok(published)
}

/// Restarts one gateway or all with what they already run. Those that were never told anything are left out.
///
/// The caller holds the `DeployLock` and calls `ControlClient::changed` afterwards.
pub(crate) fn restart(
    home: &Home,
    store: &Store,
    environment: &Environment,
    gateways: Option<&[u32]>,
    now_ms: u64,
) -> Result<Published, PublishError> {
    let gateways = selected(environment, gateways)?;
    Publisher::open(home, store, environment)?.say(&gateways, &Asked::Again, now_ms)
}

fn selected<'e>(
    environment: &'e Environment,
    numbers: Option<&[u32]>,
) -> Result<Vec<&'e Gateway>, EnvironmentError> {
    match numbers {
        None => Ok(environment.gateways.iter().collect()),
        Some(numbers) => numbers
            .iter()
            .map(|number| environment.gateway(*number))
            .collect(),
    }
}

/// What is asked of a gateway.
enum Asked<'a> {
    /// This build with these settings.
    Run {
        build: &'a BuildId,
        manifest: &'a Digest,
        settings: &'a AppSettings,
        restart: bool,
    },
    /// What it was told last, with a restart.
    Again,
}

/// What all statements of one publication share.
struct Stamp<'a> {
    key_id: &'a KeyId,
    seq: u64,
    now_ms: u64,
}

/// The statement that follows `last`; `None` when there is nothing to say again.
fn say(
    environment: &Environment,
    gateway: &Gateway,
    asked: &Asked<'_>,
    stamp: &Stamp<'_>,
    last: Option<&Statement>,
) -> Option<Statement> {
    let (build, manifest, settings, restart) = match (asked, last) {
        (
            Asked::Run {
                build,
                manifest,
                settings,
                restart,
            },
            _,
        ) => (*build, *manifest, *settings, *restart),
        (Asked::Again, Some(last)) => (&last.build, &last.manifest, &last.settings, true),
        (Asked::Again, None) => return None,
    };
    let previous = match last {
        Some(last) if last.build == *build => last.previous.clone(),
        Some(last) => Some(last.build.clone()),
        None => None,
    };
    Some(Statement {
        env: environment.name.clone(),
        gateway: environment.gateway_name(gateway),
        build: build.clone(),
        manifest: manifest.clone(),
        run: true,
        restart: last.map_or(0, |last| last.restart) + u64::from(restart),
        organization: last.and_then(|last| last.organization.clone()),
        settings: settings.clone(),
        previous,
        key_id: stamp.key_id.clone(),
        seq: stamp.seq,
        issued_at: stamp.now_ms,
    })
}

/// Whether a gateway that runs `last` has anything to do.
fn differs(next: &Statement, last: Option<&Statement>) -> bool {
    let asks = |one: &Statement| Statement {
        previous: None,
        seq: 0,
        issued_at: 0,
        ..one.clone()
    };
    last.is_none_or(|last| asks(last) != asks(next))
}

/// One environment's key, numbers and statements, held by one process at a time.
struct Publisher<'a> {
    store: &'a Store,
    environment: &'a Environment,
    key: SigningKey,
    seq_path: PathBuf,
    _lock: fs::File,
}

impl<'a> Publisher<'a> {
    fn open(
        home: &Home,
        store: &'a Store,
        environment: &'a Environment,
    ) -> Result<Self, PublishError> {
        let folder = home.env_dir(&environment.name);
        let path = folder.join("publish.lock");
        let lock = durable::lock(&path).map_err(|source| PublishError::File { path, source })?;
        let key = SigningKey::load(&folder.join(KEY)).map_err(|source| PublishError::Sign {
            env: environment.name.clone(),
            source,
        })?;
        Ok(Self {
            store,
            environment,
            key,
            seq_path: folder.join("seq"),
            _lock: lock,
        })
    }

    fn say(
        &self,
        gateways: &[&Gateway],
        asked: &Asked<'_>,
        now_ms: u64,
    ) -> Result<Published, PublishError> {
        let env = &self.environment.name;
        let mut last = Vec::new();
        for gateway in gateways {
            let name = self.environment.gateway_name(gateway);
            last.push((*gateway, self.last(&name)?));
        }
        let newest = last.iter().filter_map(|(_, last)| Some(last.as_ref()?.seq));
        let newest = newest.max().unwrap_or(0).max(self.last_number()?);
        let stamp = Stamp {
            key_id: &self.key.public().id(),
            seq: Statement::next_seq(newest, now_ms),
            now_ms,
        };
        durable::write(&self.seq_path, stamp.seq.to_string().as_bytes())
            .map_err(|source| self.file(source))?;

        let mut said = Vec::new();
        for (gateway, last) in &last {
            let Some(next) = say(self.environment, gateway, asked, &stamp, last.as_ref()) else {
                continue;
            };
            let signed = self.key.sign(&next).map_err(|source| PublishError::Sign {
                env: env.clone(),
                source,
            })?;
            self.store
                .put_statement(&next.gateway, next.seq, &signed)
                .map_err(|source| unstored(env, source))?;
            tracing::info!(gateway = %next.gateway, build = %next.build, seq = next.seq, "statement published");
            said.push(Said {
                changed: differs(&next, last.as_ref()),
                run: gateway.enabled,
                gateway: next.gateway,
            });
        }
        Ok(Published {
            seq: stamp.seq,
            gateways: said,
        })
    }

    /// What a gateway was told last by this environment's key.
    fn last(&self, gateway: &GatewayName) -> Result<Option<Statement>, PublishError> {
        let stored = self
            .store
            .statement(gateway)
            .map_err(|source| unstored(&self.environment.name, source))?;
        let Some((_, signed)) = stored else {
            return Ok(None);
        };
        match self.key.public().open(&signed) {
            Ok(statement) => Ok(Some(statement)),
            // It is no gateway's business any more: the next statement takes its place.
            Err(error) => {
                tracing::warn!(%gateway, %error, "stored statement is not of this key");
                Ok(None)
            }
        }
    }

    fn last_number(&self) -> Result<u64, PublishError> {
        let text = match fs::read_to_string(&self.seq_path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(source) => return Err(self.file(source)),
        };
        text.trim().parse().map_err(|_| PublishError::Number {
            path: self.seq_path.clone(),
            text,
        })
    }

    fn file(&self, source: io::Error) -> PublishError {
        PublishError::File {
            path: self.seq_path.clone(),
            source,
        }
    }
}

fn unstored(env: &EnvName, source: StoreError) -> PublishError {
    PublishError::Store {
        env: env.clone(),
        source,
    }
}

#[cfg(test)]
mod tests;
