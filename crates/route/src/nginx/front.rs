//! nginx as the host's front door: a file for each environment, and one around them.
//!
//! ```text
//! FrontTable, certificates ─▶ render ─▶ test ─▶ envs/{env}.conf ─▶ reload
//!                                        └ refused: this environment's file stays
//! ```
//!
//! Behind nginx nobody waits for a gateway that is being started: it is 503 at once.

mod driver;
mod place;
mod render;

pub use driver::{FrontFollowed, FrontNginx};
pub use place::FrontPlace;
pub use render::{CertificateFiles, FrontListen};
