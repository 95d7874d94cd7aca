//! A route table made real, by one of two drivers: the embedded proxy and nginx.
//!
//! ```text
//!            ┌ Lookup: (host, path) ─▶ Decision ┐
//! client ═══ EmbeddedProxy ═══════════════════════▶ upstream
//!            └ a page of its own when there is none
//!
//!            ┌ render(door, table) ─▶ nginx.conf ─▶ test ─▶ reload
//! client ═══ nginx ═══════════════════════════════▶ upstream
//!            └ a page that the agent keeps current
//! ```
//!
//! Both follow a [`Table`] through the seam [`Proxy`]. The embedded proxy's own table is
//! a [`Lookup`]: a plain function over a watched value, so that a route changes by
//! sending a new value and nothing is reloaded. A gateway's door asks [`owner`] whose a
//! host is. The host's [`FrontDoor`] is the same proxy with TLS, and a lookup of its own
//! over all environments.
//!
//! Beside them stands [`DnsServer`], which leads names to a front door.
//!
//! Left out on purpose: where certificates come from, and nginx's process, which belongs
//! to the program that starts it.

mod dns;
mod front;
mod lookup;
mod proxy;
mod tls;
mod visit;

mod nginx;
mod seam;

pub use dns::{DnsServer, Zones};
pub use front::FrontDoor;
pub use lookup::{Asked, Decision, Lookup, Unavailable, Upstream};
pub use nginx::{
    CertificateFiles, FrontFollowed, FrontListen, FrontNginx, FrontPlace, Master, NginxDoor,
    NginxListen, NginxProxy, Place, PlaceError, Shown, await_reload, render, workers,
};
pub use proxy::{EmbeddedProxy, ForwardedHeaders, Patience, ProxyError};
pub use seam::{EmbeddedRoutes, FollowError, Followed, Owner, Proxy, Table, owner};
pub use tls::{Certificate, CertificateError, Certificates};
pub use visit::{Visit, VisitError, Visited};
