//! The gateway image: a base with Node and nginx, and the agent as its entrypoint.
//!
//! ```text
//! base, in the engine or pulled ─┐
//! lockgate-agent ─▶ recipe ─▶ context ─▶ engine: try node and nginx, build ─▶ try the agent ─▶ tag
//! ```
//! Left out: how a base is made (`image/` does that), and what runs images (`runtime`).

pub(crate) mod build;
pub(crate) mod failure;
mod output;
pub(crate) mod recipe;
pub(crate) mod reference;
mod trial;

/// The base that is meant when none is named: what `image/Dockerfile` and `image/base.sh` make.
pub(crate) const DEFAULT_BASE: &str = "lockgate/gateway-base:bookworm-node24";

/// The image that gateways are made from when lockgate.toml names none.
pub(crate) const DEFAULT_TAG: &str = concat!("lockgate/gateway:", env!("CARGO_PKG_VERSION"));
