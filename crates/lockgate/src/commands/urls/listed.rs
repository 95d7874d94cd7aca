//! What an environment is reached by.

use std::net::SocketAddr;

use lockgate_model::{GANYMEDE, GatewayName, ORGANIZATION_PREFIX, OrganizationId, Site};

use super::{Doors, door};
use crate::environment::{Environment, Gateway};

/// A user container that is nobody's: a name as theirs are.
const SOMEBODY: &str = "uc-00000000-0000-4000-8000-000000000000";

/// One thing that is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listed<'e> {
    /// An organization at the front door, and the gateway that serves it.
    Organization {
        id: &'e OrganizationId,
        gateway: GatewayName,
        host: String,
    },
    /// A site at the front door.
    Site {
        name: &'static str,
        site: &'e Site,
        host: String,
    },
    /// A gateway's own door.
    Gateway {
        name: GatewayName,
        gateway: &'e Gateway,
        address: SocketAddr,
    },
}

/// Everything that is reached: organizations, sites, then the gateways' own doors. Sites of a domain
/// that is another environment's first are none of this one's.
pub(super) fn listed<'e>(
    environment: &'e Environment,
    doors: &Doors,
    has_sites: bool,
) -> Vec<Listed<'e>> {
    let domain = &environment.domain;
    let organizations = environment.gateways.iter().filter_map(|gateway| {
        let id = gateway.organization.as_ref()?;
        Some(Listed::Organization {
            id,
            gateway: environment.gateway_name(gateway),
            host: format!("{ORGANIZATION_PREFIX}{id}.{domain}"),
        })
    });
    let front = &environment.front;
    let apex = ("apex", &front.apex, domain.clone());
    let ganymede = (GANYMEDE, &front.ganymede, format!("{GANYMEDE}.{domain}"));
    let sites = [apex, ganymede].into_iter().filter(|_| has_sites);
    let sites = sites.filter_map(|(name, site, host)| {
        let site = site.as_ref()?;
        Some(Listed::Site { name, site, host })
    });
    let gateways = environment.gateways.iter().map(|gateway| {
        let name = environment.gateway_name(gateway);
        let address = door(doors, &name, gateway);
        Listed::Gateway {
            name,
            gateway,
            address,
        }
    });
    organizations.chain(sites).chain(gateways).collect()
}

impl Listed<'_> {
    /// The name by which the front door is asked for it.
    pub(super) fn host(&self) -> Option<&str> {
        match self {
            Self::Organization { host, .. } | Self::Site { host, .. } => Some(host),
            Self::Gateway { .. } => None,
        }
    }

    /// A name as its user containers have, where it has some.
    pub(super) fn container_host(&self) -> Option<String> {
        match self {
            Self::Organization { host, .. } => Some(format!("{SOMEBODY}.{host}")),
            Self::Site { .. } | Self::Gateway { .. } => None,
        }
    }

    /// Whether a person means this by a word: UUID, name, number or host.
    pub(super) fn is_meant(&self, word: &str) -> bool {
        if self.host() == Some(word) {
            return true;
        }
        match self {
            Self::Organization { id, .. } => {
                let plain = word.strip_prefix(ORGANIZATION_PREFIX).unwrap_or(word);
                id.as_str() == plain.to_ascii_lowercase()
            }
            Self::Site { name, .. } => *name == word,
            Self::Gateway { name, gateway, .. } => {
                name.as_str() == word || gateway.number.to_string() == word
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests::sample;

    const ID: &str = "0d1b3c5e-0000-4000-8000-00000000000a";

    #[test]
    fn organizations_come_before_sites_and_gateways_and_each_is_meant_by_its_names() {
        let mut environment = sample("dev");
        environment.gateways[0].organization = Some(OrganizationId::parse(ID).unwrap());
        environment.front.apex = Some(Site::parse("/srv/site").unwrap());
        let doors = Doors::new();
        let all = listed(&environment, &doors, true);
        let hosts: Vec<_> = all.iter().map(Listed::host).collect();
        let organization = format!("org-{ID}.dev.localhost");
        let expected = [Some(organization.as_str()), Some("dev.localhost"), None];
        assert_eq!(hosts, expected);
        let meant = |word: &str| all.iter().position(|it| it.is_meant(word));
        for word in [ID, &ID.to_uppercase(), &format!("org-{ID}"), &organization] {
            assert_eq!(meant(word), Some(0), "{word}");
        }
        assert_eq!(meant("apex"), Some(1));
        assert_eq!(meant("gw-pool-dev-0"), Some(2));
        assert_eq!(meant("0"), Some(2));
        assert_eq!(meant("ganymede"), None);
        assert_eq!(listed(&environment, &doors, false).len(), 2);
        let container = all[0].container_host().unwrap();
        assert!(container.ends_with(&organization), "{container}");
    }
}
