//! The services of the host that an environment has: which, whether each shall run, and what their
//! keepers are told.
//!
//! ```text
//! lockgate.toml ─▶ describe ─▶ renew ─▶ env.toml  [[services]]
//!                                    └▶ services/NAME/service.json  0600
//! ```
//!
//! What lockgate.toml says counts from when a service is brought up to date, so that an edit of it
//! changes nothing by itself. Whoever changes something holds the `DeployLock` and calls
//! `ControlClient::changed` afterwards.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use lockgate_model::{EnvName, ServiceDescription, ServiceName, environment as variable};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};

use super::{Environment, EnvironmentError};
use crate::home::{Home, durable, make_private};
use crate::workspace::{WorkspaceError, services as workspace};

/// How often it is looked meanwhile whether keepers have ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A service as its environment remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Service {
    /// Its name.
    pub(crate) name: ServiceName,
    /// Whether it shall run; `lockgate stop` clears it.
    pub(crate) enabled: bool,
    /// How often a restart was asked for.
    #[serde(default)]
    pub(crate) restart: u64,
}

/// What became of an environment's services.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Renewed {
    /// Those that it has from now on.
    pub(crate) added: Vec<ServiceName>,
    /// Those that are described otherwise than before.
    pub(crate) changed: Vec<ServiceName>,
    /// Those that it has no more.
    pub(crate) gone: Vec<ServiceName>,
}

impl Renewed {
    /// Whether everything is as it was.
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What a keeper is told of each of these services, their files of variables read now.
pub(crate) fn describe(
    home: &Home,
    environment: &Environment,
    services: &[workspace::Service],
) -> Result<Vec<ServiceDescription>, WorkspaceError> {
    let one = |service: &workspace::Service| {
        let given = [
            (variable::ENV_NAME, environment.name.to_string()),
            (variable::DOMAIN, environment.domain.clone()),
            (variable::GANYMEDE_FQDN, environment.ganymede_fqdn()),
        ];
        let given = given.map(|(name, value)| (name.to_owned(), value));
        let log = home.service_log(&environment.name, &service.name);
        service.describe(given, log)
    };
    services.iter().map(one).collect()
}

/// What its keeper was told last; `None` where that cannot be read.
pub(crate) fn described(
    home: &Home,
    env: &EnvName,
    name: &ServiceName,
) -> Option<ServiceDescription> {
    let text = fs::read(home.service_file(env, name)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Writes down what a keeper is told, in the folder of the service.
pub(crate) fn write(folder: &Path, description: &ServiceDescription) -> io::Result<()> {
    make_private(folder).map_err(io::Error::other)?;
    let text = serde_json::to_vec_pretty(description)?;
    durable::write(&folder.join("service.json"), &text)
}

/// A service that is wanted to run.
pub(crate) fn wanted(name: &ServiceName) -> Service {
    Service {
        name: name.clone(),
        enabled: true,
        restart: 0,
    }
}

/// Makes these the environment's services. Those that it had already are wanted as before.
pub(crate) fn renew(
    home: &Home,
    env: &EnvName,
    all: &[ServiceDescription],
) -> Result<Renewed, EnvironmentError> {
    let mut environment = Environment::load(home, env)?;
    let mut renewed = Renewed::default();
    for description in all {
        take(home, &mut environment, description, &mut renewed)?;
    }
    let is_there = |service: &Service| all.iter().any(|one| one.name == service.name);
    let gone = environment.services.extract_if(.., |it| !is_there(it));
    renewed.gone = gone.map(|service| service.name).collect();
    if !renewed.is_nothing() {
        environment.save(home)?;
    }
    Ok(renewed)
}

/// Brings one service up to date that shall run from now on. With `again` it is started again also
/// where nothing changed. Whether it ran before as it shall now.
pub(crate) fn renew_one(
    home: &Home,
    env: &EnvName,
    description: &ServiceDescription,
    again: bool,
) -> Result<bool, EnvironmentError> {
    let mut environment = Environment::load(home, env)?;
    let mut renewed = Renewed::default();
    take(home, &mut environment, description, &mut renewed)?;
    let mut same = renewed.is_nothing() && !again;
    for service in &mut environment.services {
        if service.name == description.name {
            same &= service.enabled;
            service.enabled = true;
            service.restart += u64::from(again);
        }
    }
    if !same {
        environment.save(home)?;
    }
    Ok(same)
}

/// Has those started again that are named, where they shall run.
pub(crate) fn again(
    home: &Home,
    env: &EnvName,
    names: &[ServiceName],
) -> Result<(), EnvironmentError> {
    let mut environment = Environment::load(home, env)?;
    for service in &mut environment.services {
        if service.enabled && names.contains(&service.name) {
            service.restart += 1;
        }
    }
    environment.save(home)
}

/// Takes a service's description in, where it is another one than before.
fn take(
    home: &Home,
    environment: &mut Environment,
    description: &ServiceDescription,
    renewed: &mut Renewed,
) -> Result<(), EnvironmentError> {
    let (env, name) = (environment.name.clone(), &description.name);
    let known = environment.services.iter().any(|one| one.name == *name);
    if !known {
        renewed.added.push(name.clone());
        environment.services.push(wanted(name));
        environment.services.sort_by(|a, b| a.name.cmp(&b.name));
    } else if described(home, &env, name).as_ref() == Some(description) {
        return Ok(());
    } else {
        renewed.changed.push(name.clone());
    }
    let folder = home.service_dir(&env, name);
    write(&folder, description).map_err(|source| EnvironmentError::File {
        path: home.service_file(&env, name),
        source,
    })
}

impl Environment {
    /// Sets `enabled` of one service or all, and writes it down. Returns those that changed.
    pub(crate) fn enable_services(
        &mut self,
        home: &Home,
        name: Option<&ServiceName>,
        enabled: bool,
    ) -> Result<Vec<ServiceName>, EnvironmentError> {
        let mut changed = Vec::new();
        for service in &mut self.services {
            if name.is_none_or(|name| *name == service.name) && service.enabled != enabled {
                service.enabled = enabled;
                changed.push(service.name.clone());
            }
        }
        if !changed.is_empty() {
            self.save(home)?;
        }
        Ok(changed)
    }
}

/// Removes what is left of services that the environment has no more, once they have ended. What
/// stays is said, a sentence each.
pub(crate) async fn forget(
    home: &Home,
    env: &EnvName,
    names: &[ServiceName],
    limit: Duration,
) -> Vec<String> {
    let mut left = ended(home, env, names, limit).await;
    if left.is_empty() {
        for name in names {
            let folder = home.service_dir(env, name);
            if let Err(error) = fs::remove_dir_all(&folder)
                && error.kind() != io::ErrorKind::NotFound
            {
                left.push(format!("`{}` stays: {error}", folder.display()));
            }
        }
    }
    left
}

/// Waits for the end of services' keepers; those that run on are said, a sentence each. Without a
/// server they end by themselves, since their input is closed.
pub(crate) async fn ended(
    home: &Home,
    env: &EnvName,
    names: &[ServiceName],
    limit: Duration,
) -> Vec<String> {
    let deadline = Instant::now() + limit;
    let mut running: Vec<&ServiceName> = names.iter().collect();
    loop {
        running.retain(|name| is_kept(&home.service_state(env, name)));
        let next = Instant::now() + LOOK_EVERY;
        if running.is_empty() || next > deadline {
            break;
        }
        sleep_until(next).await;
    }
    let said = |name: &&ServiceName| format!("the service `{name}` of `{env}` still runs");
    running.iter().map(said).collect()
}

/// Whether a keeper works in this folder: it holds a lock there, however it ends.
fn is_kept(folder: &Path) -> bool {
    let path = folder.join("agent.lock");
    path.exists() && durable::open_lock(&path).is_ok_and(|file| file.try_lock().is_err())
}

#[cfg(test)]
mod tests;
