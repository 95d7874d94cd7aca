//! Gateways that come into an environment with ports, ids and tokens of their own.
//!
//! They are written down as not wanted: `adoption` wants one after the other.

use std::fs;
use std::path::Path;

use lockgate_builds::store::Store;
use lockgate_model::EnvName;

use super::admit::{Registered, admit};
use super::create::{CreateError, not_admitted};
use super::ports::PortsLease;
use super::tokens::{TokenKey, renew};
use super::{Environment, Gateway};
use crate::home::Home;

/// A gateway that was there before its environment.
pub(crate) struct Adopted {
    /// What env.toml says of it.
    pub(crate) gateway: Gateway,
    /// Its id and the platform's token.
    pub(crate) registered: Registered,
}

/// Takes gateways into an environment that is there; those that it has already with another token
/// are let in anew. The caller holds the `DeployLock`.
pub(crate) fn join(
    home: &Home,
    store: &Store,
    environment: &mut Environment,
    gateways: Vec<Adopted>,
    now_ms: u64,
) -> Result<(), CreateError> {
    let env = environment.name.clone();
    let lease = PortsLease::take(home).map_err(|source| CreateError::Ports {
        env: env.clone(),
        source,
    })?;
    refuse_taken(&lease, &env, &gateways)?;
    let key = TokenKey::of(&home.env_dir(&env)).map_err(|source| CreateError::Tokens {
        env: env.clone(),
        source,
    })?;
    for one in gateways {
        let folder = home.gateway_dir(&environment.gateway_name(&one.gateway));
        if is_in(environment, &folder, &one) {
            let mut known = environment.gateways.iter_mut();
            if let Some(known) = known.find(|it| it.number == one.gateway.number) {
                known.enabled = one.gateway.enabled;
            }
            continue;
        }
        let _ = fs::remove_dir_all(&folder);
        let registered = Some(&one.registered);
        admit(
            store,
            environment,
            &one.gateway,
            registered,
            &key,
            &folder,
            now_ms,
        )
        .map_err(|source| not_admitted(environment, &one.gateway, source))?;
        environment
            .gateways
            .retain(|known| known.number != one.gateway.number);
        environment.gateways.push(one.gateway);
    }
    environment.gateways.sort_by_key(|one| one.number);
    environment
        .save(home)
        .map_err(|source| CreateError::Environment { env, source })
}

/// Whether it is in the environment just so. A container of its own may have its token by now.
fn is_in(environment: &Environment, folder: &Path, one: &Adopted) -> bool {
    let known = environment.gateway(one.gateway.number);
    known.is_ok_and(|known| known.id == one.gateway.id)
        && renew::first(folder).is_ok_and(|token| token == one.registered.token)
}

/// Refuses ports of other environments.
pub(super) fn refuse_taken(
    lease: &PortsLease,
    env: &EnvName,
    gateways: &[Adopted],
) -> Result<(), CreateError> {
    let taken = lease.taken(env);
    for Adopted { gateway, .. } in gateways {
        let pairs = [
            (gateway.http_port, &taken.http),
            (gateway.vpn_port, &taken.vpn),
        ];
        for (port, taken) in pairs {
            if let Some(other) = taken.get(&port) {
                return Err(CreateError::Taken {
                    port,
                    other: other.clone(),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::RuntimeKind;
    use crate::environment::create::{Draft, Wanted, create};
    use crate::environment::docker::DockerSettings;
    use crate::environment::tests::home;

    fn adopted(number: u32, port: u16, token: &str) -> Adopted {
        let id = uuid::Uuid::from_u128(u128::from(number)).to_string();
        Adopted {
            gateway: Gateway {
                number,
                id: id.clone(),
                http_port: port,
                vpn_port: port + 42_000,
                enabled: false,
                organization: None,
                pinned: None,
            },
            registered: Registered {
                gateway_id: id,
                token: token.to_owned(),
            },
        }
    }

    fn wanted(name: &str, folder: &Path) -> Wanted {
        Wanted {
            name: EnvName::parse(name).unwrap(),
            domain: Some("domain.local".to_owned()),
            workspace: folder.to_owned(),
            gateways: 1,
            runtime: RuntimeKind::Docker,
            docker: DockerSettings::default(),
        }
    }

    #[test]
    fn gateways_keep_numbers_ports_ids_and_tokens() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let store = Store::open(home.builds()).unwrap();
        let api = Some("api.elsewhere".to_owned());
        let wanted = wanted("dev-001", folder.path());
        let first = vec![adopted(1, 7150, "one")];
        let draft = Draft::of(&home, &wanted, api, first, 1).unwrap();
        let mut environment = draft.finish(&home, &store).unwrap();
        assert_eq!(environment.ganymede_fqdn(), "api.elsewhere");
        assert!(!environment.gateways[0].enabled);

        // More of them join, and one comes again with another token.
        let more = vec![adopted(1, 7150, "anew"), adopted(0, 7160, "zero")];
        join(&home, &store, &mut environment, more, 2).unwrap();
        assert_eq!(Environment::load(&home, &wanted.name).unwrap(), environment);
        let numbers: Vec<_> = environment.gateways.iter().map(|one| one.number).collect();
        assert_eq!(numbers, [0, 1]);
        for (number, port, token) in [(0, 7160, "zero"), (1, 7150, "anew")] {
            let gateway = environment.gateway(number).unwrap();
            assert_eq!((gateway.http_port, gateway.vpn_port), (port, port + 42_000));
            let folder = home.gateway_dir(&environment.gateway_name(gateway));
            assert_eq!(renew::first(&folder).unwrap(), token);
        }
    }

    #[test]
    fn a_port_of_another_environment_is_refused_and_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let store = Store::open(home.builds()).unwrap();
        let other = create(&home, &store, &wanted("dev-002", folder.path()), 1).unwrap();
        let port = other.gateways[0].http_port;
        let wanted = wanted("dev-001", folder.path());
        let all = || vec![adopted(0, port, "x")];
        let error = Draft::of(&home, &wanted, None, all(), 1).err().unwrap();
        assert_eq!(
            error.to_string(),
            format!("port {port} is environment `dev-002`'s")
        );
        assert!(!home.env_dir(&wanted.name).exists());
    }
}
