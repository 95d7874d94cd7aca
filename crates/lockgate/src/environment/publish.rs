//! Says what every gateway shall run: one signed, numbered statement each.
//!
//! ```text
//! number ─▶ what + last statement ─▶ say (pure) ─▶ sign ─▶ store
//!              ▲─── next stage, same number ───────────────┘
//! ```
//!
//! Every publication has a new number, also where nothing else changes, so that a build that a gateway
//! refused is tried again; a gateway that runs what it is told does nothing. The number is written to
//! `envs/{env}/seq` before the first statement that carries it.
//!
//! What a statement says of the application's variables is the settings that a workspace gave, and
//! over them what the host knows of this gateway alone (`own`).

mod own;

use std::fs;
use std::io;
use std::path::PathBuf;

use lockgate_builds::sign::{SignError, SigningKey};
use lockgate_builds::store::{Store, StoreError};
use lockgate_model::{AppSettings, BuildId, Digest, EnvName, GatewayName, KeyId, Statement};

use self::own::{Own, OwnError};
use super::create::KEY;
use super::{Environment, EnvironmentError, Gateway};
use crate::home::{Home, durable};

/// What is said to gateways.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// Run this.
    Run {
        /// The build to run.
        build: BuildId,
        /// How the application is started.
        settings: Box<AppSettings>,
        /// Restart also where build and settings are unchanged.
        restart: bool,
    },
    /// Restart with what was said last. A gateway that was never told anything is left out.
    Again,
    /// What was said last, with the host's variables of today. Who was never told anything is left out.
    Variables,
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    /// The number of these statements; a gateway is done when its report's `settled` reaches it.
    pub(crate) seq: u64,
    /// The gateways it was said to.
    pub(crate) gateways: Vec<Said>,
    /// Those of them whose `GATEWAY_TOKEN` was made anew.
    pub(crate) renewed: Vec<GatewayName>,
}

/// One gateway's statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// The gateway.
    pub(crate) gateway: GatewayName,
    /// The build it shall run.
    pub(crate) build: BuildId,
    /// Whether it asks for anything else than the statement before: build, settings, restart.
    pub(crate) changed: bool,
    /// Whether build and settings are those of the statement before: at most a restart is asked.
    pub(crate) again: bool,
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
    /// What the host adds to settings cannot be had.
    #[error("the variables and tokens of environment `{env}` cannot be had")]
    Variables {
        /// The environment.
        env: EnvName,
        /// The cause.
        source: OwnError,
    },
    /// A gateway's own variables or its token cannot be had.
    #[error("what gateway `{gateway}` is told cannot be composed")]
    Own {
        /// The gateway.
        gateway: GatewayName,
        /// The cause.
        source: OwnError,
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

/// Takes the next number and writes it down; more than every number given out before.
///
/// All statements of one publication share it, also where gateways get theirs one after the
/// other. The caller holds the `DeployLock` from here to the last of them, so that no number
/// lies between.
pub(crate) fn number(
    home: &Home,
    store: &Store,
    environment: &Environment,
    now_ms: u64,
) -> Result<u64, PublishError> {
    Publisher::open(home, store, environment)?.number(now_ms)
}

/// Signs and stores a statement under this number for each of these gateways.
///
/// The caller holds the `DeployLock` and calls `ControlClient::changed` afterwards.
pub(crate) fn publish(
    home: &Home,
    store: &Store,
    environment: &Environment,
    what: &What,
    gateways: &[u32],
    seq: u64,
    now_ms: u64,
) -> Result<Published, PublishError> {
    let gateways = selected(environment, gateways)?;
    let manifest;
    let asked = match what {
        What::Run {
            build,
            settings,
            restart,
        } => {
            manifest = digest(store, &environment.name, build)?;
            Asked::Run {
                build,
                manifest: &manifest,
                settings,
                restart: *restart,
            }
        }
        What::Again => Asked::Again { restart: true },
        What::Variables => Asked::Again { restart: false },
    };
    let publisher = Publisher::open(home, store, environment)?;
    publisher.say(&gateways, &asked, seq, now_ms)
}

fn digest(store: &Store, env: &EnvName, build: &BuildId) -> Result<Digest, PublishError> {
    let found = store
        .manifest(env, build)
        .map_err(|source| unstored(env, source))?;
    let (_, digest) = found.ok_or_else(|| PublishError::UnknownBuild {
        env: env.clone(),
        build: build.clone(),
    })?;
    Ok(digest)
}

fn selected<'e>(
    environment: &'e Environment,
    numbers: &[u32],
) -> Result<Vec<&'e Gateway>, EnvironmentError> {
    let numbers = numbers.iter();
    numbers.map(|number| environment.gateway(*number)).collect()
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
    /// What it was told last.
    Again { restart: bool },
}

/// What all statements of one publication share.
struct Stamp<'a> {
    key_id: &'a KeyId,
    seq: u64,
    now_ms: u64,
}

/// The build and settings that are asked for; `None` when there is nothing to say again. `base`
/// is what was asked for last.
fn asks<'a>(
    asked: &'a Asked<'_>,
    last: Option<&'a Statement>,
    base: Option<&'a AppSettings>,
) -> Option<(&'a BuildId, &'a Digest, &'a AppSettings, bool)> {
    match (asked, last) {
        (
            Asked::Run {
                build,
                manifest,
                settings,
                restart,
            },
            _,
        ) => Some((build, manifest, settings, *restart)),
        (Asked::Again { restart }, Some(last)) => {
            let settings = base.unwrap_or(&last.settings);
            Some((&last.build, &last.manifest, settings, *restart))
        }
        (Asked::Again { .. }, None) => None,
    }
}

/// The statement that follows `last`.
fn say(
    environment: &Environment,
    gateway: &Gateway,
    (build, manifest, restart): (&BuildId, &Digest, bool),
    settings: AppSettings,
    stamp: &Stamp<'_>,
    last: Option<&Statement>,
) -> Statement {
    let previous = match last {
        Some(last) if last.build == *build => last.previous.clone(),
        Some(last) => Some(last.build.clone()),
        None => None,
    };
    Statement {
        env: environment.name.clone(),
        gateway: environment.gateway_name(gateway),
        build: build.clone(),
        manifest: manifest.clone(),
        run: true,
        restart: last.map_or(0, |last| last.restart) + u64::from(restart),
        organization: gateway.organization.as_ref().map(ToString::to_string),
        vpn_allow: environment.vpn.allow.clone(),
        settings,
        previous,
        key_id: stamp.key_id.clone(),
        seq: stamp.seq,
        issued_at: stamp.now_ms,
    }
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
    home: &'a Home,
    store: &'a Store,
    environment: &'a Environment,
    key: SigningKey,
    seq_path: PathBuf,
    _lock: fs::File,
}

impl<'a> Publisher<'a> {
    fn open(
        home: &'a Home,
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
            home,
            store,
            environment,
            key,
            seq_path: folder.join("seq"),
            _lock: lock,
        })
    }

    fn number(&self, now_ms: u64) -> Result<u64, PublishError> {
        let mut newest = self.last_number()?;
        for gateway in &self.environment.gateways {
            let last = self.last(&self.environment.gateway_name(gateway))?;
            newest = newest.max(last.map_or(0, |last| last.seq));
        }
        let seq = Statement::next_seq(newest, now_ms);
        durable::write(&self.seq_path, seq.to_string().as_bytes())
            .map_err(|source| self.file(source))?;
        Ok(seq)
    }

    fn say(
        &self,
        gateways: &[&Gateway],
        asked: &Asked<'_>,
        seq: u64,
        now_ms: u64,
    ) -> Result<Published, PublishError> {
        let env = &self.environment.name;
        let stamp = Stamp {
            key_id: &self.key.public().id(),
            seq,
            now_ms,
        };
        let own =
            Own::open(self.home, self.environment).map_err(|source| PublishError::Variables {
                env: env.clone(),
                source,
            })?;
        let (mut said, mut renewed) = (Vec::new(), Vec::new());
        for gateway in gateways {
            let name = self.environment.gateway_name(gateway);
            let uncomposed = |source| PublishError::Own {
                gateway: name.clone(),
                source,
            };
            let last = self.last(&name)?;
            let base = own.base(gateway, last.as_ref()).map_err(uncomposed)?;
            let asked = asks(asked, last.as_ref(), base.as_ref());
            let Some((build, manifest, settings, restart)) = asked else {
                continue;
            };
            let composed = own
                .compose(gateway, settings, seq, now_ms)
                .map_err(uncomposed)?;
            if composed.renewed {
                renewed.push(name);
            }
            let what = (build, manifest, restart);
            let next = say(
                self.environment,
                gateway,
                what,
                composed.settings,
                &stamp,
                last.as_ref(),
            );
            self.put(&next)?;
            said.push(Said {
                changed: differs(&next, last.as_ref()),
                again: last
                    .as_ref()
                    .is_some_and(|last| last.build == next.build && last.settings == next.settings),
                run: gateway.enabled,
                build: next.build,
                gateway: next.gateway,
            });
        }
        Ok(Published {
            seq,
            gateways: said,
            renewed,
        })
    }

    fn put(&self, next: &Statement) -> Result<(), PublishError> {
        let env = &self.environment.name;
        let signed = self.key.sign(next).map_err(|source| PublishError::Sign {
            env: env.clone(),
            source,
        })?;
        self.store
            .put_statement(&next.gateway, next.seq, &signed)
            .map_err(|source| unstored(env, source))?;
        tracing::info!(gateway = %next.gateway, build = %next.build, seq = next.seq, "statement published");
        Ok(())
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
