//! What is done to the container that stands in a gateway's place, and its way back.
//!
//! Each step may be done again: one that was done already changes nothing.

use std::time::Duration;

use lockgate_model::GatewayName;
use tokio::time::{Instant, sleep};

use super::kept::Kept;
use crate::runtime::docker::engine::{Engine, EngineError};
use crate::runtime::docker::found::{Restart, aside};
use crate::runtime::docker::remove::of_gateway;

/// How long a name may be held by a container that is just being made or removed.
const NAME_WITHIN: Duration = Duration::from_secs(20);
/// How often it is looked meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Stops the container that has a gateway's name and gives the name away. It is kept, and nothing
/// starts it again.
pub(crate) async fn put_aside(
    engine: &Engine,
    gateway: &GatewayName,
    kept: &Kept,
) -> Result<(), EngineError> {
    let name = gateway.as_str();
    engine
        .set_restart(&kept.id, name, &Restart::never())
        .await?;
    engine.stop(&kept.id, name).await?;
    engine.rename(&kept.id, name, &aside(gateway)).await
}

/// Removes what this home has made in a gateway's place, which nobody may want any more, and starts
/// the container of before as it was.
pub(crate) async fn bring_back(
    engine: &Engine,
    home: &str,
    gateway: &GatewayName,
    kept: &Kept,
) -> Result<(), EngineError> {
    let name = gateway.as_str();
    let deadline = deadline();
    loop {
        for ours in of_gateway(engine, home, gateway).await? {
            engine.remove(&ours.id, &ours.name).await?;
        }
        match engine.rename(&kept.id, &aside(gateway), name).await {
            // A container that was being made when nobody wanted it any more has the name.
            Err(error) if error.is_conflict() && Instant::now() < deadline => {
                sleep(LOOK_EVERY).await;
            }
            renamed => break renamed?,
        }
    }
    engine.set_restart(&kept.id, name, &kept.restart).await?;
    if kept.running {
        engine.start(&kept.id, name).await?;
    }
    Ok(())
}

/// Removes a container that was put aside.
pub(crate) async fn remove(
    engine: &Engine,
    gateway: &GatewayName,
    kept: &Kept,
) -> Result<(), EngineError> {
    engine.remove(&kept.id, &aside(gateway)).await
}

fn deadline() -> Instant {
    Instant::now() + NAME_WITHIN
}
