//! The gateway image on a real engine: how it is built, and what a container of it does.
//! `just docker` runs these; `just e2e` does not.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a journey starts programs and ends by panic"
)]

mod build;
mod gateway;
mod run;

use lockgate_e2e::{Engine, World};

/// How these journeys are run.
const HOW: &str = "just docker";

/// The engine, and a gateway image in it. It is the same for all journeys, so that the
/// engine builds it once.
fn image(world: &World) -> (Engine, &'static str) {
    const IMAGE: &str = "lockgate-test/gateway:1";
    let engine = Engine::of_process(HOW);
    let built = world.lockgate(&["image", "build", "--base", &engine.base, "--tag", IMAGE]);
    built.expect(0);
    (engine, IMAGE)
}
