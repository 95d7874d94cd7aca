//! The commands, one module each.

pub(crate) mod application;
pub(crate) mod listeners;
pub(crate) mod logs;
pub(crate) mod reload;
pub(crate) mod reset;
pub(crate) mod restart;
pub(crate) mod routes;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod supervise;
pub(crate) mod vpn;

mod asking;
mod outcome;
mod signals;
mod view;
