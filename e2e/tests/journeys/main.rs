//! Journeys: real programs, from a built bundle to three running gateways.

mod broken_builds;
mod convergence;
mod everyday;
mod side_by_side;
mod wire;
