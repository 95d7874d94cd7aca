//! The last line of what follows no gateway: nothing runs that could be followed.

use lockgate_model::{EnvName, GatewayName};
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::deploy::events::GatewayOutcome;
use crate::error::CommandError;

/// The last line where statements were published, or not even those, and nobody was waited for.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Quiet<'q> {
    /// It is written down.
    Result {
        /// Always true.
        ok: bool,
        /// The environment.
        env: &'q EnvName,
        /// The gateways that get it once a server runs.
        published: &'q [GatewayName],
        /// Always empty: no gateway was followed.
        gateways: &'q [GatewayOutcome],
    },
}

/// Prints it for programs.
pub(super) fn done(
    ctx: &Context,
    env: &EnvName,
    published: &[GatewayName],
) -> Result<(), CommandError> {
    if !ctx.screen.is_json() {
        return Ok(());
    }
    ctx.screen.document(&Quiet::Result {
        ok: true,
        env,
        published,
        gateways: &[],
    })
}
