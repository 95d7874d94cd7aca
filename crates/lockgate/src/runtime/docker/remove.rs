//! Removes what an environment has in the engine, for a deletion: also without a server.

use lockgate_model::{EnvName, GatewayName};

use super::address::{AddressError, EngineAddress};
use super::blueprint::GATEWAY;
use super::engine::{Engine, EngineError, Listed};

/// Removes all containers of an environment of this home; a sentence for each that stays.
pub(crate) async fn remove(
    address: &Result<EngineAddress, AddressError>,
    home: &str,
    env: &EnvName,
) -> Vec<String> {
    let address = match address {
        Ok(address) => address,
        Err(error) => return vec![format!("the containers of `{env}` stay: {error}")],
    };
    let found = async {
        let engine = Engine::connect(address).await?;
        let containers = engine.containers_of(home, env).await?;
        Ok((engine, containers))
    };
    let found: Result<_, EngineError> = found.await;
    let (engine, containers) = match found {
        Ok(found) => found,
        Err(error) => {
            return vec![format!(
                "the containers of `{env}` stay: {}",
                error.in_one_line()
            )];
        }
    };
    let removals = containers.iter().map(|one| async {
        let removed = engine.remove(&one.id, &one.name).await;
        removed.err().map(|error| {
            format!(
                "the container `{}` stays: {}",
                one.name,
                error.in_one_line()
            )
        })
    });
    let left = futures_util::future::join_all(removals).await;
    left.into_iter().flatten().collect()
}

/// The containers that this home has made for one gateway.
pub(crate) async fn of_gateway(
    engine: &Engine,
    home: &str,
    gateway: &GatewayName,
) -> Result<Vec<Listed>, EngineError> {
    let mut ours = engine.containers_of(home, &gateway.env()).await?;
    ours.retain(|one| {
        let label = one.labels.get(GATEWAY);
        label.is_some_and(|name| name == gateway.as_str())
    });
    Ok(ours)
}
