//! Names that the host's front door serves, over all environments.
//!
//! ```text
//! host ─▶ the environments with the longest domain that it lies below
//!          ├ org-{uuid}, uc-….org-{uuid} ─▶ the gateway that serves the organization
//!          ├ apex, ganymede.             ─▶ the site of the environment created first
//!          └ anything else               ─▶ nobody, and what would have to be there
//! ```
//!
//! Environments may share a domain. Organizations are looked for in all of them, in the
//! order in which they were created; apex and `ganymede.` stay with the first.
//! A user container's name leads to its organization's gateway, whose own door knows the
//! containers.
//!
//! Left out on purpose: certificates, and how a table gets to the doors.

mod change;
mod name;
mod site;

use std::collections::BTreeMap;
use std::net::SocketAddr;

pub use change::FrontChange;
pub use name::{GANYMEDE, ORGANIZATION_PREFIX, OrganizationId};
pub use site::{Site, SiteError};

use crate::front::name::{Meaning, meaning};
use crate::{BuildId, EnvName, GatewayName, RouteName, plain_host};

/// Everything the front door serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FrontTable {
    /// In the order of their creation; each name once.
    environments: Vec<FrontEnvironment>,
    gateways: BTreeMap<GatewayName, FrontGateway>,
}

/// One environment, as far as the front door knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontEnvironment {
    /// Its name.
    pub name: EnvName,
    /// When it was created, in milliseconds since 1970: the one before has the apex.
    pub created_ms: u64,
    /// The domain it serves.
    pub domain: RouteName,
    /// What answers for the domain itself.
    pub apex: Option<Site>,
    /// What answers for `ganymede.` of the domain.
    pub ganymede: Option<Site>,
    /// Which gateway serves an organization.
    pub organizations: BTreeMap<OrganizationId, GatewayName>,
}

/// What is known of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontGateway {
    /// Whether and where its door answers.
    pub standing: Standing,
    /// The build that it runs or is to run.
    pub build: Option<BuildId>,
}

/// Whether and where a gateway's door answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Its door answers here.
    At {
        /// The door.
        address: SocketAddr,
        /// Which life of the door this is; another number when it was opened again, so
        /// that no connection to the one before is used any more.
        life: u64,
    },
    /// It is being started or restarted, and its door does not answer yet.
    Starting,
    /// It does not run, and nobody starts it: one sentence why, for people.
    Stopped(String),
}

/// The two names of a domain that are no organization's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SiteName {
    /// The domain itself.
    Apex,
    /// `ganymede.` of the domain.
    Ganymede,
}

/// Where a host leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target<'a> {
    /// To the gateway that serves the organization.
    Gateway {
        /// The gateway.
        gateway: &'a GatewayName,
        /// What is known of it; `None` where nothing was said yet.
        known: Option<&'a FrontGateway>,
    },
    /// To a site.
    Site(&'a Site),
    /// To nobody.
    Nobody(Nobody<'a>),
}

/// Why a host leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nobody<'a> {
    /// It lies below no environment's domain.
    Domain,
    /// It lies below this one and is no name that is served there.
    Name(&'a RouteName),
    /// No gateway serves this organization.
    Organization {
        /// The organization.
        organization: OrganizationId,
        /// The environment created first on its domain.
        environment: &'a EnvName,
    },
    /// The environment has no such site.
    Site {
        /// Which of the two.
        site: SiteName,
        /// The environment that would have it.
        environment: &'a EnvName,
    },
}

impl FrontTable {
    /// A table of these environments and gateways, given in any order.
    pub fn new(
        environments: impl IntoIterator<Item = FrontEnvironment>,
        gateways: impl IntoIterator<Item = (GatewayName, FrontGateway)>,
    ) -> Self {
        let mut table = Self {
            environments: Vec::new(),
            gateways: gateways.into_iter().collect(),
        };
        for environment in environments {
            table.put(environment);
        }
        table
    }

    /// Where a host leads, however the client wrote it.
    pub fn lookup(&self, host: &str) -> Target<'_> {
        let host = plain_host(host);
        let Some(domain) = self.domain_of(&host) else {
            return Target::Nobody(Nobody::Domain);
        };
        let mut owners = self.on(domain).peekable();
        let Some(&first) = owners.peek() else {
            return Target::Nobody(Nobody::Domain);
        };
        match below(&host, domain).and_then(meaning) {
            Some(Meaning::Apex) => site(first, SiteName::Apex),
            Some(Meaning::Ganymede) => site(first, SiteName::Ganymede),
            Some(Meaning::Organization(organization)) => {
                let served = owners.find_map(|it| it.organizations.get(&organization));
                match served {
                    Some(gateway) => Target::Gateway {
                        gateway,
                        known: self.gateways.get(gateway),
                    },
                    None => Target::Nobody(Nobody::Organization {
                        organization,
                        environment: &first.name,
                    }),
                }
            }
            None => Target::Nobody(Nobody::Name(domain)),
        }
    }

    /// The environment that has apex and `ganymede.` of a domain.
    pub fn first_on(&self, domain: &RouteName) -> Option<&FrontEnvironment> {
        self.on(domain).next()
    }

    /// The environments in the order of their creation.
    pub fn environments(&self) -> &[FrontEnvironment] {
        &self.environments
    }

    /// What is known of gateways.
    pub fn gateways(&self) -> &BTreeMap<GatewayName, FrontGateway> {
        &self.gateways
    }

    /// The longest domain that a host lies below: one domain may lie below another.
    fn domain_of(&self, host: &str) -> Option<&RouteName> {
        let domains = self.environments.iter().map(|it| &it.domain);
        domains
            .filter(|domain| below(host, domain).is_some())
            .max_by_key(|domain| domain.as_str().len())
    }

    fn on(&self, domain: &RouteName) -> impl Iterator<Item = &FrontEnvironment> {
        let domain = domain.as_str();
        let all = self.environments.iter();
        all.filter(move |it| it.domain.as_str() == domain)
    }

    /// Adds an environment, or puts it in the place of the one of its name.
    fn put(&mut self, environment: FrontEnvironment) {
        self.environments.retain(|it| it.name != environment.name);
        self.environments.push(environment);
        self.environments
            .sort_by(|a, b| (a.created_ms, &a.name).cmp(&(b.created_ms, &b.name)));
    }
}

/// What stands before a domain in a host that lies below it, with its last dot; nothing
/// where the host is the domain itself.
fn below<'a>(host: &'a str, domain: &RouteName) -> Option<&'a str> {
    let before = host.strip_suffix(domain.as_str())?;
    (before.is_empty() || before.ends_with('.')).then_some(before)
}

fn site(environment: &FrontEnvironment, name: SiteName) -> Target<'_> {
    let found = match name {
        SiteName::Apex => &environment.apex,
        SiteName::Ganymede => &environment.ganymede,
    };
    match found {
        Some(site) => Target::Site(site),
        None => Target::Nobody(Nobody::Site {
            site: name,
            environment: &environment.name,
        }),
    }
}

#[cfg(test)]
mod tests;
