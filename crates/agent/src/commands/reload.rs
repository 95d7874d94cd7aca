//! `lockgate-agent reload`

use clap::Args;

use super::asking::WaitArgs;
use crate::control;
use crate::error::CommandError;

/// Ask the build server now, and wait until this gateway runs what it should
///
/// Changes nothing where the build, its settings and the restart counter are the
/// ones that run. Called from below the application itself, it returns as soon as
/// the request is accepted.
#[derive(Debug, Args)]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) fn reload(args: &ReloadArgs) -> Result<(), CommandError> {
    let report = args.wait.have_done(control::RELOAD)?;
    match &report.refused {
        None => Ok(()),
        Some(refused) => Err(CommandError::failed(format!(
            "gateway `{}` kept its old build",
            report.gateway
        ))
        .cause(format!("build `{}` {}", refused.build, refused.reason))
        .hint("`lockgate-agent logs --crash` shows what it wrote; deploy a mended build")),
    }
}
