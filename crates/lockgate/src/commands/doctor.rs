//! `lockgate doctor`: looks at everything that Lockgate needs, and says what is wrong and what mends it.
//!
//! ```text
//!   look/…  machine, engine, home, server, names, environments, workspace   I/O, side by side
//!      └─▶ one file a group: what was seen ─▶ Finding                       decisions
//!               └─▶ shown: lines, or JSON
//! ```
//!
//! It changes and starts nothing, and whatever it looks at may be broken or hang: each look has an end.
//! What another command says of the same trouble is said here in its words, by its function.

mod check;
mod engine;
mod environment;
mod gateway;
mod home;
mod look;
mod machine;
mod names;
mod server;
pub(crate) mod shown;
mod vpn;
mod workspace;

use clap::Args;
use lockgate_model::EnvName;

use self::check::{Check, State};
use self::shown::Diagnosis;
use crate::context::Context;
use crate::error::CommandError;

/// Look at everything that Lockgate needs, and say what mends it
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The environment; all of them where none is named
    #[arg(value_name = "ENV")]
    named: Option<EnvName>,
}

/// Prints what was found; an error among it makes the exit code 1.
pub(crate) async fn doctor(args: &DoctorArgs, ctx: &Context) -> Result<(), CommandError> {
    let named = args.named.as_ref().or(ctx.config.env.as_ref());
    let checks = look::examine(ctx, named).await?;
    if ctx.screen.is_json() {
        ctx.screen.document(&Diagnosis::of(&checks))?;
    } else {
        let (width, paint) = (ctx.screen.width, ctx.screen.out);
        ctx.screen.data(&shown::text(&checks, width, paint))?;
    }
    if is_well(&checks) {
        Ok(())
    } else {
        Err(CommandError::said())
    }
}

/// Whether nothing is wrong; warnings are no reason to fail.
fn is_well(checks: &[Check]) -> bool {
    checks.iter().all(|it| it.finding.state != State::Error)
}
