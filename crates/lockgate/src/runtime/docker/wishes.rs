//! What is wanted, as it can be planned, made and found.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lockgate_model::GatewayName;

use super::act::MadeFrom;
use super::address::{AddressError, EngineAddress};
use super::blueprint::Blueprint;
use super::doors::{Sides, Target, default_route, places};
use super::engine::{Engine, EngineError, Listed};
use super::own::Own;
use super::plan::{Want, Wanted as Wants};
use super::vicinity::{self, Vicinity};
use crate::runtime::{GatewaySpec, Wanted};
use crate::server::bridge::Bridges;

/// All gateways that should be.
#[derive(Default)]
pub(super) struct Wishes {
    /// What each should be.
    pub(super) wants: Wants,
    /// What those that should run are made from.
    pub(super) made_from: BTreeMap<GatewayName, MadeFrom>,
    /// How this server stands to each one's network.
    pub(super) vicinities: BTreeMap<GatewayName, Vicinity>,
    /// What keeps a gateway from being reached or made, whatever its container does.
    pub(super) problems: BTreeMap<GatewayName, String>,
}

impl Wishes {
    /// Looks at the networks of all that are wanted, and listens there. `own` is the container in
    /// which this server runs.
    pub(super) async fn gather(
        wanted: Vec<Wanted>,
        home: &str,
        engine: &Engine,
        bridges: &Bridges,
        own: Option<&Own<'_>>,
    ) -> Result<Self, EngineError> {
        let mut networks: BTreeMap<String, Result<Vicinity, String>> = BTreeMap::new();
        let mut wishes = Self::default();
        for wanted in wanted {
            let spec = match wanted {
                Wanted::Stopped(gateway) => {
                    wishes.wants.insert(gateway, Want::Stopped);
                    continue;
                }
                Wanted::Unclear(gateway, why) => {
                    wishes.unclear(gateway, why);
                    continue;
                }
                Wanted::Running(spec) => spec,
            };
            let Some(part) = &spec.container else {
                continue;
            };
            let vicinity = if let Some(known) = networks.get(&part.network) {
                known.clone()
            } else {
                let found = vicinity::of(&part.network, engine, bridges, own).await?;
                networks.insert(part.network.clone(), found.clone());
                found
            };
            match vicinity {
                Ok(vicinity) => {
                    let blueprint = Blueprint::new(&spec, part, home, vicinity.bridge);
                    wishes.running(blueprint, spec, vicinity);
                }
                Err(why) => wishes.unclear(spec.name, why),
            }
        }
        Ok(wishes)
    }

    fn unclear(&mut self, gateway: GatewayName, why: String) {
        self.problems.insert(gateway.clone(), why);
        self.wants.insert(gateway, Want::Unclear);
    }

    fn running(&mut self, blueprint: Blueprint, spec: GatewaySpec, vicinity: Vicinity) {
        let gateway = spec.name.clone();
        let want = Want::Running {
            digest: blueprint.digest(),
            files: vicinity.files.clone(),
        };
        self.wants.insert(gateway.clone(), want);
        if let Some(problem) = &vicinity.problem {
            self.problems.insert(gateway.clone(), problem.clone());
        }
        let made_from = MadeFrom {
            blueprint,
            spec,
            files: vicinity.files.clone(),
        };
        self.made_from.insert(gateway.clone(), made_from);
        self.vicinities.insert(gateway, vicinity);
    }

    /// Where the door of a gateway may be, whose container runs since then. `host_ip` is what
    /// `DOCKER_HOST_IP` says.
    pub(super) fn target(
        &self,
        gateway: &GatewayName,
        (running, started): (&Listed, Option<u64>),
        host_ip: Option<IpAddr>,
        engine: &Result<EngineAddress, AddressError>,
    ) -> Option<Target> {
        let spec = &self.made_from.get(gateway)?.spec;
        let vicinity = self.vicinities.get(gateway)?;
        let engine = match engine {
            Ok(EngineAddress::Tcp(place)) => place.rsplit_once(':').map(|(host, _)| host),
            Ok(EngineAddress::Socket(_)) | Err(_) => None,
        };
        let sides = Sides {
            standpoint: vicinity.standpoint,
            given: host_ip,
            container: running.address_in(&spec.container.as_ref()?.network),
            bridge: vicinity.bridge,
            engine: engine.map(|host| host.trim_matches(['[', ']']).to_owned()),
            default_route: default_route(),
            port: spec.http_port,
        };
        Some(Target {
            container: running.id.clone(),
            started,
            places: places(&sides),
        })
    }
}
