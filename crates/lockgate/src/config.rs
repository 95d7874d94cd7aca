//! What flags and environment variables say, resolved once into one value.
//!
//! Order: defaults, then the environment, then flags. lockgate.toml is read by `workspace`.
//! This is the only file that reads the process's environment.

use std::ffi::OsString;
use std::path::PathBuf;

use lockgate_model::{EnvName, NameError, ports};

use crate::home::Home;

/// The default environment's name.
pub(crate) const LOCKGATE_ENV: &str = "LOCKGATE_ENV";
/// The home's folder; `$XDG_DATA_HOME/lockgate` where it is not set.
pub(crate) const LOCKGATE_HOME: &str = "LOCKGATE_HOME";
/// The builds' folder; `$LOCKGATE_HOME/builds` where it is not set.
pub(crate) const LOCKGATE_BUILDS: &str = "LOCKGATE_BUILDS";
/// The build server's port; 8090 where it is not set, 0 takes a free one.
pub(crate) const LOCKGATE_SERVE_PORT: &str = "LOCKGATE_SERVE_PORT";
/// The agent program; `lockgate-agent` beside this program where it is not set.
pub(crate) const LOCKGATE_AGENT: &str = "LOCKGATE_AGENT";
/// What is logged, as in `info,access=warn`.
pub(crate) const LOCKGATE_LOG: &str = "LOCKGATE_LOG";

/// Variables that a gateway's agent inherits in the local runtime; nothing else reaches it.
const INHERITED: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];

/// What was given on the command line and goes before the environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    /// `--env`.
    pub(crate) env: Option<EnvName>,
    /// `--home`, if there is such a flag.
    pub(crate) home: Option<PathBuf>,
    /// `--port` of the build server.
    pub(crate) port: Option<u16>,
}

/// All settings of one call.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The environment named by flag or variable; lockgate.toml's default comes after these.
    pub(crate) env: Option<EnvName>,
    /// The home.
    pub(crate) home: Home,
    /// The build server's port.
    pub(crate) serve_port: u16,
    /// The agent program.
    pub(crate) agent: PathBuf,
    /// Who calls, for the history: `user@host`.
    pub(crate) caller: String,
    /// The log filter, where one was given.
    pub(crate) log: Option<String>,
    /// What an agent in the local runtime inherits.
    pub(crate) child_environment: Vec<(String, OsString)>,
}

/// A variable that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// A name does not parse.
    #[error("`{variable}` cannot be used")]
    Name {
        /// The variable.
        variable: &'static str,
        /// Why.
        source: NameError,
    },
    /// A number or text does not parse.
    #[error("`{variable}` is `{value}`, expected {expected}")]
    Value {
        /// The variable.
        variable: &'static str,
        /// What it says.
        value: String,
        /// What it should say.
        expected: &'static str,
    },
    /// Nothing says where the home is.
    #[error("no home: neither `LOCKGATE_HOME` nor `XDG_DATA_HOME` nor `HOME` is set")]
    NoHome,
}
impl Config {
    /// Resolves flags and this process's environment.
    pub(crate) fn from_process(flags: &Flags) -> Result<Self, ConfigError> {
        todo!()
    }
}
