//! Containers that the shell system made, on their way to Lockgate, one gateway after the other.
//!
//! ```text
//! engine ─▶ found ─▶ plan (pure) ─▶ all problems at once, and nothing is changed
//!                        │
//!                        └▶ environment with the same names, ports, ids, tokens; no gateway wanted yet
//!   for each gateway:  kept.json ─▶ old one stopped, put aside ─▶ wanted ─▶ statement ─▶ ready
//!                                            ▲                                  │ not
//!                                            └────── brought back ◀─────────────┘
//! ```
//!
//! The keeper makes the new container, as for every gateway; it leaves alone what this home has not
//! made, so nothing happens to a gateway's name before the old container has given it up. These are
//! the only steps that do anything to a container of somebody else, and they know it by the id that
//! `kept` has written down.

pub(crate) mod kept;
pub(crate) mod plan;
pub(crate) mod source;
pub(crate) mod steps;
