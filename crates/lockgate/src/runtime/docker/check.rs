//! Whether an engine can have gateways at all, asked before an environment is made.

use lockgate_model::EnvName;

use super::address::{AddressError, EngineAddress};
use super::engine::{Engine, EngineError, Listed};
use crate::environment::docker::DockerSettings;

/// Why it cannot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    /// Nothing says where it is.
    #[error("there is no engine to ask")]
    Address(#[from] AddressError),
    /// It is away, or lacks the network.
    #[error("containers cannot be made")]
    Engine(#[from] EngineError),
    /// It has no such image.
    #[error("the engine at `{address}` has no image `{image}`")]
    NoImage {
        /// Where it was asked.
        address: EngineAddress,
        /// The image.
        image: String,
    },
}

/// An engine for a command that needs one.
pub(crate) async fn connect(
    address: &Result<EngineAddress, AddressError>,
) -> Result<Engine, CheckError> {
    let address = address.as_ref().map_err(Clone::clone)?;
    Ok(Engine::connect(address).await?)
}

/// Asks the engine for the image and the network of an environment.
pub(crate) async fn check(
    address: &Result<EngineAddress, AddressError>,
    settings: &DockerSettings,
) -> Result<(), CheckError> {
    let address = address.as_ref().map_err(Clone::clone)?;
    let engine = Engine::connect(address).await?;
    let image = settings.image();
    if engine.image_id(image).await?.is_none() {
        return Err(CheckError::NoImage {
            address: address.clone(),
            image: image.to_owned(),
        });
    }
    engine.gateway_of(settings.network()).await?;
    Ok(())
}

/// The id of the image that is meant, where a container of this home's environment was made from
/// another one that had its name.
pub(crate) async fn other_image(
    engine: &Engine,
    home: &str,
    env: &EnvName,
    settings: &DockerSettings,
) -> Result<Option<String>, EngineError> {
    let Some(id) = engine.image_id(settings.image()).await? else {
        return Ok(None);
    };
    let ours = engine.containers_of(home, env).await?;
    let differs = |one: &Listed| one.image_id.as_ref().is_some_and(|its| *its != id);
    Ok(ours.iter().any(differs).then_some(id))
}
