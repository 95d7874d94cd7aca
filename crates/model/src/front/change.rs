//! What differs between two tables, and a table that follows.

use super::{FrontEnvironment, FrontGateway, FrontTable, OrganizationId};
use crate::{EnvName, GatewayName};

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrontChange {
    /// An environment is new, or its domain, its sites or its age are others. Which
    /// organizations it serves is told apart from that: those given here count only
    /// where the environment is new.
    Environment(FrontEnvironment),
    /// An environment is gone, with all its organizations.
    EnvironmentGone(EnvName),
    /// An organization is served by a gateway, or by none.
    Organization {
        /// The environment.
        environment: EnvName,
        /// The organization.
        organization: OrganizationId,
        /// The gateway, where there is one.
        gateway: Option<GatewayName>,
    },
    /// Something else is known of a gateway, or nothing any more.
    Gateway {
        /// The gateway.
        gateway: GatewayName,
        /// What is known.
        known: Option<FrontGateway>,
    },
}

impl FrontTable {
    /// What makes this table the other one, in an order in which it can be applied.
    pub fn diff(&self, new: &Self) -> Vec<FrontChange> {
        let mut changes = Vec::new();
        for old in self.environments() {
            if new.environment(&old.name).is_none() {
                changes.push(FrontChange::EnvironmentGone(old.name.clone()));
            }
        }
        for environment in new.environments() {
            match self.environment(&environment.name) {
                Some(old) => between(old, environment, &mut changes),
                None => changes.push(FrontChange::Environment(environment.clone())),
            }
        }
        let names = self.gateways.keys().chain(new.gateways.keys());
        let mut names: Vec<&GatewayName> = names.collect();
        names.sort();
        names.dedup();
        for gateway in names {
            let known = new.gateways.get(gateway);
            if self.gateways.get(gateway) != known {
                changes.push(FrontChange::Gateway {
                    gateway: gateway.clone(),
                    known: known.cloned(),
                });
            }
        }
        changes
    }

    /// Makes one change. An organization of an environment that is not there is nobody's.
    pub fn apply(&mut self, change: FrontChange) {
        match change {
            FrontChange::Environment(mut environment) => {
                if let Some(old) = self.environment(&environment.name) {
                    environment.organizations.clone_from(&old.organizations);
                }
                self.put(environment);
            }
            FrontChange::EnvironmentGone(name) => self.environments.retain(|it| it.name != name),
            FrontChange::Organization {
                environment,
                organization,
                gateway,
            } => {
                let mut all = self.environments.iter_mut();
                let Some(found) = all.find(|it| it.name == environment) else {
                    return;
                };
                match gateway {
                    Some(gateway) => found.organizations.insert(organization, gateway),
                    None => found.organizations.remove(&organization),
                };
            }
            FrontChange::Gateway { gateway, known } => {
                match known {
                    Some(known) => self.gateways.insert(gateway, known),
                    None => self.gateways.remove(&gateway),
                };
            }
        }
    }

    fn environment(&self, name: &EnvName) -> Option<&FrontEnvironment> {
        self.environments.iter().find(|it| it.name == *name)
    }
}

fn between(old: &FrontEnvironment, new: &FrontEnvironment, changes: &mut Vec<FrontChange>) {
    let moved = FrontEnvironment {
        organizations: old.organizations.clone(),
        ..new.clone()
    };
    if moved != *old {
        changes.push(FrontChange::Environment(moved));
    }
    let mut organization = |id: &OrganizationId, gateway: Option<&GatewayName>| {
        changes.push(FrontChange::Organization {
            environment: new.name.clone(),
            organization: id.clone(),
            gateway: gateway.cloned(),
        });
    };
    for id in old.organizations.keys() {
        if !new.organizations.contains_key(id) {
            organization(id, None);
        }
    }
    for (id, gateway) in &new.organizations {
        if old.organizations.get(id) != Some(gateway) {
            organization(id, Some(gateway));
        }
    }
}
