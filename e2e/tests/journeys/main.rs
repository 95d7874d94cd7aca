//! Journeys: real programs, from a built bundle to three running gateways.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a journey starts programs and ends by panic"
)]

mod broken_builds;
mod convergence;
mod doctor;
mod environments;
mod everyday;
mod front;
mod logs;
mod services;
mod side_by_side;
mod strategies;
mod trials;
mod watching;
mod wire;
