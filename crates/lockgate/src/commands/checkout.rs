//! Which checkout a command works on, and that it is the environment's own.

use std::path::Path;

use crate::context::{Context, now_ms};
use crate::environment::Environment;
use crate::environment::lock::DeployLock;
use crate::error::CommandError;
use crate::workspace::Workspace;

/// The checkout that is given, or the environment's own. Called in another checkout,
/// nothing is guessed: both paths are named.
pub(crate) fn checkout(
    ctx: &Context,
    environment: &Environment,
    given: Option<&Path>,
) -> Result<Workspace, CommandError> {
    if let Some(given) = given {
        let workspace = ctx.workspace(Some(given))?;
        if !environment.workspace.exists() {
            adopt(ctx, environment, &workspace)?;
        }
        return Ok(workspace);
    }
    let own = || {
        if environment.workspace.exists() {
            Ok(Workspace::open(&environment.workspace)?)
        } else {
            Err(gone(environment))
        }
    };
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
    if !environment.workspace.exists() {
        return Err(gone(environment));
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

/// The error for a checkout that is not there any more.
pub(super) fn gone(environment: &Environment) -> CommandError {
    let env = &environment.name;
    CommandError::failed(format!(
        "environment `{env}` is deployed from `{}`, which is not there",
        environment.workspace.display()
    ))
    .hint(format!(
        "`lockgate deploy {env} --workspace PATH` says where it is now"
    ))
}

/// Makes a checkout the environment's own, in place of one that is not there any more.
pub(crate) fn adopt(
    ctx: &Context,
    environment: &Environment,
    workspace: &Workspace,
) -> Result<Environment, CommandError> {
    let (home, env) = (&ctx.config.home, &environment.name);
    let _lock = DeployLock::take(home, env, "deploy", now_ms())?;
    let mut moved = Environment::load(home, env)?;
    workspace.root().clone_into(&mut moved.workspace);
    moved.save(home)?;
    ctx.screen.say(&format!(
        "environment {env} is deployed from {} from now on; {} is not there",
        workspace.root().display(),
        environment.workspace.display()
    ));
    Ok(moved)
}
