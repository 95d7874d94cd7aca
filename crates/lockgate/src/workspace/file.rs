//! The schema of lockgate.toml. Every key is optional; unknown ones are refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lockgate_model::{AppSocket, EnvName, Readiness, ServiceName, Strategy};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::WorkspaceError;
use super::nearest::nearest;
use super::secrets::SecretsTable;
use super::validate::ValidateTable;
use crate::deploy::strategy::DeployStrategy;
use crate::environment::docker::DockerSettings;

/// lockgate.toml.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct File {
    /// `[project]`
    pub(crate) project: ProjectTable,
    /// `[build]`
    pub(crate) build: BuildTable,
    /// `[validate]`
    pub(crate) validate: ValidateTable,
    /// `[secrets]`
    pub(crate) secrets: SecretsTable,
    /// `[pack]`
    pub(crate) pack: PackTable,
    /// `[deploy]`
    pub(crate) deploy: DeployTable,
    /// `[docker]`
    pub(crate) docker: DockerSettings,
    /// `[front]`
    pub(crate) front: FrontTable,
    /// `[vpn]`
    pub(crate) vpn: VpnTable,
    /// `[app]`
    pub(crate) app: AppTable,
    /// `[registration]`
    pub(crate) registration: RegistrationTable,
    /// `[services.NAME]`
    pub(crate) services: BTreeMap<ServiceName, ServiceTable>,
    /// `[env.NAME]`: what differs in one environment.
    pub(crate) env: BTreeMap<EnvName, EnvTable>,
}

/// `[project]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ProjectTable {
    /// The environment that is meant when none is named.
    pub(crate) default_env: Option<EnvName>,
}

/// `[build]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BuildTable {
    /// The command that makes the bundle, run by `sh -c` in the workspace; empty for none.
    pub(crate) command: Option<String>,
    /// The bundle that is started.
    pub(crate) bundle: Option<PathBuf>,
    /// Globs of the bundles that are validated.
    pub(crate) validate: Option<Vec<String>>,
    /// Folders with sources; a file newer than the bundle is worth a warning.
    pub(crate) sources: Option<Vec<PathBuf>>,
}

/// `[pack]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PackTable {
    /// What is packed from where.
    pub(crate) parts: Option<Vec<PartTable>>,
}

/// One of `[pack] parts`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartTable {
    /// A file or folder of the workspace.
    pub(crate) from: PathBuf,
    /// Where it lands in the build.
    pub(crate) to: String,
    /// Whether it must be there.
    #[serde(default = "yes")]
    pub(crate) required: bool,
}

/// `[deploy]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DeployTable {
    /// In which order gateways get a build.
    pub(crate) strategy: Option<DeployStrategy>,
}

/// `[front]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FrontTable {
    /// What answers for the domain itself: `http://ADDRESS:PORT` or a folder.
    pub(crate) apex: Option<String>,
    /// What answers for `ganymede.` of the domain.
    pub(crate) ganymede: Option<String>,
    /// The file of a certificate of one's own.
    pub(crate) certificate: Option<PathBuf>,
    /// The file of its key.
    pub(crate) key: Option<PathBuf>,
}

/// `[vpn]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct VpnTable {
    /// What clients may reach beside the gateway's door.
    pub(crate) allow: Option<Vec<String>>,
}

/// `[app]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AppTable {
    /// Program and arguments.
    pub(crate) command: Option<Vec<String>>,
    /// The working directory in the build.
    pub(crate) cwd: Option<String>,
    /// Variables of the application's environment.
    pub(crate) env: BTreeMap<String, String>,
    /// A file of `NAME=value` lines with more of them; it is never packed.
    pub(crate) env_file: Option<PathBuf>,
    /// Ports the application listens on.
    pub(crate) socket: Option<Vec<AppSocket>>,
    /// When a start counts as ready.
    pub(crate) ready: Option<Readiness>,
    /// How a new process takes over from the old one.
    pub(crate) strategy: Option<Strategy>,
    /// What may happen before the first `listen` beside the running process.
    pub(crate) before_listen: Option<Vec<String>>,
    /// How long things may take.
    pub(crate) limits: LimitsTable,
}

/// `[registration]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RegistrationTable {
    /// Program and arguments of the command that registers a gateway; empty for none.
    pub(crate) command: Option<Vec<String>>,
    /// How long it may take for one gateway.
    #[serde(deserialize_with = "duration")]
    pub(crate) timeout: Option<Duration>,
}

/// `[services.NAME]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ServiceTable {
    /// Program and arguments; empty in an environment's own table for none.
    pub(crate) command: Option<Vec<String>>,
    /// The working directory in the workspace.
    pub(crate) cwd: Option<PathBuf>,
    /// Variables of the service's environment.
    pub(crate) env: BTreeMap<String, String>,
    /// A file of `NAME=value` lines with more of them.
    pub(crate) env_file: Option<PathBuf>,
    /// `http://HOST:PORT/PATH` or `tcp://HOST:PORT`; empty for none.
    pub(crate) ready: Option<String>,
    /// From start to ready.
    #[serde(deserialize_with = "duration")]
    pub(crate) ready_timeout: Option<Duration>,
    /// From TERM to KILL.
    #[serde(deserialize_with = "duration")]
    pub(crate) stop_timeout: Option<Duration>,
    /// Where its log is written, in the workspace.
    pub(crate) log: Option<PathBuf>,
}

/// `[app.limits]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitsTable {
    /// From start to ready.
    #[serde(deserialize_with = "duration")]
    pub(crate) ready: Option<Duration>,
    /// How long a process that is replaced still accepts.
    #[serde(deserialize_with = "duration")]
    pub(crate) linger: Option<Duration>,
    /// How long requests in flight may take to their end.
    #[serde(deserialize_with = "duration")]
    pub(crate) drain: Option<Duration>,
    /// From TERM to KILL.
    #[serde(deserialize_with = "duration")]
    pub(crate) grace: Option<Duration>,
    /// How long a new build must stay ready before it counts as good.
    #[serde(deserialize_with = "duration")]
    pub(crate) trial: Option<Duration>,
    /// The first delay after a crash.
    #[serde(deserialize_with = "duration")]
    pub(crate) crash_delay: Option<Duration>,
}

/// `[env.NAME]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EnvTable {
    /// `[env.NAME.build]`
    pub(crate) build: BuildTable,
    /// `[env.NAME.pack]`
    pub(crate) pack: PackTable,
    /// `[env.NAME.deploy]`
    pub(crate) deploy: DeployTable,
    /// `[env.NAME.front]`
    pub(crate) front: FrontTable,
    /// `[env.NAME.vpn]`
    pub(crate) vpn: VpnTable,
    /// `[env.NAME.app]`
    pub(crate) app: AppTable,
    /// `[env.NAME.registration]`
    pub(crate) registration: RegistrationTable,
    /// `[env.NAME.services.NAME]`
    pub(crate) services: BTreeMap<ServiceName, ServiceTable>,
}

impl File {
    /// Reads the text of the file at `path`.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, WorkspaceError> {
        toml::from_str(text).map_err(|error| WorkspaceError::Malformed {
            path: path.to_owned(),
            hint: other_strategy(error.message()).or_else(|| did_you_mean(error.message())),
            message: error.to_string().trim_end().to_owned(),
        })
    }
}

/// The nearest known key or word to the one a message calls unknown.
fn did_you_mean(message: &str) -> Option<String> {
    let unknown = ["unknown field `", "unknown variant `"];
    let (unknown, expected) = unknown
        .iter()
        .find_map(|start| message.strip_prefix(start))?
        .split_once("`, expected ")?;
    let known = expected.split('`').skip(1).step_by(2);
    nearest(unknown, known).map(|known| format!("did you mean `{known}`?"))
}

/// Two tables have a key `strategy`: a word of the one in the other is told where it belongs.
fn other_strategy(message: &str) -> Option<String> {
    let (unknown, _) = message
        .strip_prefix("unknown variant `")?
        .split_once("`, expected ")?;
    match unknown {
        "all" | "rolling" | "canary" => Some(format!(
            "`[deploy] strategy = \"{unknown}\"` says in which order gateways get a build; \
             `[app] strategy` says how one process follows another in a gateway"
        )),
        "auto" | "gated" | "cold" => Some(format!(
            "`[app] strategy = \"{unknown}\"` says how one process follows another in a gateway; \
             `[deploy] strategy` says in which order gateways get a build"
        )),
        _ => None,
    }
}

fn yes() -> bool {
    true
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    humantime::parse_duration(&text).map(Some).map_err(|error| {
        D::Error::custom(format!(
            "`{text}` is not a duration like `200ms` or `10s`: {error}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (String, Option<String>) {
        match File::parse(Path::new("/w/lockgate.toml"), text) {
            Err(WorkspaceError::Malformed { message, hint, .. }) => (message, hint),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_empty_file_says_nothing() {
        assert_eq!(File::parse(Path::new("x"), "").unwrap(), File::default());
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_nearest_known_one() {
        for (text, known, line) in [
            ("[app]\ncomand = []", "command", "line 2"),
            ("[biuld]", "build", "line 1"),
            ("[app]\nstrategy = 'gate'", "gated", "line 2"),
            ("[deploy]\nstrategy = 'roling'", "rolling", "line 2"),
            ("[app.limits]\ngrase = '1s'", "grace", "line 2"),
            ("[env.dev-001.app]\nenvfile = 'x'", "env_file", "line 2"),
            ("[env.dev-001.biuld]\ncommand = 'x'", "build", "line 1"),
            ("[front]\ncertificat = 'x'", "certificate", "line 2"),
            ("[env.dev-001.front]\nganimede = 'x'", "ganymede", "line 2"),
            ("[vpn]\nalow = []", "allow", "line 2"),
            ("[registration]\ncomand = ['x']", "command", "line 2"),
            ("[services.a]\nenv_flie = 'x'", "env_file", "line 2"),
            ("[env.dev-001.services.a]\nredy = 'x'", "ready", "line 2"),
            (
                "[[pack.parts]]\nfrom = 'a'\nto = 'b'\nrequire = true",
                "required",
                "line 4",
            ),
        ] {
            let (message, hint) = refused(text);
            let expected = format!("did you mean `{known}`?");
            assert_eq!(hint, Some(expected), "{text}");
            assert!(message.contains(line), "{message}");
        }
    }

    #[test]
    fn a_key_like_no_other_gets_no_suggestion() {
        assert_eq!(refused("[app]\nxyzzy = 1").1, None);
    }

    #[test]
    fn a_strategy_of_the_other_kind_is_told_where_it_belongs() {
        for (text, expected, allowed) in [
            (
                "[app]\nstrategy = 'rolling'",
                "`[deploy] strategy = \"rolling\"` says",
                "expected one of `auto`, `gated`, `cold`",
            ),
            (
                "[deploy]\nstrategy = 'cold'",
                "`[app] strategy = \"cold\"` says",
                "expected one of `all`, `rolling`, `canary`",
            ),
        ] {
            let (message, hint) = refused(text);
            assert!(message.contains(allowed), "{message}");
            assert!(hint.unwrap().starts_with(expected), "{text}");
        }
    }

    #[test]
    fn values_of_the_wrong_kind_are_refused() {
        assert!(
            refused("[app.limits]\ngrace = '10'")
                .0
                .contains("`10` is not a duration")
        );
        assert!(
            refused("[project]\ndefault_env = 'Dev'")
                .0
                .contains("not an environment name")
        );
        for name in ["gateway", "gw-0", "7"] {
            let (message, _) = refused(&format!("[services.{name}]"));
            assert!(message.contains("is not a service name"), "{message}");
        }
        assert!(
            refused("[app]\ncommand = 'node'")
                .0
                .contains("invalid type")
        );
    }
}
