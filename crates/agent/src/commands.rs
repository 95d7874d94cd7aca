//! The commands, one module each.

pub(crate) mod logs;
pub(crate) mod reload;
pub(crate) mod restart;
pub(crate) mod run;
pub(crate) mod status;

mod asking;
mod signals;
mod view;
