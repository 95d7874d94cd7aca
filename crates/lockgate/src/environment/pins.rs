//! Gateways that stay at a build of their own, whatever is deployed to their environment.
//!
//! A pin is written down once its statement is published, so that an interruption between
//! the two leaves a gateway that the next deploy takes along, never one that is forgotten.

use lockgate_model::{BuildId, GatewayName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Environment, EnvironmentError, Gateway};
use crate::home::Home;

/// A gateway's own build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Pin {
    /// The build.
    pub(crate) build: BuildId,
    /// When it was pinned, UNIX milliseconds.
    pub(crate) since: u64,
}

impl Environment {
    /// The gateways that stay where they are, each with its pin.
    pub(crate) fn pinned(&self) -> impl Iterator<Item = (&Gateway, &Pin)> {
        let gateways = self.gateways.iter();
        gateways.filter_map(|gateway| Some((gateway, gateway.pinned.as_ref()?)))
    }

    /// The gateways that go along with their environment.
    pub(crate) fn unpinned(&self) -> impl Iterator<Item = &Gateway> {
        self.gateways.iter().filter(|one| one.pinned.is_none())
    }

    /// Pins gateways, or ends that where there is no pin, and writes it down. Returns those
    /// that changed. The caller holds the `DeployLock`.
    pub(crate) fn pin(
        &mut self,
        home: &Home,
        numbers: &[u32],
        pin: Option<&Pin>,
    ) -> Result<Vec<GatewayName>, EnvironmentError> {
        let mut changed = Vec::new();
        for one in &mut self.gateways {
            if numbers.contains(&one.number) && one.pinned.as_ref() != pin {
                one.pinned = pin.cloned();
                changed.push(GatewayName::new(&self.name, one.number));
            }
        }
        if !changed.is_empty() {
            self.save(home)?;
        }
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests::{home, sample};

    #[test]
    fn a_pin_is_written_down_and_ended_by_number() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let mut environment = sample("dev-001");
        let second = Gateway {
            number: 1,
            ..environment.gateways[0].clone()
        };
        environment.gateways.push(second);
        std::fs::create_dir(home.env_dir(&environment.name)).unwrap();
        let pin = Pin {
            build: BuildId::parse("0123456789ab").unwrap(),
            since: 5,
        };
        let one = [GatewayName::new(&environment.name, 1)];
        assert_eq!(environment.pin(&home, &[1], Some(&pin)).unwrap(), one);
        assert_eq!(environment.pin(&home, &[1], Some(&pin)).unwrap(), []);

        let mut read = Environment::load(&home, &environment.name).unwrap();
        assert_eq!(read, environment);
        let pinned: Vec<_> = read.pinned().map(|(gateway, _)| gateway.number).collect();
        let others: Vec<_> = read.unpinned().map(|gateway| gateway.number).collect();
        assert_eq!((pinned, others), (vec![1], vec![0]));

        assert_eq!(read.pin(&home, &[0, 1], None).unwrap(), one);
        let read = Environment::load(&home, &environment.name).unwrap();
        assert_eq!(read.pinned().count(), 0);
    }
}
