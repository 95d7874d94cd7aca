//! A small name server for the domains of environments: every name below a domain leads to the
//! front door.
//!
//! ```text
//! query ─▶ reply(zones) ─┬▶ an answer
//!                        ├▶ another server, where one was named
//!                        └▶ nothing, for what is no query
//! ```
//!
//! What is answered is a plain function over a watched value, so that domains come and go while it
//! serves. The messages are read and written by hickory-proto.
//!
//! Left out on purpose: zone transfers, signatures, caches, and names of anybody else.

mod forward;
mod reply;
mod serve;
mod zones;

pub use self::serve::DnsServer;
pub use self::zones::Zones;
