//! A build's journey, from the workspace to a release in a gateway.
//!
//! ```text
//! validate ─▶ pack ─▶ sign ─▶ store ─▶ serve ═ HTTP ═▶ client ─▶ fetch (verify, unpack)
//!          on the host                                    in the gateway
//! ```

pub mod pack;
pub mod secrets;
pub mod serve;
pub mod sign;
pub mod store;
pub mod validate;

pub mod client;
pub mod fetch;
