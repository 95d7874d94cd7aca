//! `lockgate validate`: are the bundles free of what no back end may hold?

use std::path::PathBuf;

use clap::Args;
use lockgate_builds::validate::{BundleReport, render};
use lockgate_model::EnvName;
use serde_json::json;

use crate::context::Context;
use crate::deploy::prepare;
use crate::error::CommandError;
use crate::workspace::bundles;

/// Check that bundles hold no front-end code
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// The bundles; those of lockgate.toml where none is given
    #[arg(value_name = "BUNDLE")]
    bundles: Vec<PathBuf>,
    /// The workspace; the one around the current folder where none is given
    #[arg(long, value_name = "PATH")]
    workspace: Option<PathBuf>,
}

/// Validates and prints the report; findings make the exit code 1.
pub(crate) fn validate(args: &ValidateArgs, ctx: &Context) -> Result<(), CommandError> {
    let workspace = ctx.workspace(args.workspace.as_deref())?;
    let env = match ctx.config.env.as_ref().or(workspace.default_env()) {
        Some(env) => env.clone(),
        None => EnvName::parse(super::init::FIRST_ENV)
            .map_err(|error| CommandError::failed(error.to_string()))?,
    };
    let resolved = workspace.resolve(&env)?;
    let (root, paths) = if args.bundles.is_empty() {
        (workspace.root(), prepare::paths(&workspace, &resolved)?)
    } else {
        let named = args
            .bundles
            .iter()
            .map(|path| bundles::relative(&ctx.cwd, &ctx.cwd.join(path)));
        (ctx.cwd.as_path(), named.collect())
    };
    let reports = prepare::reports(root, &paths, &resolved.rules)
        .map_err(|error| prepare::validate_failed(&error, &resolved))?;
    let clean = reports.iter().all(BundleReport::is_clean);
    if ctx.screen.is_json() {
        ctx.screen
            .json(&json!({"clean": clean, "bundles": reports}))?;
    } else {
        ctx.screen.data(&render(&reports))?;
    }
    if clean {
        Ok(())
    } else {
        Err(CommandError::said())
    }
}
