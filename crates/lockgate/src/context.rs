//! What every command starts from: configuration, screen, workspace, environment, server.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lockgate_builds::store::Store;
use lockgate_model::EnvName;
use time::OffsetDateTime;

use crate::cli::GlobalArgs;
use crate::config::{Config, Flags};
use crate::environment::Environment;
use crate::error::CommandError;
use crate::server::ServerDescription;
use crate::server::control::ControlClient;
use crate::server::front::FrontDriver;
use crate::views::screen::Screen;
use crate::workspace::Workspace;

/// What every command starts from.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Flags and environment variables, resolved.
    pub(crate) config: Config,
    /// Where output goes.
    pub(crate) screen: Screen,
    /// The folder the command was called in.
    pub(crate) cwd: PathBuf,
}

impl Context {
    /// Resolves the configuration. `port` and `front` are a command's own flags of these names.
    pub(crate) fn new(
        global: &GlobalArgs,
        (port, front): (Option<u16>, Option<FrontDriver>),
        screen: Screen,
    ) -> Result<Self, CommandError> {
        let config = Config::from_process(&Flags {
            env: global.env.clone(),
            home: None,
            port,
            front,
        })?;
        let cwd = std::env::current_dir().map_err(|error| {
            CommandError::failed("cannot tell the current folder").because(&error)
        })?;
        Ok(Self {
            config,
            screen,
            cwd,
        })
    }

    /// The folder of builds.
    pub(crate) fn store(&self) -> Result<Store, CommandError> {
        Ok(Store::open(self.config.home.builds())?)
    }

    /// The workspace that is meant: the one given, else the one around the current folder.
    pub(crate) fn workspace(&self, given: Option<&Path>) -> Result<Workspace, CommandError> {
        match given {
            Some(path) => Ok(Workspace::open(&self.cwd.join(path))?),
            None => Ok(Workspace::around(&self.cwd)?),
        }
    }

    /// The environment that is meant, whether or not it exists: named, or by flag
    /// or variable, or lockgate.toml's default, or the only one that fits.
    pub(crate) fn env_name(&self, named: Option<&EnvName>) -> Result<EnvName, CommandError> {
        if let Some(env) = named.or(self.config.env.as_ref()) {
            return Ok(env.clone());
        }
        let workspace = Workspace::around(&self.cwd)?;
        if let Some(env) = workspace.default_env() {
            return Ok(env.clone());
        }
        let all = Environment::list(&self.config.home)?;
        let here: Vec<_> = all
            .iter()
            .filter(|found| found.is_workspace(workspace.root()))
            .collect();
        match (here.as_slice(), all.as_slice()) {
            ([only], _) => Ok(only.name.clone()),
            ([], [only]) => Ok(only.name.clone()),
            (_, []) => Err(
                CommandError::usage("no environment is named, and there is none yet")
                    .hint("`lockgate up` makes one, builds, deploys and watches"),
            ),
            _ => Err(CommandError::usage("no environment is named").hint(format!(
                "there are {}; name one, or set `default_env` in lockgate.toml",
                names(all.iter().map(|found| &found.name))
            ))),
        }
    }

    /// The environment that is meant, as it is written down.
    pub(crate) fn environment(&self, named: Option<&EnvName>) -> Result<Environment, CommandError> {
        Ok(Environment::load(
            &self.config.home,
            &self.env_name(named)?,
        )?)
    }

    /// The server of this home, which must run.
    pub(crate) async fn server(&self) -> Result<(ControlClient, ServerDescription), CommandError> {
        ControlClient::connect(&self.config.home)
            .await
            .ok_or_else(|| {
                CommandError::failed(format!(
                    "no server of `{}` runs",
                    self.config.home.dir().display()
                ))
                .hint("start it with `lockgate serve --detach`, or let `lockgate up` do it all")
            })
    }

    /// As `tell_server`, and gateways that were given up are tried again: one, or all.
    pub(crate) async fn start_gateways(
        &self,
        env: &EnvName,
        number: Option<u32>,
    ) -> Result<bool, CommandError> {
        match ControlClient::connect(&self.config.home).await {
            Some((control, _)) => Ok(control.start(env, number).await.map(|()| true)?),
            None => Ok(false),
        }
    }

    /// Tells a running server that an environment changed; without one there is nobody to tell.
    pub(crate) async fn tell_server(&self, env: &EnvName) -> Result<bool, CommandError> {
        match ControlClient::connect(&self.config.home).await {
            Some((control, _)) => control
                .changed(env)
                .await
                .map(|()| true)
                .map_err(Into::into),
            None => Ok(false),
        }
    }
}

/// The names with backticks and commas.
pub(crate) fn names<'a>(all: impl Iterator<Item = &'a EnvName>) -> String {
    all.map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The time of day.
pub(crate) fn now() -> OffsetDateTime {
    let ms = i128::from(now_ms());
    // Only in thousands of years would these be too many.
    OffsetDateTime::from_unix_timestamp_nanos(ms * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The time of day in UNIX milliseconds.
#[expect(
    clippy::disallowed_methods,
    reason = "commands are drivers; decisions get this as an argument"
)]
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
