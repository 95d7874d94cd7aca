//! What the gateway really runs, told to whoever asks and to the build server.

mod compose;
mod teller;

pub(crate) use compose::{Reporting, Us};
pub(crate) use teller::tell;
