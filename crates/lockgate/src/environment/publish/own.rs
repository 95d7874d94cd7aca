//! What the host adds to a gateway's settings: its renewed `GATEWAY_TOKEN` and the variables of
//! `lockgate set`. Neither is part of a build or of lockgate.toml.
//!
//! ```text
//! renewed token < what the workspace says (`[app] env_file`, `env`, `[env.NAME.app]`) < `set` < `set --gateway`
//!               < the organization's `ORGANIZATION_ID`
//! ```
//!
//! What the workspace said is kept beside the statement (`gateways/{n}/said.json`), so that a
//! variable that is taken away again uncovers the one below it.

use std::io;
use std::path::PathBuf;

use lockgate_model::{AppSettings, Statement, environment as variable};
use serde::{Deserialize, Serialize};

use crate::environment::tokens::{TokenKey, TokensError, renew};
use crate::environment::variables::{Variables, VariablesError};
use crate::environment::{Environment, Gateway};
use crate::home::{Home, durable};

/// Why a gateway's settings cannot be composed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnError {
    /// No token.
    #[error("its token cannot be renewed")]
    Tokens(#[from] TokensError),
    /// The variables cannot be read.
    #[error("its variables cannot be read")]
    Variables(#[from] VariablesError),
    /// What was said last cannot be read or written.
    #[error("`{path}` cannot be read or written")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// What the host knows of an environment's gateways.
pub(super) struct Own<'a> {
    home: &'a Home,
    environment: &'a Environment,
    key: TokenKey,
    variables: Variables,
}

/// A gateway's whole settings.
pub(super) struct Composed {
    /// The settings.
    pub(super) settings: AppSettings,
    /// Whether its token was made anew for it.
    pub(super) renewed: bool,
}

/// What the workspace said, as it was published under a number.
#[derive(Serialize, Deserialize)]
struct Base {
    seq: u64,
    settings: AppSettings,
}

impl<'a> Own<'a> {
    pub(super) fn open(home: &'a Home, environment: &'a Environment) -> Result<Self, OwnError> {
        let folder = home.env_dir(&environment.name);
        Ok(Self {
            key: TokenKey::of(&folder)?,
            variables: Variables::load(home, &environment.name)?,
            home,
            environment,
        })
    }

    /// The settings as they were before the host added its own; `None` where that was not
    /// written down: the statement's settings are the workspace's then.
    pub(super) fn base(
        &self,
        gateway: &Gateway,
        last: Option<&Statement>,
    ) -> Result<Option<AppSettings>, OwnError> {
        let path = self.path(gateway);
        let read = durable::read_json::<Base>(&path);
        let base = read.map_err(|source| OwnError::File { path, source })?;
        // One of another number was written for a statement that was not published.
        let fits = |base: &Base| last.is_some_and(|last| last.seq == base.seq);
        Ok(base.filter(fits).map(|base| base.settings))
    }

    /// The gateway's settings for the statement with this number; its base is written down first.
    pub(super) fn compose(
        &self,
        gateway: &Gateway,
        base: &AppSettings,
        seq: u64,
        now_ms: u64,
    ) -> Result<Composed, OwnError> {
        let path = self.path(gateway);
        let written = Base {
            seq,
            settings: base.clone(),
        };
        durable::write_json(&path, &written).map_err(|source| OwnError::File { path, source })?;
        let folder = self.folder(gateway);
        let env = &self.environment.name;
        let renewed = renew::renew(&self.key, env, gateway, &folder, now_ms)?;
        let mut settings = base.clone();
        if let Some(token) = renewed.token {
            let given = settings.env.entry(variable::GATEWAY_TOKEN.to_owned());
            given.or_insert(token);
        }
        settings.env.extend(self.variables.of(gateway.number));
        if let Some(organization) = &gateway.organization {
            let name = variable::ORGANIZATION_ID.to_owned();
            settings.env.insert(name, organization.to_string());
        }
        Ok(Composed {
            settings,
            renewed: renewed.now,
        })
    }

    fn folder(&self, gateway: &Gateway) -> PathBuf {
        let name = self.environment.gateway_name(gateway);
        self.home.gateway_dir(&name)
    }

    /// In the gateway's folder, readable by its owner alone: settings hold the application's variables.
    fn path(&self, gateway: &Gateway) -> PathBuf {
        self.folder(gateway).join("said.json")
    }
}
