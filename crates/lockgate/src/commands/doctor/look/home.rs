//! What there is of the home.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use lockgate_model::EnvName;
use nix::unistd::getuid;

use super::super::check::{Check, Group};
use super::super::home::{self, Left, Seen};
use super::{Facts, apart, of_files};
use crate::certificates::KEY;
use crate::environment::{Environment, EnvironmentError};
use crate::home::Home;

const GROUP: Group = Group::Home;
/// Secrets of an environment, below its folder; those of gateways, services and TLS lie deeper.
const OF_ENVIRONMENT: [&str; 3] = ["key", "token-key", "variables.json"];
/// Secrets of a gateway, below its own.
const OF_GATEWAY: [&str; 3] = ["token", "app-token", "app-token.renewed"];

/// What is written down of environments.
#[derive(Default)]
pub(super) struct Known {
    pub(super) read: Vec<Environment>,
    pub(super) broken: Vec<(EnvName, EnvironmentError)>,
    /// Why there are none of either.
    pub(super) unreadable: Option<EnvironmentError>,
    /// Whether the home has not answered.
    late: bool,
}

impl Known {
    /// What other commands say of an environment that is none, where that is known.
    pub(super) fn unknown(&self, env: &EnvName) -> Option<EnvironmentError> {
        let read = self.read.iter().map(|it| &it.name);
        let all: Vec<&EnvName> = read.chain(self.broken.iter().map(|(env, _)| env)).collect();
        if self.late || self.unreadable.is_some() || all.contains(&env) {
            return None;
        }
        Some(EnvironmentError::Unknown {
            env: env.clone(),
            known: all.into_iter().cloned().collect(),
        })
    }
}

/// Reads every environment; one that is broken hides none of the others.
pub(super) async fn environments(home: &Home) -> Known {
    let home = home.clone();
    // What hangs is told of when the home is looked at.
    apart(move || known(&home)).await.unwrap_or(Known {
        late: true,
        ..Known::default()
    })
}

fn known(home: &Home) -> Known {
    let mut known = Known::default();
    let names = match Environment::names(home) {
        Ok(names) => names,
        Err(error) => {
            known.unreadable = Some(error);
            return known;
        }
    };
    for env in names {
        match Environment::load(home, &env) {
            Ok(environment) => known.read.push(environment),
            // Deleted since its name was read.
            Err(EnvironmentError::Unknown { .. }) => {}
            Err(error) => known.broken.push((env, error)),
        }
    }
    known
}

pub(super) async fn look(facts: &Facts<'_>) -> Vec<Check> {
    let home = facts.ctx.config.home.clone();
    let user = getuid().as_raw();
    let marked: Vec<Left> = facts
        .environments
        .iter()
        .filter(|it| it.deleting)
        .map(|it| Left::Marked(it.name.clone()))
        .collect();
    let mut all = of_files(GROUP, "folder", move || {
        let folder = home::folder(home.dir(), seen(home.dir()).as_ref(), user);
        let secrets = home::secrets(secrets(&home).as_deref(), user);
        let left = marked.into_iter().chain(left(&home));
        let mut checks = vec![
            Check::new(GROUP, "folder", folder),
            Check::new(GROUP, "secrets", secrets),
        ];
        checks.extend(left.map(|one| {
            let check = Check::new(GROUP, "left-overs", home::left(&one));
            match &one {
                Left::Made(_) => check,
                Left::Marked(env) | Left::Folder(env, _) => check.of_env(env),
            }
        }));
        checks
    })
    .await;
    let names: Vec<EnvName> = facts
        .environments
        .iter()
        .map(|it| it.name.clone())
        .collect();
    if let Some(error) = &facts.unreadable {
        all.push(Check::new(
            GROUP,
            "environments",
            home::broken(&error.told()),
        ));
    } else {
        all.push(Check::new(
            GROUP,
            "environments",
            home::environments(&names, facts.broken.len()),
        ));
    }
    for (env, error) in &facts.broken {
        all.push(Check::new(GROUP, "env.toml", home::broken(&error.told())).of_env(env));
    }
    all
}

fn seen(path: &Path) -> Option<Seen> {
    let found = fs::metadata(path).ok()?;
    Some(of(path, &found))
}

fn of(path: &Path, found: &Metadata) -> Seen {
    Seen {
        path: path.to_owned(),
        mode: found.mode() & 0o777,
        owner: found.uid(),
    }
}

/// Every file that is to be read by its owner alone, as far as it is there; `None` where that cannot
/// be seen.
fn secrets(home: &Home) -> Option<Vec<Seen>> {
    if let Err(error) = fs::read_dir(home.envs_dir())
        && error.kind() != ErrorKind::NotFound
    {
        return None;
    }
    let mut files = entries(&home.nginx_dir().join("certificates"));
    files.push(home.ca_dir().join(KEY));
    for env in entries(&home.envs_dir()) {
        files.extend(OF_ENVIRONMENT.map(|name| env.join(name)));
        files.extend(entries(&env.join("tls")));
        for gateway in entries(&env.join("gateways")) {
            files.extend(OF_GATEWAY.map(|name| gateway.join(name)));
        }
        let services = entries(&env.join("services")).into_iter();
        files.extend(services.map(|service| service.join("service.json")));
    }
    Some(files.iter().filter_map(|path| seen(path)).collect())
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> = entries.map(|it| it.path()).collect();
    all.sort();
    all
}

/// What interrupted commands have left among environments.
fn left(home: &Home) -> Vec<Left> {
    let one = |path: PathBuf| {
        let name = path.file_name()?.to_str()?;
        if name.starts_with(".new-") {
            return Some(Left::Made(path));
        }
        let env = EnvName::parse(name).ok()?;
        let is_bare = path.is_dir() && !path.join("env.toml").exists();
        is_bare.then_some(Left::Folder(env, path))
    };
    entries(&home.envs_dir())
        .into_iter()
        .filter_map(one)
        .collect()
}
