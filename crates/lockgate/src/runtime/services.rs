//! Services of the host: an agent for each keeps it running, as a child process of the server.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lockgate_model::environment::LOCKGATE_CA_FILE;
use lockgate_model::{Digest, EnvName, ServiceDescription, ServiceName, ServiceReport};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::keepers::{AgentSpec, Keepers, Program, Seen};
use crate::home::Home;

/// What a keeper may take for itself, beside what its service may.
const OWN_END: Duration = Duration::from_secs(5);

/// A service of an environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Id {
    env: EnvName,
    name: ServiceName,
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.name, self.env)
    }
}

/// The services of all environments.
#[derive(Debug)]
pub(crate) struct Services {
    keepers: Keepers<Id>,
}

/// A service as it is kept. Two that are equal are the same running service.
pub(crate) struct ServiceSpec {
    name: ServiceName,
    agent: AgentSpec,
}

/// What is seen of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ObservedService {
    /// Its keeper's process.
    pub(crate) agent_pid: Option<u32>,
    /// Why the keeper does not run, or did not the last time.
    pub(crate) agent_problem: Option<String>,
    /// What the keeper says.
    pub(crate) report: Option<ServiceReport>,
}

impl ServiceSpec {
    /// Reads what the service's file says. `restart` grows with each restart that is asked for.
    pub(crate) fn read(
        home: &Home,
        env: &EnvName,
        name: &ServiceName,
        restart: u64,
    ) -> io::Result<Self> {
        let folder = home.service_state(env, name);
        let path = home.service_file(env, name);
        let mut agent = keeper(folder, path, restart)?;
        agent
            .variables
            .push((LOCKGATE_CA_FILE, home.trusted_file().into()));
        Ok(Self {
            name: name.clone(),
            agent,
        })
    }
}

/// The agent that keeps what this file describes, and works in this folder.
pub(super) fn keeper(folder: PathBuf, path: PathBuf, restart: u64) -> io::Result<AgentSpec> {
    let text = std::fs::read(&path)?;
    let description: ServiceDescription = serde_json::from_slice(&text)?;
    std::fs::create_dir_all(&folder)?;
    let arguments: [PathBuf; 5] = [
        "supervise".into(),
        "--stop-on-stdin-eof".into(),
        "--state".into(),
        folder.clone(),
        path,
    ];
    let content = Digest::from_bytes(Sha256::digest(&text).into());
    Ok(AgentSpec {
        folder,
        arguments: arguments.map(Into::into).into(),
        variables: Vec::new(),
        content: Some((content, restart)),
        tells: true,
        quiet_end: description.stop_timeout + OWN_END,
    })
}

impl ObservedService {
    /// What a keeper is seen to do, and says.
    pub(super) fn of(seen: Seen) -> Self {
        let told = seen.told.as_deref();
        let report: Option<ServiceReport> = told.and_then(|line| serde_json::from_str(line).ok());
        Self {
            agent_pid: seen.pid,
            // Who speaks for itself is past what ended the one before.
            agent_problem: seen.problem.filter(|_| report.is_none()),
            report,
        }
    }
}

impl Services {
    /// No services yet.
    pub(crate) fn new(program: Arc<Program>) -> Self {
        Self {
            keepers: Keepers::new(program),
        }
    }

    /// Makes an environment run exactly these; returns when those that are not wanted, or not as
    /// they were, have ended. The others are started, not awaited. What runs of those that are
    /// `unclear` stays as it is.
    pub(crate) async fn reconcile(
        &self,
        env: &EnvName,
        wanted: Vec<ServiceSpec>,
        unclear: &[ServiceName],
    ) {
        let id = |name| Id {
            env: env.clone(),
            name,
        };
        let wanted = wanted.into_iter().map(|spec| (id(spec.name), spec.agent));
        let meant = |id: &Id| id.env == *env && !unclear.contains(&id.name);
        self.keepers.reconcile(meant, wanted.collect()).await;
    }

    /// What is known of a service; `None` when it is not wanted.
    pub(crate) fn observe(&self, env: &EnvName, name: &ServiceName) -> Option<ObservedService> {
        let seen = self.keepers.see(&Id {
            env: env.clone(),
            name: name.clone(),
        })?;
        Some(ObservedService::of(seen))
    }

    /// Changes whenever `observe` may answer something else.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.keepers.changes()
    }

    /// Ends all, and returns when they are gone.
    pub(crate) async fn end_all(&self) {
        self.keepers.end_all().await;
    }
}

#[cfg(test)]
mod tests;
