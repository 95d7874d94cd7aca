//! nginx as a door: its configuration, its files, and how it is told of a new table.
//!
//! ```text
//! Table ─▶ render ─▶ nginx.conf.new ─▶ `nginx -t` ─▶ nginx.conf ─▶ HUP, when it differs
//!
//! state of the application ─▶ Place: pages, `unavailable`, `now` ─▶ read for each request
//! ```
//!
//! What changes with routes stands in the configuration and needs a reload; what changes
//! with the application does not. A request finds out by itself which build answers
//! (the target of a symlink), whether it is worth to ask at all (a file that is there
//! or not) and what to say where it is not (files). So a deploy never reloads nginx.
//!
//! The process belongs to whoever starts it, behind [`Master`].

mod driver;
mod front;
mod headers;
mod place;
mod render;
mod workers;

pub use driver::{Master, NginxProxy};
pub use front::{CertificateFiles, FrontFollowed, FrontListen, FrontNginx, FrontPlace};
pub use place::{Place, PlaceError, Shown};
pub use render::{NginxDoor, NginxListen, render};
pub use workers::{await_reload, workers};
