//! Whose log it is: a gateway's application's, or a service's.

use std::fmt;
use std::path::PathBuf;

use lockgate_model::{EnvName, GatewayName, ServiceName};

use crate::commands::what::What;
use crate::environment::{Environment, services};
use crate::home::Home;

/// Who wrote a log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    /// A gateway's application.
    Gateway(GatewayName),
    /// A service of an environment.
    Service(EnvName, ServiceName),
}

/// A log on this host, as the agent's reader is told of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Files {
    /// The log.
    pub(super) log: PathBuf,
    /// The folder beside that in which crashes are kept.
    pub(super) releases: PathBuf,
}

impl Whose {
    /// Where its log lies where it runs on this host.
    pub(super) fn files(&self, home: &Home) -> Files {
        match self {
            Self::Gateway(gateway) => Files {
                log: home.gateway_log(gateway),
                releases: home.gateway_dir(gateway).join("releases"),
            },
            Self::Service(env, name) => Files {
                log: services::described(home, env, name)
                    .map_or_else(|| home.service_log(env, name), |it| it.log),
                releases: home.service_state(env, name).join("releases"),
            },
        }
    }

    /// Its name within its environment.
    pub(super) fn short(&self) -> String {
        match self {
            Self::Gateway(gateway) => format!("gw-{}", gateway.number()),
            Self::Service(_, name) => name.to_string(),
        }
    }

    /// What its colour is chosen by.
    pub(super) fn series(&self) -> u32 {
        match self {
            Self::Gateway(gateway) => gateway.number(),
            Self::Service(_, name) => name.as_str().bytes().map(u32::from).sum(),
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway(gateway) => gateway.fmt(f),
            Self::Service(_, name) => name.fmt(f),
        }
    }
}

/// Those that are named; gateways and services alike where none are.
pub(super) fn chosen(environment: &Environment, wanted: Option<&[What]>) -> Vec<Whose> {
    let is_wanted = |what: What| wanted.is_none_or(|wanted| wanted.contains(&what));
    let gateways = environment.gateways.iter();
    let gateways = gateways
        .filter(|gateway| is_wanted(What::Gateway(gateway.number)))
        .map(|gateway| Whose::Gateway(environment.gateway_name(gateway)));
    let services = environment.services.iter();
    let services = services
        .filter(|service| is_wanted(What::Service(service.name.clone())))
        .map(|service| Whose::Service(environment.name.clone(), service.name.clone()));
    gateways.chain(services).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::services::wanted;
    use crate::environment::tests::{home, sample};

    #[test]
    fn services_join_where_nothing_is_named() {
        let mut environment = sample("dev-001");
        let ganymede = ServiceName::parse("ganymede").unwrap();
        environment.services.push(wanted(&ganymede));
        let check = |wanted: Option<&[What]>, expected: &[&str]| {
            let short: Vec<String> = chosen(&environment, wanted)
                .iter()
                .map(Whose::short)
                .collect();
            assert_eq!(short, expected);
        };
        check(None, &["gw-0", "ganymede"]);
        check(Some(&[What::Gateway(0)]), &["gw-0"]);
        check(Some(&[What::Service(ganymede)]), &["ganymede"]);
    }

    #[test]
    fn a_services_crashes_lie_where_its_keeper_works() {
        let folder = tempfile::tempdir().unwrap();
        let environment = sample("dev-001");
        let name = ServiceName::parse("ganymede").unwrap();
        let files = Whose::Service(environment.name, name).files(&home(folder.path()));
        let below = folder.path().join("envs/dev-001/services/ganymede");
        assert_eq!(files.log, below.join("ganymede.log"));
        assert_eq!(files.releases, below.join("agent/releases"));
    }
}
