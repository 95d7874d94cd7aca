//! A route table made real: lookup and the embedded proxy.
//!
//! ```text
//!            ┌ Lookup: (host, path) ─▶ Decision ┐
//! client ═══ EmbeddedProxy ═══════════════════════▶ upstream
//!            └ a page of its own when there is none
//! ```
//!
//! The table itself is a [`Lookup`]: a plain function over a watched value, so that
//! a route changes by sending a new value and nothing is reloaded. A gateway's door
//! uses one that sends everything to the application; a front door one that looks
//! at the host.
//!
//! Left out on purpose: TLS and names of hosts. They belong to the front door.

mod lookup;
mod proxy;

pub use lookup::{Asked, Decision, Lookup, Unavailable, Upstream};
pub use proxy::{EmbeddedProxy, ForwardedHeaders, ProxyError};
