//! More or fewer gateways in an environment that is there.
//!
//! ```text
//! grow    ports leased ─▶ one after the other: id, tokens, folder, store ─▶ env.toml
//! shrink  not wanted any more ─▶ agent ended ─▶ env.toml ─▶ store, files
//! ```
//! A gateway that is named in `env.toml` is whole, and its ports are its own until its agent has
//! ended. Numbers have no gaps: the highest go first. The caller holds the `DeployLock`.

use std::fs;
use std::time::Duration;

use lockgate_builds::store::Store;
use lockgate_model::{EnvName, GatewayName};

use super::admit::{Registered, admit};
use super::create::{CreateError, MAX_GATEWAYS, gateway, not_admitted};
use super::delete::{AGENTS_END, end_gateways};
use super::ports::PortsLease;
use super::tokens::TokenKey;
use super::variables::Variables;
use super::{Environment, EnvironmentError, Gateway};
use crate::home::Home;
use crate::server::control::ControlClient;

/// Gateways that are on their way into an environment.
pub(crate) struct Growth {
    _lease: PortsLease,
    key: TokenKey,
    waiting: std::vec::IntoIter<Gateway>,
}

impl Growth {
    /// Chooses the ports of as many gateways as are missing to `wanted`.
    pub(crate) fn begin(
        home: &Home,
        environment: &Environment,
        wanted: u32,
    ) -> Result<Self, CreateError> {
        let env = &environment.name;
        if wanted > MAX_GATEWAYS {
            return Err(CreateError::Gateways { asked: wanted });
        }
        let no_ports = |source| CreateError::Ports {
            env: env.clone(),
            source,
        };
        let lease = PortsLease::take(home).map_err(no_ports)?;
        let missing = (wanted as usize).saturating_sub(environment.gateways.len());
        let ports = lease.choose(missing).map_err(no_ports)?;
        let key = TokenKey::of(&home.env_dir(env)).map_err(|source| CreateError::Tokens {
            env: env.clone(),
            source,
        })?;
        let numbers = environment.gateways.iter().map(|one| one.number + 1);
        let waiting: Vec<Gateway> = (numbers.max().unwrap_or(0)..)
            .zip(ports)
            .map(gateway)
            .collect();
        Ok(Self {
            _lease: lease,
            key,
            waiting: waiting.into_iter(),
        })
    }

    /// The next gateway to be made.
    pub(crate) fn next_gateway(&mut self) -> Option<Gateway> {
        self.waiting.next()
    }

    /// Makes it, whole or not at all.
    pub(crate) fn add(
        &self,
        home: &Home,
        store: &Store,
        environment: &mut Environment,
        mut gateway: Gateway,
        registered: Option<&Registered>,
        now_ms: u64,
    ) -> Result<(), CreateError> {
        if let Some(registered) = registered {
            gateway.id.clone_from(&registered.gateway_id);
        }
        let name = environment.gateway_name(&gateway);
        let folder = home.gateway_dir(&name);
        // What is left of an earlier gateway with this number is nobody's any more.
        let _ = fs::remove_dir_all(&folder);
        admit(
            store,
            environment,
            &gateway,
            registered,
            &self.key,
            &folder,
            now_ms,
        )
        .map_err(|source| not_admitted(environment, &gateway, source))?;
        environment.gateways.push(gateway);
        environment.save(home).map_err(|source| {
            environment.gateways.pop();
            let _ = fs::remove_dir_all(&folder);
            let _ = store.dismiss(&name);
            CreateError::Environment {
                env: environment.name.clone(),
                source,
            }
        })
    }
}

/// What became of the gateways that were taken away.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shrunk {
    /// Those that are gone.
    pub(crate) removed: Vec<GatewayName>,
    /// What stays, a sentence each.
    pub(crate) left: Vec<String>,
}

/// Ends the gateways with the highest numbers until `wanted` are left, and removes what is theirs.
/// One whose agent does not end stays, stopped, and so do its ports.
pub(crate) async fn shrink(
    home: &Home,
    store: &Store,
    environment: &mut Environment,
    wanted: u32,
    server: Option<&ControlClient>,
) -> Result<Shrunk, EnvironmentError> {
    shrink_within(AGENTS_END, home, store, environment, wanted, server).await
}

async fn shrink_within(
    limit: Duration,
    home: &Home,
    store: &Store,
    environment: &mut Environment,
    wanted: u32,
    server: Option<&ControlClient>,
) -> Result<Shrunk, EnvironmentError> {
    let going = going(environment, wanted);
    for one in &mut environment.gateways {
        one.enabled &= !going.contains(&one.number);
    }
    environment.save(home)?;
    let mut shrunk = Shrunk::default();
    let (env, names) = (environment.name.clone(), names(&environment.name, &going));
    let ended = end_gateways(home, &env, &names, server, limit).await;
    shrunk.left.extend(ended.said);
    let gone: Vec<GatewayName> = names
        .into_iter()
        .filter(|name| !ended.running.contains(name))
        .collect();
    let stays = |one: &Gateway| !gone.iter().any(|name| name.number() == one.number);
    environment.gateways.retain(stays);
    environment.save(home)?;
    // A runtime that keeps stopped gateways removes them now.
    if let Some(server) = server
        && let Err(error) = server.changed(&env).await
    {
        shrunk.left.push(format!("{error}: {}", error.source));
    }
    for name in &gone {
        shrunk.left.extend(remove(home, store, name));
    }
    shrunk.left.extend(forget(home, &env, &gone));
    shrunk.removed = gone;
    Ok(shrunk)
}

/// The numbers that go, the highest first.
pub(crate) fn going(environment: &Environment, wanted: u32) -> Vec<u32> {
    let mut numbers: Vec<u32> = environment.gateways.iter().map(|one| one.number).collect();
    numbers.sort_unstable();
    let going = numbers.split_off(numbers.len().min(wanted as usize));
    going.into_iter().rev().collect()
}

fn names(env: &EnvName, numbers: &[u32]) -> Vec<GatewayName> {
    let numbers = numbers.iter();
    numbers
        .map(|number| GatewayName::new(env, *number))
        .collect()
}

/// Removes what the store knows of a gateway and its files; what stays is said.
fn remove(home: &Home, store: &Store, name: &GatewayName) -> Vec<String> {
    let mut left = Vec::new();
    if let Err(error) = store.dismiss(name) {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        left.push(format!("{error}: {}", cause.unwrap_or_default()));
    }
    let folder = home.gateway_dir(name);
    if let Err(error) = fs::remove_dir_all(&folder)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        left.push(format!("`{}` stays: {error}", folder.display()));
    }
    left
}

/// Forgets variables of gateways that are gone: a later one with the same number is another.
fn forget(home: &Home, env: &EnvName, gone: &[GatewayName]) -> Option<String> {
    let forgotten = Variables::load(home, env).and_then(|mut variables| {
        let mut had = false;
        for name in gone {
            had |= variables.forget(name.number());
        }
        if had {
            variables.save(home, env)
        } else {
            Ok(())
        }
    });
    let error = forgotten.err()?;
    Some(format!("their variables stay: {error}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::environment::RuntimeKind;
    use crate::environment::create::{TOKEN, Wanted, create};
    use crate::environment::docker::DockerSettings;
    use crate::environment::tests::home;
    use crate::environment::variables::Change;

    struct Place {
        home: Home,
        store: Store,
        environment: Environment,
    }

    impl Place {
        fn new(folder: &Path, gateways: u32) -> Self {
            let home = home(folder);
            let store = Store::open(home.builds()).unwrap();
            let wanted = Wanted {
                name: EnvName::parse("dev-001").unwrap(),
                domain: None,
                workspace: folder.to_owned(),
                gateways,
                runtime: RuntimeKind::Local,
                docker: DockerSettings::default(),
            };
            let environment = create(&home, &store, &wanted, 1).unwrap();
            Self {
                home,
                store,
                environment,
            }
        }

        fn grow(&mut self, wanted: u32) {
            let mut growth = Growth::begin(&self.home, &self.environment, wanted).unwrap();
            while let Some(gateway) = growth.next_gateway() {
                let environment = &mut self.environment;
                growth
                    .add(&self.home, &self.store, environment, gateway, None, 2)
                    .unwrap();
            }
        }

        /// The numbers of the gateways that are whole.
        fn numbers(&self) -> Vec<u32> {
            let env = &self.environment.name;
            let read = Environment::load(&self.home, env).unwrap();
            assert_eq!(read, self.environment);
            let admitted = self.store.gateways(env).unwrap();
            let named: Vec<_> = read
                .gateways
                .iter()
                .map(|one| read.gateway_name(one))
                .collect();
            assert_eq!(admitted, named);
            let folders = fs::read_dir(self.home.env_dir(env).join("gateways")).unwrap();
            assert_eq!(folders.count(), named.len());
            for name in &named {
                assert!(self.home.gateway_dir(name).join(TOKEN).is_file());
            }
            read.gateways.iter().map(|one| one.number).collect()
        }
    }

    #[tokio::test]
    async fn an_environment_grows_and_shrinks_by_whole_gateways() {
        let folder = tempfile::tempdir().unwrap();
        let mut place = Place::new(folder.path(), 2);
        let before = place.environment.gateways.clone();
        place.grow(4);
        assert_eq!(place.numbers(), [0, 1, 2, 3]);
        assert_eq!(place.environment.gateways[..2], before);
        let ports: std::collections::BTreeSet<_> = (place.environment.gateways.iter())
            .flat_map(|one| [one.http_port, one.vpn_port])
            .collect();
        assert_eq!(ports.len(), 8);

        let env = place.environment.name.clone();
        let set = [Change::Set("A".to_owned(), "1".to_owned())];
        let mut variables = Variables::load(&place.home, &env).unwrap();
        variables.change(Some(&[1, 3]), &set);
        variables.save(&place.home, &env).unwrap();
        let (home, store) = (&place.home, &place.store);
        let shrunk = shrink(home, store, &mut place.environment, 2, None)
            .await
            .unwrap();
        assert_eq!(shrunk.removed, names(&env, &[3, 2]));
        assert_eq!(shrunk.left, Vec::<String>::new());
        assert_eq!(place.numbers(), [0, 1]);
        // A new gateway with the number of an old one is another one.
        let old_id = place.environment.gateways[1].id.clone();
        place.grow(4);
        assert_eq!(place.numbers(), [0, 1, 2, 3]);
        assert_eq!(place.environment.gateways[1].id, old_id);
        let variables = Variables::load(&place.home, &env).unwrap();
        assert_eq!((variables.of(1).len(), variables.of(3).len()), (1, 0));
    }

    #[tokio::test]
    async fn a_gateway_whose_agent_does_not_end_stays_with_its_ports() {
        let folder = tempfile::tempdir().unwrap();
        let mut place = Place::new(folder.path(), 2);
        let name = GatewayName::new(&place.environment.name, 1);
        let _agent = tokio::net::UnixListener::bind(place.home.agent_socket(&name)).unwrap();
        let limit = Duration::ZERO;
        let (home, store) = (&place.home, &place.store);
        let shrunk = shrink_within(limit, home, store, &mut place.environment, 1, None)
            .await
            .unwrap();
        assert_eq!(shrunk.removed, []);
        assert!(shrunk.left[0].contains("still runs"), "{shrunk:?}");
        assert_eq!(place.numbers(), [0, 1]);
        assert!(!place.environment.gateways[1].enabled);
    }

    #[test]
    fn a_gateway_that_cannot_be_made_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut place = Place::new(folder.path(), 1);
        let mut growth = Growth::begin(&place.home, &place.environment, 2).unwrap();
        let gateway = growth.next_gateway().unwrap();
        // Where the gateway's folder would be there is a file that cannot be a folder.
        let gateways = place.home.env_dir(&place.environment.name).join("gateways");
        fs::write(gateways.join("1"), "").unwrap();
        let environment = &mut place.environment;
        let failed = growth.add(&place.home, &place.store, environment, gateway, None, 2);
        assert!(matches!(failed, Err(CreateError::Admit { .. })));
        fs::remove_file(gateways.join("1")).unwrap();
        drop(growth);
        assert_eq!(place.numbers(), [0]);
        place.grow(2);
        assert_eq!(place.numbers(), [0, 1]);
    }

    #[test]
    fn the_highest_numbers_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(folder.path(), 3);
        for (wanted, expected) in [(3, &[][..]), (1, &[2, 1]), (0, &[2, 1, 0]), (9, &[])] {
            assert_eq!(going(&place.environment, wanted), expected, "{wanted}");
        }
    }
}
