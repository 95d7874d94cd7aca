//! What flags and environment variables say, resolved once into one value.
//!
//! Order: defaults, then the environment, then flags. lockgate.toml is read by `workspace`.
//! This is the only file that reads the process's environment.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use lockgate_model::{EnvName, NameError, ports};

use crate::home::Home;
use crate::runtime::docker::address::{AddressError, EngineAddress};
use crate::server::front::{FrontDriver, FrontPort, FrontPorts};

/// The default environment's name.
pub(crate) const LOCKGATE_ENV: &str = "LOCKGATE_ENV";
/// The home's folder; `$XDG_DATA_HOME/lockgate` where it is not set.
pub(crate) const LOCKGATE_HOME: &str = "LOCKGATE_HOME";
/// The builds' folder; `$LOCKGATE_HOME/builds` where it is not set.
pub(crate) const LOCKGATE_BUILDS: &str = "LOCKGATE_BUILDS";
/// The build server's port; 8090 where it is not set, 0 takes a free one.
pub(crate) const LOCKGATE_SERVE_PORT: &str = "LOCKGATE_SERVE_PORT";
/// The front door's port for HTTPS, or `off`; 443 where that is to be had, else 8443.
pub(crate) const LOCKGATE_HTTPS_PORT: &str = "LOCKGATE_HTTPS_PORT";
/// The front door's port for HTTP, or `off`; 80 where that is to be had, else 8080.
pub(crate) const LOCKGATE_HTTP_PORT: &str = "LOCKGATE_HTTP_PORT";
/// Who serves the front door: `embedded`, the server itself, or `nginx`; `embedded` where it is not set.
pub(crate) const LOCKGATE_FRONT: &str = "LOCKGATE_FRONT";
/// The agent program; `lockgate-agent` beside this program where it is not set.
pub(crate) const LOCKGATE_AGENT: &str = "LOCKGATE_AGENT";
/// Where the container engine is asked; `unix:///var/run/docker.sock` where it is not set.
const DOCKER_HOST: &str = "DOCKER_HOST";
/// The engine's host as this machine reaches it, where it is found in no other way.
const DOCKER_HOST_IP: &str = "DOCKER_HOST_IP";
/// The user's browser, as `lockgate urls --open` starts it.
const BROWSER: &str = "BROWSER";
/// What is logged, as in `info,access=warn`.
pub(crate) const LOCKGATE_LOG: &str = "LOCKGATE_LOG";

/// The agent's program name.
const AGENT: &str = "lockgate-agent";

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
    /// `--front`.
    pub(crate) front: Option<FrontDriver>,
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
    /// The front door's ports.
    pub(crate) front: FrontPorts,
    /// Who serves it.
    pub(crate) front_driver: FrontDriver,
    /// The agent program.
    pub(crate) agent: PathBuf,
    /// Who calls, for the history: `user@host`.
    pub(crate) caller: String,
    /// The log filter, where one was given.
    pub(crate) log: Option<String>,
    /// What an agent in the local runtime inherits.
    pub(crate) child_environment: Vec<(String, OsString)>,
    /// Where the container engine is asked; whoever needs none does not care.
    pub(crate) engine: Result<EngineAddress, AddressError>,
    /// The engine's host, where somebody says so: gateways are looked for there first.
    pub(crate) host_ip: Option<IpAddr>,
    /// The user's browser, where one is named.
    pub(crate) browser: Option<String>,
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
    /// A path cannot be made absolute.
    #[error("`{path}` cannot be made absolute")]
    Path {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Nothing says where the home is.
    #[error("no home: neither `LOCKGATE_HOME` nor `XDG_DATA_HOME` nor `HOME` is set")]
    NoHome,
}

impl Config {
    /// A variable of the user's own environment that agents inherit, too: `PATH`, `HOME`.
    pub(crate) fn of_user(&self, name: &str) -> Option<&OsString> {
        let found = self.child_environment.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value)
    }

    /// Resolves flags and this process's environment.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the environment"
    )]
    pub(crate) fn from_process(flags: &Flags) -> Result<Self, ConfigError> {
        let machine = Machine {
            user_id: nix::unistd::getuid().as_raw(),
            user: nix::unistd::User::from_uid(nix::unistd::getuid())
                .ok()
                .flatten()
                .map(|user| user.name),
            host: std::fs::read_to_string("/proc/sys/kernel/hostname")
                .map_or_else(|_| "localhost".into(), |name| name.trim().to_owned()),
            program: std::env::current_exe().ok(),
            has_run_user: |folder| folder.is_dir(),
        };
        Self::resolve(flags, &|name| std::env::var_os(name), &machine)
    }

    fn resolve(
        flags: &Flags,
        variable: &dyn Fn(&str) -> Option<OsString>,
        machine: &Machine,
    ) -> Result<Self, ConfigError> {
        // As everywhere: a variable set to nothing is not set.
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &'static str| match given(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(raw)) => Err(ConfigError::Value {
                variable: name,
                value: raw.to_string_lossy().into_owned(),
                expected: "UTF-8",
            }),
        };
        let env = match (&flags.env, text(LOCKGATE_ENV)?) {
            (Some(env), _) => Some(env.clone()),
            (None, Some(name)) => {
                Some(EnvName::parse(&name).map_err(|source| ConfigError::Name {
                    variable: LOCKGATE_ENV,
                    source,
                })?)
            }
            (None, None) => None,
        };
        let serve_port = match (flags.port, text(LOCKGATE_SERVE_PORT)?) {
            (Some(port), _) => port,
            (None, Some(value)) => value.parse().map_err(|_| ConfigError::Value {
                variable: LOCKGATE_SERVE_PORT,
                value,
                expected: "a port number from 0 to 65535",
            })?,
            (None, None) => ports::BUILD_SERVER,
        };
        let host_ip = match text(DOCKER_HOST_IP)? {
            Some(value) => Some(value.parse().map_err(|_| ConfigError::Value {
                variable: DOCKER_HOST_IP,
                value,
                expected: "an IP address",
            })?),
            None => None,
        };
        let (front, front_driver) = resolve_front(flags, &text)?;
        let user = text("USER")?.or(text("LOGNAME")?);
        let user = user
            .or_else(|| machine.user.clone())
            .unwrap_or_else(|| machine.user_id.to_string());
        Ok(Self {
            env,
            home: resolve_home(flags, &given, machine)?,
            serve_port,
            front,
            front_driver,
            agent: given(LOCKGATE_AGENT).map_or_else(|| machine.agent(), PathBuf::from),
            caller: format!("{user}@{}", machine.host),
            log: text(LOCKGATE_LOG)?,
            engine: EngineAddress::parse(text(DOCKER_HOST)?.as_deref()),
            host_ip,
            browser: text(BROWSER)?,
            child_environment: INHERITED
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), given(name)?)))
                .collect(),
        })
    }
}

/// What is asked of the machine, so that tests can answer.
struct Machine {
    user_id: u32,
    /// The name that belongs to it, if one does.
    user: Option<String>,
    host: String,
    program: Option<PathBuf>,
    has_run_user: fn(&Path) -> bool,
}

impl Machine {
    fn agent(&self) -> PathBuf {
        let beside = self.program.as_deref().and_then(Path::parent);
        beside.map_or_else(|| AGENT.into(), |folder| folder.join(AGENT))
    }

    /// Where sockets lie when nothing says so: the user's own runtime folder, else one in `/tmp`.
    fn sockets(&self) -> PathBuf {
        let run_user = PathBuf::from(format!("/run/user/{}", self.user_id));
        if (self.has_run_user)(&run_user) {
            run_user.join("lockgate")
        } else {
            PathBuf::from(format!("/tmp/lockgate-{}", self.user_id))
        }
    }
}

/// The front door's ports, and who serves it.
fn resolve_front(
    flags: &Flags,
    text: &dyn Fn(&'static str) -> Result<Option<String>, ConfigError>,
) -> Result<(FrontPorts, FrontDriver), ConfigError> {
    let port = |variable| match text(variable)? {
        None => Ok(FrontPort::Usual),
        Some(value) => value.parse().map_err(|_| ConfigError::Value {
            variable,
            value,
            expected: "a port number from 0 to 65535, or `off`",
        }),
    };
    let ports = FrontPorts {
        https: port(LOCKGATE_HTTPS_PORT)?,
        http: port(LOCKGATE_HTTP_PORT)?,
    };
    let driver = match (flags.front, text(LOCKGATE_FRONT)?) {
        (Some(driver), _) => driver,
        (None, Some(value)) => value.parse().map_err(|()| ConfigError::Value {
            variable: LOCKGATE_FRONT,
            value,
            expected: "`embedded` or `nginx`",
        })?,
        (None, None) => FrontDriver::default(),
    };
    Ok((ports, driver))
}

fn resolve_home(
    flags: &Flags,
    given: &dyn Fn(&str) -> Option<OsString>,
    machine: &Machine,
) -> Result<Home, ConfigError> {
    let named = flags
        .home
        .clone()
        .or_else(|| given(LOCKGATE_HOME).map(PathBuf::from))
        .or_else(|| given("XDG_DATA_HOME").map(|data| PathBuf::from(data).join("lockgate")))
        .or_else(|| given("HOME").map(|home| PathBuf::from(home).join(".local/share/lockgate")));
    let dir = real(&named.ok_or(ConfigError::NoHome)?)?;
    let builds = match given(LOCKGATE_BUILDS) {
        Some(builds) => real(Path::new(&builds))?,
        None => dir.join("builds"),
    };
    let sockets = given("XDG_RUNTIME_DIR").map_or_else(
        || machine.sockets(),
        |runtime| PathBuf::from(runtime).join("lockgate"),
    );
    Ok(Home::new(&dir, &builds, &sockets))
}

/// The path made absolute, symlinks resolved as far as it exists, so that one folder has one name
/// before and after it is made.
fn real(path: &Path) -> Result<PathBuf, ConfigError> {
    let absolute = std::path::absolute(path).map_err(|source| ConfigError::Path {
        path: path.to_owned(),
        source,
    })?;
    for known in absolute.ancestors() {
        if let Ok(found) = known.canonicalize() {
            let rest = absolute.strip_prefix(known).unwrap_or(Path::new(""));
            return Ok(if rest.as_os_str().is_empty() {
                found
            } else {
                found.join(rest)
            });
        }
    }
    Ok(absolute)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine = Machine {
        user_id: 1000,
        user: None,
        host: String::new(),
        program: None,
        has_run_user: |_| false,
    };

    fn resolve(flags: &Flags, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let machine = Machine {
            host: "box".into(),
            program: Some("/opt/bin/lockgate".into()),
            ..MACHINE
        };
        let find = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        };
        Config::resolve(flags, &find, &machine)
    }

    #[test]
    fn a_flag_says_who_serves_the_front_door_before_a_variable_does() {
        let check = |flag, variable: &[(&str, &str)], expected| {
            let flags = Flags {
                front: flag,
                ..Flags::default()
            };
            let home = [("HOME", "/nowhere/me")];
            let config = resolve(&flags, &[&home, variable].concat());
            assert_eq!(config.ok().map(|it| it.front_driver), expected);
        };
        let (embedded, nginx) = (Some(FrontDriver::Embedded), Some(FrontDriver::Nginx));
        check(None, &[], embedded);
        check(None, &[(LOCKGATE_FRONT, "nginx")], nginx);
        check(embedded, &[(LOCKGATE_FRONT, "nginx")], embedded);
        check(nginx, &[], nginx);
        check(None, &[(LOCKGATE_FRONT, "caddy")], None);
    }

    #[test]
    fn defaults_follow_the_folders_of_the_desktop_specification() {
        let config = resolve(&Flags::default(), &[("HOME", "/nowhere/me")]).unwrap();
        assert_eq!(
            config.home.dir(),
            Path::new("/nowhere/me/.local/share/lockgate")
        );
        assert_eq!(config.home.builds(), config.home.dir().join("builds"));
        assert!(
            config
                .home
                .control_socket()
                .starts_with("/tmp/lockgate-1000")
        );
        assert_eq!(config.serve_port, 8090);
        assert_eq!(config.agent, Path::new("/opt/bin/lockgate-agent"));
        assert_eq!(config.caller, "1000@box");
    }

    #[test]
    fn variables_go_before_defaults_and_flags_before_variables() {
        let variables = [
            ("HOME", "/nowhere/me"),
            ("XDG_DATA_HOME", "/nowhere/data"),
            ("LOCKGATE_HOME", "/nowhere/home"),
            ("LOCKGATE_BUILDS", "/nowhere/builds"),
            ("XDG_RUNTIME_DIR", "/nowhere/run"),
            ("LOCKGATE_ENV", "dev-001"),
            ("LOCKGATE_SERVE_PORT", "9000"),
            ("USER", "ada"),
        ];
        let config = resolve(&Flags::default(), &variables).unwrap();
        assert_eq!(config.home.dir(), Path::new("/nowhere/home"));
        assert_eq!(config.home.builds(), Path::new("/nowhere/builds"));
        assert!(
            config
                .home
                .control_socket()
                .starts_with("/nowhere/run/lockgate")
        );
        assert_eq!(config.env.unwrap().as_str(), "dev-001");
        assert_eq!(
            (config.serve_port, config.caller.as_str()),
            (9000, "ada@box")
        );

        let flags = Flags {
            env: Some(EnvName::parse("main").unwrap()),
            home: Some("/nowhere/flag".into()),
            port: Some(0),
            ..Flags::default()
        };
        let config = resolve(&flags, &variables).unwrap();
        assert_eq!(config.home.dir(), Path::new("/nowhere/flag"));
        assert_eq!(config.env.unwrap().as_str(), "main");
        assert_eq!(config.serve_port, 0);
    }

    #[test]
    fn without_a_variable_the_caller_has_the_name_of_the_account() {
        let machine = Machine {
            user: Some("grace".into()),
            host: "box".into(),
            ..MACHINE
        };
        let check = |variables: &[(&str, &str)], expected| {
            let find = |name: &str| {
                let found = variables.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| OsString::from(value))
            };
            let config = Config::resolve(&Flags::default(), &find, &machine).unwrap();
            assert_eq!(config.caller, expected);
        };
        check(&[("HOME", "/x")], "grace@box");
        check(&[("HOME", "/x"), ("USER", "ada")], "ada@box");
    }

    #[test]
    fn an_unusable_variable_is_named_with_its_value() {
        let check = |name, value, part: &str| {
            let error = resolve(&Flags::default(), &[("HOME", "/x"), (name, value)]).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            assert!(error.to_string().contains(part), "{error}");
        };
        check("LOCKGATE_ENV", "Dev", "cannot be used");
        check("LOCKGATE_SERVE_PORT", "http", "`http`, expected a port");
        check("LOCKGATE_SERVE_PORT", "70000", "`70000`");
        check("DOCKER_HOST_IP", "host", "`host`, expected an IP address");
        assert!(matches!(
            resolve(&Flags::default(), &[]),
            Err(ConfigError::NoHome)
        ));
    }

    #[test]
    fn agents_inherit_nothing_but_what_is_listed() {
        let variables = [
            ("HOME", "/x"),
            ("PATH", "/bin"),
            ("NODE_OPTIONS", "--inspect"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("LANG", ""),
        ];
        let config = resolve(&Flags::default(), &variables).unwrap();
        let names: Vec<_> = config.child_environment.iter().map(|(n, _)| n).collect();
        assert_eq!(names, ["PATH", "HOME"]);
    }

    #[test]
    fn a_home_behind_a_symlink_has_one_name_before_and_after_it_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        std::fs::create_dir(folder.join("real")).unwrap();
        std::os::unix::fs::symlink(folder.join("real"), folder.join("link")).unwrap();
        let before = real(&folder.join("link/home")).unwrap();
        std::fs::create_dir(folder.join("real/home")).unwrap();
        assert_eq!(before, real(&folder.join("link/home")).unwrap());
        assert_eq!(before, folder.join("real/home"));
    }
}
