//! `[services.NAME]`: the tables of a file made into what one environment has.
//!
//! A service's file of variables is read only when it is brought up to date, so that a command which
//! starts no service needs none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lockgate_model::{LONGEST_STOP, Limits, ReadyCheck, ServiceDescription, ServiceName};

use super::file::{File, ServiceTable};
use super::resolve::{read_env_file, senseless};
use super::{WorkspaceError, env_file};

/// From a service's start to ready, where nothing is said: as for applications.
const READY_TIMEOUT: Duration = Duration::from_secs(20);
/// From TERM to KILL, where nothing is said: ten seconds, as in docker stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Variables that begin so say something of descriptors and of starts; no service gets them.
const NOT_HANDED_ON: [&str; 5] = [
    "LISTEN_",
    "NOTIFY_SOCKET",
    "LOCKGATE_TOKEN",
    "LOCKGATE_SOCKETS",
    "LOCKGATE_START",
];

/// A service as lockgate.toml says it, without what its files of variables hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    /// Its name.
    pub(crate) name: ServiceName,
    /// Program and arguments.
    command: Vec<String>,
    /// The working directory, absolute.
    cwd: PathBuf,
    /// Its variables: for each table those of its file, then its own.
    variables: Vec<(Option<PathBuf>, BTreeMap<String, String>)>,
    ready: Option<ReadyCheck>,
    ready_timeout: Duration,
    stop_timeout: Duration,
    /// Its log, absolute; `None` for the default.
    log: Option<PathBuf>,
    root: PathBuf,
}

/// The services of an environment, by name.
pub(super) fn services(
    root: &Path,
    file: &File,
    own: &BTreeMap<ServiceName, ServiceTable>,
) -> Result<Vec<Service>, WorkspaceError> {
    let names: BTreeSet<&ServiceName> = file.services.keys().chain(own.keys()).collect();
    let mut problems = Vec::new();
    let mut services = Vec::new();
    for name in names {
        let table = |of: &BTreeMap<_, ServiceTable>| of.get(name).cloned().unwrap_or_default();
        match service(root, name, table(&file.services), table(own)) {
            Ok(service) => services.extend(service),
            Err(what) => problems.push(format!("`[services.{name}] {what}")),
        }
    }
    if problems.is_empty() {
        Ok(services)
    } else {
        Err(senseless(root, problems.join("; ")))
    }
}

/// One service; `None` where the environment's own table takes its command away.
fn service(
    root: &Path,
    name: &ServiceName,
    all: ServiceTable,
    own: ServiceTable,
) -> Result<Option<Service>, String> {
    let taken_away = own.command.as_ref().is_some_and(Vec::is_empty);
    let Some(command) = own.command.or(all.command).filter(|_| !taken_away) else {
        return if taken_away {
            Ok(None)
        } else {
            Err("command` is missing: what shall be started?".to_owned())
        };
    };
    if command.first().is_none_or(String::is_empty) {
        return Err("command` names no program".to_owned());
    }
    let ready = own.ready.or(all.ready).filter(|text| !text.is_empty());
    let ready = ready.map(|text| ReadyCheck::parse(&text)).transpose();
    let ready = ready.map_err(|error| format!("ready`: {error}"))?;
    let ready_timeout = own.ready_timeout.or(all.ready_timeout);
    let ready_timeout = ready_timeout.unwrap_or(READY_TIMEOUT);
    if ready_timeout.is_zero() {
        return Err("ready_timeout` is zero: no service is ready within it".to_owned());
    }
    let stop_timeout = own.stop_timeout.or(all.stop_timeout);
    let stop_timeout = stop_timeout.unwrap_or(STOP_TIMEOUT);
    if stop_timeout > LONGEST_STOP {
        let longest = humantime::format_duration(LONGEST_STOP);
        return Err(format!("stop_timeout` is longer than {longest}"));
    }
    for variables in [&all.env, &own.env] {
        variables
            .iter()
            .try_for_each(|(name, value)| check_variable(name, value))
            .map_err(|why| format!("env`: {why}"))?;
    }
    Ok(Some(Service {
        name: name.clone(),
        command,
        cwd: match own.cwd.or(all.cwd) {
            Some(cwd) => root.join(cwd),
            None => root.to_owned(),
        },
        variables: vec![(all.env_file, all.env), (own.env_file, own.env)],
        ready,
        ready_timeout,
        stop_timeout,
        log: own.log.or(all.log).map(|path| root.join(path)),
        root: root.to_owned(),
    }))
}

/// Whether a service can be given the variable. Its value is not part of the message.
fn check_variable(name: &str, value: &str) -> Result<(), String> {
    if !env_file::is_name(name) {
        return Err(format!("`{name}` cannot be the name of a variable"));
    }
    if NOT_HANDED_ON.iter().any(|prefix| name.starts_with(prefix)) {
        return Err(format!(
            "`{name}` is what supervisors tell the programs that they start"
        ));
    }
    if value.contains('\0') {
        return Err(format!("the value of `{name}` holds a zero byte"));
    }
    Ok(())
}

impl Service {
    /// What its keeper is told, its files of variables read now. `given` are variables that every
    /// service of the environment gets, below its own; `log` is where its log is by default.
    pub(crate) fn describe(
        &self,
        given: impl IntoIterator<Item = (String, String)>,
        log: PathBuf,
    ) -> Result<ServiceDescription, WorkspaceError> {
        let mut env: BTreeMap<String, String> = given.into_iter().collect();
        for (file, table) in &self.variables {
            if let Some(path) = file {
                let key = format!("[services.{}] env_file", self.name);
                let read = read_env_file(&self.root, &key, path)?;
                for (name, value) in &read {
                    check_variable(name, value).map_err(|why| {
                        let path = path.display();
                        senseless(&self.root, format!("`{key}` is `{path}`, in which {why}"))
                    })?;
                }
                env.extend(read);
            }
            env.extend(table.clone());
        }
        Ok(ServiceDescription {
            name: self.name.clone(),
            command: self.command.clone(),
            cwd: self.cwd.clone(),
            env,
            ready: self.ready.clone(),
            ready_timeout: self.ready_timeout,
            stop_timeout: self.stop_timeout,
            crash_delay: Limits::default().crash_delay,
            log: self.log.clone().unwrap_or(log),
        })
    }
}

#[cfg(test)]
mod tests {
    use lockgate_model::EnvName;

    use super::super::detect::Detected;
    use super::super::resolve::resolve;
    use super::*;

    fn resolved(root: &Path, text: &str) -> Result<Vec<Service>, String> {
        let file = File::parse(Path::new("lockgate.toml"), text).unwrap();
        let env = EnvName::parse("dev-001").unwrap();
        resolve(root, &file, &env, &Detected::default())
            .map(|found| found.services)
            .map_err(|error| error.to_string())
    }

    fn described(root: &Path, text: &str) -> ServiceDescription {
        let services = resolved(root, text).unwrap();
        assert_eq!(services.len(), 1);
        let given = [("ENV_NAME".to_owned(), "dev-001".to_owned())];
        services[0].describe(given, "/default.log".into()).unwrap()
    }

    const SHORT: &str = "[services.ganymede]\ncommand = ['node', 'main.js']\n";

    #[test]
    fn what_is_left_out_has_defaults() {
        let found = described(Path::new("/w"), SHORT);
        let expected = ServiceDescription {
            name: ServiceName::parse("ganymede").unwrap(),
            command: vec!["node".into(), "main.js".into()],
            cwd: "/w".into(),
            env: [("ENV_NAME".to_owned(), "dev-001".to_owned())].into(),
            ready: None,
            ready_timeout: Duration::from_secs(20),
            stop_timeout: Duration::from_secs(10),
            crash_delay: Duration::from_secs(3),
            log: "/default.log".into(),
        };
        assert!(
            found == expected,
            "{}",
            serde_json::to_string(&found).unwrap()
        );
        assert_eq!(resolved(Path::new("/w"), "").unwrap(), []);
    }

    #[test]
    fn an_environment_replaces_single_keys_and_variables() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
        write("all", "A=all-file\nB=all-file\nC=all-file\nENV_NAME=mine").unwrap();
        write("own", "C=own-file\nD=own-file").unwrap();
        let text = format!(
            "{SHORT}cwd = 'dist'\nready = 'tcp://127.0.0.1:1'\nready_timeout = '5s'\nstop_timeout = '1s'\n\
             env_file = 'all'\nenv = {{ B = 'all', C = 'all', D = 'all' }}\nlog = 'logs/a.log'\n\
             [env.dev-001.services.ganymede]\nready = 'http://127.0.0.1:2/'\nenv_file = 'own'\n\
             env = {{ D = 'own' }}\n[env.other.services.ganymede]\ncwd = 'no'\n"
        );
        let found = described(folder.path(), &text);
        assert_eq!(found.cwd, folder.path().join("dist"));
        assert_eq!(found.log, folder.path().join("logs/a.log"));
        assert_eq!(found.ready.unwrap().to_string(), "http://127.0.0.1:2/");
        assert_eq!(found.ready_timeout, Duration::from_secs(5));
        assert_eq!(found.stop_timeout, Duration::from_secs(1));
        let all: Vec<String> = found.env.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(
            all,
            [
                "A=all-file",
                "B=all",
                "C=own-file",
                "D=own",
                "ENV_NAME=mine"
            ]
        );
    }

    #[test]
    fn an_environment_may_have_a_service_of_its_own_or_none() {
        let root = Path::new("/w");
        let names = |text: &str| -> Vec<String> {
            let found = resolved(root, text).unwrap();
            found.iter().map(|it| it.name.to_string()).collect()
        };
        let own = "[env.dev-001.services.db]\ncommand = ['db']\n";
        assert_eq!(names(&format!("{SHORT}{own}")), ["db", "ganymede"]);
        let none = "[env.dev-001.services.ganymede]\ncommand = []\n";
        assert_eq!(names(&format!("{SHORT}{none}")), [] as [String; 0]);
        let other = "[env.other.services.db]\ncommand = ['db']\n";
        assert_eq!(names(other), [] as [String; 0]);
        // A check that is empty is none.
        let text =
            format!("{SHORT}ready = 'tcp://a:1'\n[env.dev-001.services.ganymede]\nready = ''");
        assert_eq!(described(root, &text).ready, None);
    }

    #[test]
    fn everything_that_makes_no_sense_is_told_at_once() {
        for (more, expected) in [
            (
                "ready = 'https://a'",
                "`[services.ganymede] ready`: `https://a` is not like",
            ),
            ("ready_timeout = '0s'", "ready_timeout` is zero"),
            ("stop_timeout = '6m'", "stop_timeout` is longer than 5m"),
            ("env = { 'A B' = '' }", "env`: `A B` cannot be"),
            (
                "env = { LISTEN_FDS = '1' }",
                "`LISTEN_FDS` is what supervisors",
            ),
            ("env = { A = \"x\\u0000\" }", "`A` holds a zero byte"),
        ] {
            let error = resolved(Path::new("/w"), &format!("{SHORT}{more}")).unwrap_err();
            assert!(
                error.starts_with("`/w/lockgate.toml`: ") && error.contains(expected),
                "{error}"
            );
        }
        let error = resolved(
            Path::new("/w"),
            "[services.a]\ncwd = '.'\n[services.b]\ncommand = ['']",
        );
        let expected = "`/w/lockgate.toml`: `[services.a] command` is missing: what shall be started?; \
                        `[services.b] command` names no program";
        assert_eq!(error.unwrap_err(), expected);
    }

    #[test]
    fn a_file_of_variables_is_missed_when_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let services = resolved(folder.path(), &format!("{SHORT}env_file = '.env'")).unwrap();
        let error = |services: &[Service]| {
            let described = services[0].describe([], "/l".into());
            described.err().unwrap().to_string()
        };
        let said = error(&services);
        assert!(
            said.contains("`[services.ganymede] env_file` is `.env`, which cannot be read"),
            "{said}"
        );
        std::fs::write(folder.path().join(".env"), "LISTEN_PID=secret").unwrap();
        let said = error(&services);
        assert!(said.contains("in which `LISTEN_PID` is"), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}
