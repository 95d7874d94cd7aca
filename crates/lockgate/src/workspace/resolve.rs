//! lockgate.toml and the defaults made into what one environment needs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lockgate_builds::pack::Part;
use lockgate_builds::validate::Rules;
use lockgate_model::{Allowance, AppSettings, EnvName, FilePath, Limits, Strategy};

use super::detect::{self, Detected};
use super::file::{AppTable, File, LimitsTable, PartTable, RegistrationTable};
use super::front::front;
use super::secrets::allowed;
use super::services::{Service, services};
use super::validate::rules;
use super::vpn::vpn;
use super::{FILE_NAME, WorkspaceError, env_file};
use crate::deploy::strategy::DeployStrategy;
use crate::environment::docker::DockerSettings;
use crate::environment::front::FrontSettings;
use crate::environment::registration::Registration;
use crate::environment::vpn::VpnSettings;

/// What to build, check, pack and start for one environment.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    /// The command that makes the bundle.
    pub(crate) build_command: Option<String>,
    /// The bundle that is started, absolute.
    pub(crate) bundle: PathBuf,
    /// Globs of bundles to validate, relative to the workspace.
    pub(crate) validate: Vec<String>,
    /// What they must not hold.
    pub(crate) rules: Rules,
    /// Fingerprints of secrets that may be packed.
    pub(crate) allowed_secrets: BTreeSet<String>,
    /// Folders with sources, absolute.
    pub(crate) sources: Vec<PathBuf>,
    /// What is packed, relative to the workspace.
    pub(crate) parts: Vec<Part>,
    /// In which order gateways get a build.
    pub(crate) strategy: DeployStrategy,
    /// How the application is started.
    pub(crate) app: AppSettings,
    /// What registers new gateways, if something does.
    pub(crate) registration: Option<Registration>,
    /// What containers are made from.
    pub(crate) docker: DockerSettings,
    /// What it has at the front door.
    pub(crate) front: FrontSettings,
    /// What clients of gateways' VPNs may reach.
    pub(crate) vpn: VpnSettings,
    /// The services of the host, by name.
    pub(crate) services: Vec<Service>,
}

/// Applies defaults < file < the environment's own table.
pub(crate) fn resolve(
    root: &Path,
    file: &File,
    env: &EnvName,
    detected: &Detected,
) -> Result<Resolved, WorkspaceError> {
    let own = file.env.get(env).cloned().unwrap_or_default();
    let build = file.build.clone();
    let bundle = own
        .build
        .bundle
        .or(build.bundle)
        .unwrap_or_else(|| detect::BUNDLE.into());
    let command = own
        .build
        .command
        .or(build.command)
        .or_else(|| detected.build_command.clone());
    let sources = own.build.sources.or(build.sources);
    let sources = sources.unwrap_or_else(|| detected.sources.iter().map(PathBuf::from).collect());
    Ok(Resolved {
        build_command: command.filter(|command| !command.trim().is_empty()),
        validate: own
            .build
            .validate
            .or(build.validate)
            .unwrap_or_else(|| vec![detect::VALIDATE.to_owned()]),
        rules: rules(root, &file.validate)?,
        allowed_secrets: allowed(root, &file.secrets)?,
        sources: sources.iter().map(|source| root.join(source)).collect(),
        parts: parts(root, own.pack.parts.or_else(|| file.pack.parts.clone()))?,
        strategy: own
            .deploy
            .strategy
            .or(file.deploy.strategy)
            .unwrap_or_default(),
        app: app(root, &file.app, &own.app)?,
        registration: registration(root, &file.registration, &own.registration)?,
        bundle: root.join(bundle),
        docker: docker(root, &file.docker)?,
        front: front(root, &file.front, &own.front)?,
        vpn: vpn(root, &file.vpn, &own.vpn)?,
        services: services(root, file, &own.services)?,
    })
}

/// Everything that is wrong for an environment, table by table; nothing where `resolve` resolves.
pub(super) fn problems(root: &Path, file: &File, env: &EnvName) -> Vec<WorkspaceError> {
    let own = file.env.get(env).cloned().unwrap_or_default();
    let packed = own.pack.parts.or_else(|| file.pack.parts.clone());
    let each = [
        rules(root, &file.validate).err(),
        allowed(root, &file.secrets).err(),
        parts(root, packed).err(),
        app(root, &file.app, &own.app).err(),
        registration(root, &file.registration, &own.registration).err(),
        docker(root, &file.docker).err(),
        front(root, &file.front, &own.front).err(),
        vpn(root, &file.vpn, &own.vpn).err(),
        services(root, file, &own.services).err(),
    ];
    each.into_iter().flatten().collect()
}

/// How long a platform may take to register one gateway: an answer of a slow API, and no more.
const REGISTRATION_TIMEOUT: Duration = Duration::from_mins(1);

fn registration(
    root: &Path,
    file: &RegistrationTable,
    own: &RegistrationTable,
) -> Result<Option<Registration>, WorkspaceError> {
    let timeout = own.timeout.or(file.timeout).unwrap_or(REGISTRATION_TIMEOUT);
    if timeout.is_zero() {
        let what = "`[registration] timeout` is zero: no command is done within it";
        return Err(senseless(root, what.to_owned()));
    }
    let command = own.command.clone().or_else(|| file.command.clone());
    let command = command.filter(|command| !command.is_empty());
    if command
        .as_ref()
        .is_some_and(|words| words.first().is_none_or(String::is_empty))
    {
        let what = "`[registration] command` names no program";
        return Err(senseless(root, what.to_owned()));
    }
    Ok(command.map(|command| Registration { command, timeout }))
}

/// Containers have ports of their own and reach the build server through a network's gateway.
fn docker(root: &Path, given: &DockerSettings) -> Result<DockerSettings, WorkspaceError> {
    let named = |what: &Option<String>| what.as_deref().is_some_and(|it| it.trim().is_empty());
    if named(&given.image) || named(&given.network) {
        let what = "`[docker] image` and `network` are names, not empty".to_owned();
        return Err(senseless(root, what));
    }
    match given.network() {
        network @ ("host" | "none") => Err(senseless(
            root,
            format!(
                "`[docker] network` is `{network}`: gateways need a network of their own, such as `bridge`"
            ),
        )),
        network if network.starts_with("container:") => Err(senseless(
            root,
            format!(
                "`[docker] network` is `{network}`: a gateway does not share another container's"
            ),
        )),
        _ => Ok(given.clone()),
    }
}

fn parts(root: &Path, given: Option<Vec<PartTable>>) -> Result<Vec<Part>, WorkspaceError> {
    let Some(given) = given else {
        let part = |(from, to, required): (&str, &str, bool)| Part {
            from: from.into(),
            to: to.to_owned(),
            required,
        };
        return Ok(detect::PARTS.map(part).into());
    };
    if given.is_empty() {
        return Err(senseless(
            root,
            "`[pack] parts` is empty: there is nothing to pack".to_owned(),
        ));
    }
    for part in &given {
        FilePath::parse(&part.to)
            .map_err(|error| senseless(root, format!("`[pack] parts`: {error}")))?;
    }
    Ok(given
        .into_iter()
        .map(|PartTable { from, to, required }| Part { from, to, required })
        .collect())
}

fn app(root: &Path, file: &AppTable, own: &AppTable) -> Result<AppSettings, WorkspaceError> {
    let defaults = AppSettings::default();
    let mut settings = AppSettings {
        command: own
            .command
            .clone()
            .or_else(|| file.command.clone())
            .unwrap_or(defaults.command),
        cwd: own
            .cwd
            .clone()
            .or_else(|| file.cwd.clone())
            .unwrap_or(defaults.cwd),
        socket: own
            .socket
            .clone()
            .or_else(|| file.socket.clone())
            .unwrap_or(defaults.socket),
        ready: own
            .ready
            .clone()
            .or_else(|| file.ready.clone())
            .unwrap_or(defaults.ready),
        strategy: own.strategy.or(file.strategy).unwrap_or_default(),
        before_listen: own
            .before_listen
            .clone()
            .or_else(|| file.before_listen.clone())
            .unwrap_or_default(),
        limits: limits(&limits(&defaults.limits, &file.limits), &own.limits),
        env: defaults.env,
    };
    // A file is read before the table beside it, so that what is written here wins.
    for table in [file, own] {
        if let Some(path) = &table.env_file {
            settings
                .env
                .append(&mut read_env_file(root, "[app] env_file", path)?);
        }
        settings.env.extend(table.env.clone());
    }
    check(&settings).map_err(|what| senseless(root, what))?;
    Ok(settings)
}

fn limits(base: &Limits, over: &LimitsTable) -> Limits {
    Limits {
        ready: over.ready.unwrap_or(base.ready),
        linger: over.linger.unwrap_or(base.linger),
        drain: over.drain.unwrap_or(base.drain),
        grace: over.grace.unwrap_or(base.grace),
        trial: over.trial.unwrap_or(base.trial),
        crash_delay: over.crash_delay.unwrap_or(base.crash_delay),
    }
}

fn check(settings: &AppSettings) -> Result<(), String> {
    if settings.command.first().is_none_or(String::is_empty) {
        return Err("`[app] command` names no program".to_owned());
    }
    if settings.cwd != "." {
        FilePath::parse(&settings.cwd).map_err(|error| format!("`[app] cwd`: {error}"))?;
    }
    if let Some(name) = settings.env.keys().find(|name| !env_file::is_name(name)) {
        return Err(format!(
            "`[app] env`: `{name}` cannot be the name of a variable"
        ));
    }
    if settings
        .ready
        .http
        .as_ref()
        .is_some_and(|path| !path.starts_with('/'))
    {
        return Err("`[app.ready] http` is a path and starts with `/`".to_owned());
    }
    if settings.ready.tcp && settings.ready.http.is_some() {
        return Err("`[app.ready]` takes `http` or `tcp`, not both".to_owned());
    }
    if settings.ready.timeout.is_zero() {
        return Err("`[app.ready] timeout` is zero: no answer comes within it".to_owned());
    }
    check_strategy(settings)
}

/// Whether a new process can take over as it shall.
fn check_strategy(settings: &AppSettings) -> Result<(), String> {
    for entry in &settings.before_listen {
        Allowance::parse(entry).map_err(|error| format!("`[app] before_listen`: {error}"))?;
    }
    if settings.strategy == Strategy::Gated && !settings.is_node() {
        let program = settings.command.first().map_or("", String::as_str);
        return Err(format!(
            "`[app] strategy` is `gated`, and `[app] command` starts `{program}`: only Node itself can \
             be held at its first `listen`; start `node` with the script, or leave `strategy` at `auto`, \
             by which every other program is replaced cold"
        ));
    }
    Ok(())
}

/// Reads the file of variables that this key of lockgate.toml names.
pub(super) fn read_env_file(
    root: &Path,
    key: &str,
    path: &Path,
) -> Result<std::collections::BTreeMap<String, String>, WorkspaceError> {
    let named = path.display();
    let path = root.join(path);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let what = format!("`{key}` is `{named}`, which cannot be read: {error}");
        senseless(root, what)
    })?;
    env_file::parse(&text).map_err(|what| WorkspaceError::Senseless { path, what })
}

pub(super) fn senseless(root: &Path, what: String) -> WorkspaceError {
    WorkspaceError::Senseless {
        path: root.join(FILE_NAME),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> Result<Resolved, WorkspaceError> {
        let file = File::parse(Path::new("/w/lockgate.toml"), text).unwrap();
        let detected = Detected {
            build_command: Some("make".to_owned()),
            ..Detected::default()
        };
        resolve(
            Path::new("/w"),
            &file,
            &EnvName::parse("dev-001").unwrap(),
            &detected,
        )
    }

    #[test]
    fn without_a_file_the_default_layout_counts() {
        let found = resolved("").unwrap();
        assert_eq!(
            found.bundle,
            Path::new("/w/dist/packages/app-gateway/main.js")
        );
        assert_eq!(found.build_command.as_deref(), Some("make"));
        assert_eq!(found.app, AppSettings::default());
        let parts: Vec<_> = found
            .parts
            .iter()
            .map(|part| (part.to.as_str(), part.required))
            .collect();
        assert_eq!(parts, [("app-gateway", true), ("app", false)]);
    }

    #[test]
    fn an_environment_overrides_key_by_key() {
        let found = resolved(
            "[app]\ncwd = 'a'\nenv = { A = '1', B = '1' }\n[app.limits]\ngrace = '5s'\nready = '7s'\n\
             [env.dev-001.app]\nenv = { B = '2' }\n[env.dev-001.app.limits]\ngrace = '1s'\n\
             [env.dev-001.build]\ncommand = ''\n[env.other.app]\ncwd = 'no'",
        )
        .unwrap();
        assert_eq!(found.app.cwd, "a");
        assert_eq!(
            found.app.env,
            [("A", "1"), ("B", "2")]
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .into()
        );
        assert_eq!(found.app.limits.grace, Duration::from_secs(1));
        assert_eq!(found.app.limits.ready, Duration::from_secs(7));
        assert_eq!(found.build_command, None);
    }

    #[test]
    fn variables_are_taken_from_files_before_tables_and_from_the_environment_last() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("all"),
            "A=all-file\nB=all-file\nC=all-file\nD=all-file",
        )
        .unwrap();
        std::fs::write(folder.path().join("own"), "C=own-file\nD=own-file").unwrap();
        let text = "[app]\nenv_file = 'all'\nenv = { B = 'all', C = 'all', D = 'all' }\n\
             [env.dev-001.app]\nenv_file = 'own'\nenv = { D = 'own' }\n[env.other.app]\nenv = { A = 'no' }";
        let file = File::parse(Path::new("lockgate.toml"), text).unwrap();
        let env = EnvName::parse("dev-001").unwrap();
        let found = resolve(folder.path(), &file, &env, &Detected::default()).unwrap();
        let all: Vec<String> = (found.app.env.iter())
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        assert_eq!(all, ["A=all-file", "B=all", "C=own-file", "D=own"]);
    }

    #[test]
    fn an_environment_has_its_own_bundles_parts_and_registration() {
        let text = "[registration]\ncommand = ['register']\ntimeout = '5s'\n\
             [env.dev-001.build]\nbundle = 'own.js'\nvalidate = ['own/*.js']\n\
             [[env.dev-001.pack.parts]]\nfrom = 'own'\nto = 'app-gateway'\n";
        let found = resolved(text).unwrap();
        assert_eq!(found.bundle, Path::new("/w/own.js"));
        assert_eq!(found.validate, ["own/*.js"]);
        assert_eq!(found.parts.len(), 1);
        let registration = found.registration.unwrap();
        assert_eq!(registration.command, ["register"]);
        assert_eq!(registration.timeout, Duration::from_secs(5));
        let none = format!("{text}[env.dev-001.registration]\ncommand = []");
        assert_eq!(resolved(&none).unwrap().registration, None);
        assert_eq!(resolved("").unwrap().registration, None);
    }

    #[test]
    fn a_strategy_of_an_environment_replaces_the_one_for_all() {
        let strategy = |text| resolved(text).unwrap().strategy;
        assert_eq!(strategy(""), DeployStrategy::All);
        let rolling = "[deploy]\nstrategy = 'rolling'\n";
        assert_eq!(strategy(rolling), DeployStrategy::Rolling);
        let canary = format!("{rolling}[env.dev-001.deploy]\nstrategy = 'canary'");
        assert_eq!(strategy(&canary), DeployStrategy::Canary);
    }

    #[test]
    fn gated_is_for_node_alone() {
        let strategy = |text| resolved(text).unwrap().app.strategy;
        assert_eq!(strategy("[app]\nstrategy = 'gated'"), Strategy::Gated);
        let node = "[app]\nstrategy = 'gated'\ncommand = ['/opt/node22/bin/node', 'x.js']";
        assert_eq!(strategy(node), Strategy::Gated);
        let npm = "[app]\ncommand = ['npm', 'start']";
        assert_eq!(strategy(npm), Strategy::Auto);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let problems = |text: &str| {
            let file = File::parse(Path::new("/w/lockgate.toml"), text).unwrap();
            let env = EnvName::parse("dev-001").unwrap();
            let all = problems(Path::new("/w"), &file, &env);
            all.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let told = problems(
            "[app]\ncommand = []\n[docker]\nimage = ''\n[pack]\nparts = []\n\
             [env.dev-001.registration]\ntimeout = '0s'",
        );
        assert_eq!(told.len(), 4, "{told:?}");
        for part in [
            "`[pack] parts`",
            "`[app] command`",
            "`[registration] timeout`",
            "`[docker] image`",
        ] {
            assert!(told.iter().any(|one| one.contains(part)), "{told:?}");
        }
        assert_eq!(problems(""), Vec::<String>::new());
    }

    #[test]
    fn senseless_values_are_named() {
        for (text, expected) in [
            ("[app]\ncommand = []", "names no program"),
            ("[app]\ncwd = '../x'", "`[app] cwd`"),
            ("[app.env]\n'A B' = 'x'", "`A B`"),
            ("[app.ready]\nhttp = 'health'", "starts with `/`"),
            ("[app.ready]\nhttp = '/h'\ntcp = true", "not both"),
            ("[app.ready]\ntimeout = '0s'", "timeout` is zero"),
            ("[app]\nbefore_listen = ['/etc']", "`/etc` is not one of"),
            (
                "[app]\nstrategy = 'gated'\ncommand = ['npm', 'start']",
                "`[app] command` starts `npm`: only Node itself can be held",
            ),
            ("[docker]\nnetwork = 'host'", "`[docker] network` is `host`"),
            ("[docker]\nimage = ''", "not empty"),
            ("[pack]\nparts = []", "nothing to pack"),
            ("[registration]\ncommand = ['']", "names no program"),
            ("[registration]\ntimeout = '0s'", "timeout` is zero"),
            ("[[pack.parts]]\nfrom = 'a'\nto = '/etc'", "`/etc`"),
        ] {
            let error = resolved(text).unwrap_err().to_string();
            assert!(
                error.contains(expected) && error.contains("/w/lockgate.toml"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_missing_env_file_is_named() {
        let error = resolved("[app]\nenv_file = 'nowhere.env'")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(
                "`/w/lockgate.toml`: `[app] env_file` is `nowhere.env`, which cannot be read: No such"
            ),
            "{error}"
        );
    }
}
