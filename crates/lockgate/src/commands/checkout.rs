//! Which checkout a command works on, and that it is the environment's own.

use std::path::Path;

use crate::context::Context;
use crate::environment::Environment;
use crate::error::CommandError;
use crate::workspace::Workspace;

/// The checkout that is given, or the environment's own. Called in another checkout,
/// nothing is guessed: both paths are named.
pub(crate) fn checkout(
    ctx: &Context,
    environment: &Environment,
    given: Option<&Path>,
) -> Result<Workspace, CommandError> {
    if given.is_some() {
        return ctx.workspace(given);
    }
    let own = || Ok(Workspace::open(&environment.workspace)?);
    if ctx
        .cwd
        .ancestors()
        .any(|above| environment.is_workspace(above))
    {
        return own();
    }
    let here = Workspace::around(&ctx.cwd)?;
    if !here.is_recognised() {
        return own();
    }
    Err(CommandError::failed(format!(
        "environment `{}` is deployed from `{}`, and this is `{}`",
        environment.name,
        environment.workspace.display(),
        here.root().display()
    ))
    .hint(format!(
        "go there, or say `--workspace {}` to deploy this checkout all the same",
        here.root().display()
    )))
}
