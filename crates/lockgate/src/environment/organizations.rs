//! Which gateway serves which organization of the platform: one each, written in env.toml.

use lockgate_model::{EnvName, GatewayName, OrganizationId};

use super::{Environment, Gateway};

/// Why an organization cannot be assigned or released.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OrganizationError {
    /// It has a gateway already, and another one was asked for.
    #[error("organization {organization} is served by `{gateway}`")]
    Served {
        /// The organization.
        organization: OrganizationId,
        /// Its gateway.
        gateway: GatewayName,
    },
    /// The gateway that was asked for serves another one.
    #[error("`{gateway}` serves organization {organization}")]
    Busy {
        /// The gateway.
        gateway: GatewayName,
        /// What it serves.
        organization: OrganizationId,
    },
    /// All gateways are taken.
    #[error(
        "`{env}` has no gateway left: each of its {gateways} serves an organization or is stopped"
    )]
    NoneLeft {
        /// The environment.
        env: EnvName,
        /// How many there are.
        gateways: usize,
    },
    /// Nobody serves it.
    #[error("no gateway of `{env}` serves organization {organization}")]
    Unserved {
        /// The environment.
        env: EnvName,
        /// The organization.
        organization: OrganizationId,
    },
}

impl Environment {
    /// The gateway that serves an organization.
    pub(crate) fn serving(&self, organization: &OrganizationId) -> Option<&Gateway> {
        let mut all = self.gateways.iter();
        all.find(|one| one.organization.as_ref() == Some(organization))
    }

    /// Gives an organization the gateway that is asked for, or the first that runs and serves none;
    /// its number, and whether that is new.
    pub(crate) fn assign(
        &mut self,
        organization: &OrganizationId,
        asked: Option<u32>,
    ) -> Result<(u32, bool), OrganizationError> {
        if let Some(gateway) = self.serving(organization) {
            if asked.is_none_or(|number| number == gateway.number) {
                return Ok((gateway.number, false));
            }
            return Err(OrganizationError::Served {
                organization: organization.clone(),
                gateway: self.gateway_name(gateway),
            });
        }
        let fits = |gateway: &&Gateway| match asked {
            Some(number) => gateway.number == number,
            None => gateway.enabled && gateway.organization.is_none(),
        };
        let none_left = || OrganizationError::NoneLeft {
            env: self.name.clone(),
            gateways: self.gateways.len(),
        };
        let gateway = self.gateways.iter().find(fits).ok_or_else(none_left)?;
        if let Some(other) = &gateway.organization {
            return Err(OrganizationError::Busy {
                gateway: self.gateway_name(gateway),
                organization: other.clone(),
            });
        }
        let number = gateway.number;
        let mut all = self.gateways.iter_mut();
        if let Some(gateway) = all.find(|one| one.number == number) {
            gateway.organization = Some(organization.clone());
        }
        Ok((number, true))
    }

    /// Takes an organization's gateway away from it; its number.
    pub(crate) fn release(
        &mut self,
        organization: &OrganizationId,
    ) -> Result<u32, OrganizationError> {
        let mut all = self.gateways.iter_mut();
        let serves = |one: &&mut Gateway| one.organization.as_ref() == Some(organization);
        match all.find(serves) {
            Some(gateway) => {
                gateway.organization = None;
                Ok(gateway.number)
            }
            None => Err(OrganizationError::Unserved {
                env: self.name.clone(),
                organization: organization.clone(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests::sample;

    fn organization(digit: u32) -> OrganizationId {
        OrganizationId::parse(&format!("0d1b3c5e-0000-4000-8000-00000000000{digit}")).unwrap()
    }

    fn pool() -> Environment {
        let mut environment = sample("dev");
        let first = environment.gateways[0].clone();
        environment.gateways = (0..3)
            .map(|number| Gateway {
                number,
                enabled: number != 0,
                ..first.clone()
            })
            .collect();
        environment
    }

    #[test]
    fn each_organization_gets_a_gateway_of_its_own_until_none_is_left() {
        let mut pool = pool();
        assert_eq!(pool.assign(&organization(1), None), Ok((1, true)));
        assert_eq!(pool.assign(&organization(1), None), Ok((1, false)));
        assert_eq!(pool.assign(&organization(1), Some(1)), Ok((1, false)));
        assert!(matches!(
            pool.assign(&organization(1), Some(2)),
            Err(OrganizationError::Served { .. })
        ));
        assert!(matches!(
            pool.assign(&organization(2), Some(1)),
            Err(OrganizationError::Busy { .. })
        ));
        assert_eq!(pool.assign(&organization(2), None), Ok((2, true)));
        assert!(matches!(
            pool.assign(&organization(3), None),
            Err(OrganizationError::NoneLeft { .. })
        ));
        // One that is stopped is taken only where it is asked for.
        assert_eq!(pool.assign(&organization(3), Some(0)), Ok((0, true)));
        assert_eq!(pool.release(&organization(2)), Ok(2));
        assert!(matches!(
            pool.release(&organization(2)),
            Err(OrganizationError::Unserved { .. })
        ));
        assert_eq!(pool.assign(&organization(4), None), Ok((2, true)));
    }
}
