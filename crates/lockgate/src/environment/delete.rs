//! Ends an environment: its gateways, its builds, its ports, its files.
//!
//! It is marked first, so that a server starts nothing of it any more, and so that a second call
//! finishes what a first one left. Then everything is tried; what stays behind is said.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lockgate_builds::store::Store;
use lockgate_model::{EnvName, GatewayName};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until};

use super::lock::DeployLock;
use super::{Environment, EnvironmentError, RuntimeKind, services};
use crate::home::{Home, durable};
use crate::runtime::docker;
use crate::runtime::docker::address::{AddressError, EngineAddress};
use crate::server::control::ControlClient;

/// How long agents whose server is gone may take to end: their way to the end without a TERM.
pub(super) const AGENTS_END: Duration = Duration::from_secs(15);
/// What a service's keeper may take beside what its service may.
const OWN_END: Duration = Duration::from_secs(5);
/// How often an agent is asked for meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Ends the gateways (through the server, when one runs), then removes builds, statements and files.
/// Goes on after a failure; returns what was left behind, a sentence each, empty when all is gone.
/// The lock's file is removed with the others. Where containers stay, so do the files: they are what
/// a second call, or a server that finds the engine again, knows them by.
pub(crate) async fn delete(
    home: &Home,
    store: &Store,
    env: &EnvName,
    server: Option<&ControlClient>,
    engine: &Result<EngineAddress, AddressError>,
    _lock: DeployLock,
) -> Result<Vec<String>, EnvironmentError> {
    let environment = Environment::load(home, env);
    let mut left = Vec::new();
    match environment {
        Ok(mut environment) => {
            environment.deleting = true;
            environment.save(home)?;
            left.extend(tell(server, env).await);
            if environment.runtime == RuntimeKind::Docker {
                let stays = remove_containers(home, engine, env).await;
                if !stays.is_empty() {
                    left.extend(stays);
                    return Ok(left);
                }
            } else {
                let all = environment.gateways.iter();
                let names: Vec<_> = all.map(|one| environment.gateway_name(one)).collect();
                left.extend(end_agents(home, &names, AGENTS_END).await.said);
            }
            left.extend(end_services(home, &environment).await);
        }
        // A folder without its file is what an interrupted removal leaves.
        Err(EnvironmentError::Unknown { .. }) => {}
        Err(error) => return Err(error),
    }
    left.extend(remove(home, store, env));
    Ok(left)
}

/// What became of gateways that are not wanted any more.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// Those whose agents run on.
    pub(super) running: Vec<GatewayName>,
    /// What is to be said, a sentence each.
    pub(super) said: Vec<String>,
}

/// Has the server end gateways that `env.toml` does not want any more, and waits until
/// their agents have ended.
pub(super) async fn end_gateways(
    home: &Home,
    env: &EnvName,
    names: &[GatewayName],
    server: Option<&ControlClient>,
    limit: Duration,
) -> Ended {
    let told = tell(server, env).await;
    let mut ended = end_agents(home, names, limit).await;
    ended.said.splice(0..0, told);
    ended
}

/// Has the server end the gateways, where one runs.
async fn tell(server: Option<&ControlClient>, env: &EnvName) -> Option<String> {
    let error = server?.changed(env).await.err()?;
    Some(format!("{error}: {}", error.source))
}

/// Removes what the server has left, or all where none runs.
async fn remove_containers(
    home: &Home,
    engine: &Result<EngineAddress, AddressError>,
    env: &EnvName,
) -> Vec<String> {
    match home.id() {
        Ok(id) => docker::remove::remove(engine, &id, env).await,
        Err(error) => vec![format!("the containers of `{env}` stay: {error}")],
    }
}

/// Waits for the end of services, as long as they may take.
async fn end_services(home: &Home, environment: &Environment) -> Vec<String> {
    let env = &environment.name;
    let services = environment.services.iter();
    let names: Vec<_> = services.map(|service| service.name.clone()).collect();
    let described = names
        .iter()
        .filter_map(|name| services::described(home, env, name));
    let longest = described.map(|it| it.stop_timeout).max();
    let limit = AGENTS_END.max(longest.unwrap_or_default() + OWN_END);
    services::ended(home, env, &names, limit).await
}

/// Waits for the agents' end; what still runs afterwards is said.
async fn end_agents(home: &Home, names: &[GatewayName], limit: Duration) -> Ended {
    let mut ended = Ended::default();
    // Without a server they end by themselves, since their input is closed.
    let deadline = Instant::now() + limit;
    for name in names {
        let socket = home.agent_socket(name);
        if gone_by(&socket, deadline).await {
            // A socket that nobody answers is only a file.
            let _ = fs::remove_file(&socket);
        } else {
            ended.said.push(format!(
                "the agent of `{name}` still runs; it answers at `{}`",
                socket.display()
            ));
            ended.running.push(name.clone());
        }
    }
    ended
}

/// Whether nobody answers at a socket any more before the deadline.
async fn gone_by(socket: &Path, deadline: Instant) -> bool {
    while UnixStream::connect(socket).await.is_ok() {
        let next = Instant::now() + LOOK_EVERY;
        if next > deadline {
            return false;
        }
        sleep_until(next).await;
    }
    true
}

/// Removes builds and files. The folder loses its name first, so that the name is free at once.
fn remove(home: &Home, store: &Store, env: &EnvName) -> Vec<String> {
    let mut left = Vec::new();
    if let Err(error) = store.remove_env(env) {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        left.push(format!("{error}: {}", cause.unwrap_or_default()));
    }
    let folder = home.env_dir(env);
    let gone = match nameless(home, env) {
        Ok(aside) => aside,
        Err(error) => {
            left.push(format!("`{}` stays: {error}", folder.display()));
            return left;
        }
    };
    if let Err(error) = fs::remove_dir_all(&gone) {
        left.push(format!("`{}` stays: {error}", gone.display()));
    }
    left
}

/// Moves the environment's folder to a hidden name that nothing else uses.
fn nameless(home: &Home, env: &EnvName) -> std::io::Result<PathBuf> {
    let envs = home.envs_dir();
    let aside = tempfile::Builder::new()
        .prefix(&format!(".deleted-{env}-"))
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(&envs)?;
    let path = aside.path().join("env");
    fs::rename(home.env_dir(env), path)?;
    durable::sync_folder(&envs)?;
    Ok(aside.keep())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::create::{Wanted, create};
    use crate::environment::docker::DockerSettings;
    use crate::environment::tests::home;

    fn wanted(folder: &Path) -> Wanted {
        Wanted {
            name: EnvName::parse("dev-001").unwrap(),
            domain: None,
            workspace: folder.to_owned(),
            gateways: 3,
            runtime: RuntimeKind::Local,
            docker: DockerSettings::default(),
        }
    }

    /// No environment here has containers.
    fn no_engine() -> Result<EngineAddress, AddressError> {
        EngineAddress::parse(Some("unix:///nowhere/docker.sock"))
    }

    fn lock(home: &Home, wanted: &Wanted) -> DeployLock {
        DeployLock::take(home, &wanted.name, "delete", 2).unwrap()
    }

    #[tokio::test]
    async fn what_was_deleted_can_be_made_again_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let store = Store::open(home.builds()).unwrap();
        let wanted = wanted(folder.path());
        let first = create(&home, &store, &wanted, 1).unwrap();
        let lock = lock(&home, &wanted);
        let left = delete(&home, &store, &wanted.name, None, &no_engine(), lock)
            .await
            .unwrap();
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(fs::read_dir(home.envs_dir()).unwrap().count(), 0);

        let second = create(&home, &store, &wanted, 3).unwrap();
        assert_ne!(first.public_key, second.public_key);
    }

    #[tokio::test]
    async fn a_deletion_that_was_interrupted_is_finished_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let store = Store::open(home.builds()).unwrap();
        let wanted = wanted(folder.path());
        let mut environment = create(&home, &store, &wanted, 1).unwrap();
        environment.deleting = true;
        environment.save(&home).unwrap();
        let error = create(&home, &store, &wanted, 2).unwrap_err();
        assert!(
            error.to_string().contains("not deleted to the end"),
            "{error}"
        );
        fs::remove_file(home.env_dir(&wanted.name).join("env.toml")).unwrap();
        let error = create(&home, &store, &wanted, 2).unwrap_err();
        assert!(
            error.to_string().contains("not deleted to the end"),
            "{error}"
        );

        let lock = lock(&home, &wanted);
        delete(&home, &store, &wanted.name, None, &no_engine(), lock)
            .await
            .unwrap();
        create(&home, &store, &wanted, 4).unwrap();
    }
}
