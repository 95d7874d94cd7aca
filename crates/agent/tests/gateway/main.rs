//! Whole days of a gateway: the real agent, a real build server, real processes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what does not go as the test says fails the test"
)]

mod asking;
mod deploys;
mod doors;
mod isolation;
mod listeners;
mod lives;
mod logs;
mod pid1;
mod scripts;
mod vpn;

mod application;
mod sight;
mod world;
