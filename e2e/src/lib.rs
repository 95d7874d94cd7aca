//! A world of its own for each journey: real programs, a fresh `LOCKGATE_HOME`,
//! a copy of the example workspace, free ports, and nothing left behind.
//!
//! A journey waits for conditions, never for time: [`until`] asks again and again
//! until a deadline and then says what it waited for.

mod adopted;
mod browser;
mod curl;
mod engine;
mod http;
mod leftovers;
mod listening;
pub mod load;
mod mounts;
mod network;
mod relay;
mod schemas;
mod seed;
mod terminal;
mod workspace;
mod world;

pub use adopted::Adopted;
pub use curl::{Curled, FrontDoor};
pub use engine::{Container, Engine, image};
pub use http::{Answer, get, request};
pub use listening::listening_ports;
pub use mounts::{Mount, may_mount};
pub use nix::sys::signal::Signal;
pub use relay::Relay;
pub use seed::Seed;
pub use terminal::Terminal;
pub use workspace::Workspace;
pub use world::{Ran, World, ran};

use std::time::{Duration, Instant};

/// Asks `condition` until it gives something. Panics after `within`, naming `what`.
#[expect(
    clippy::disallowed_methods,
    reason = "a journey's deadline is read here and nowhere else"
)]
pub fn until<T>(what: &str, within: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(
            Instant::now() <= deadline,
            "waited {within:?} in vain until {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
