//! `lockgate init`: writes a lockgate.toml from what is there.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use lockgate_model::EnvName;
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::error::CommandError;
use crate::workspace::{FILE_NAME, Workspace, template};

/// Write a commented lockgate.toml from what is there
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The workspace; the current folder where none is given
    workspace: Option<PathBuf>,
}

/// The environment that a workspace starts with.
pub(crate) const FIRST_ENV: &str = "dev-001";

/// What was written.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Written<'w> {
    /// The file.
    path: &'w Path,
    /// The environment that is meant where none is named.
    default_env: &'w EnvName,
    /// The build command that was found.
    build_command: Option<&'w str>,
    /// Whether the bundle was.
    bundle_found: bool,
}

/// Writes the file, never over one that is there.
pub(crate) fn init(args: &InitArgs, ctx: &Context) -> Result<(), CommandError> {
    let root = args
        .workspace
        .as_ref()
        .map_or_else(|| ctx.cwd.clone(), |path| ctx.cwd.join(path));
    let path = root.join(FILE_NAME);
    let failed = |error: std::io::Error| {
        if error.kind() == ErrorKind::AlreadyExists {
            CommandError::failed(format!("`{}` is there already", path.display()))
                .hint("edit it; `lockgate init` writes nothing over it")
        } else {
            CommandError::failed(format!("cannot write `{}`", path.display())).because(&error)
        }
    };
    // Opened first: a file that is there is not even read, it may be the broken one.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(failed)?;
    let found = crate::workspace::Detected::look(&root);
    let env = match &ctx.config.env {
        Some(env) => env.clone(),
        None => {
            EnvName::parse(FIRST_ENV).map_err(|error| CommandError::failed(error.to_string()))?
        }
    };
    file.write_all(template::render(&env, &found).as_bytes())
        .map_err(failed)?;

    let workspace = Workspace::open(&root)?;
    if ctx.screen.is_json() {
        return ctx.screen.document(&Written {
            path: &path,
            default_env: &env,
            build_command: found.build_command.as_deref(),
            bundle_found: found.bundle,
        });
    }
    let screen = &ctx.screen;
    screen.data(&format!(
        "wrote {}\n",
        workspace.root().join(FILE_NAME).display()
    ))?;
    match &found.build_command {
        Some(command) => screen.say(&format!("  build command  {command}")),
        None => screen.say("  build command  none found; set `[build] command`"),
    }
    let bundle = if found.bundle {
        "found"
    } else {
        "not built yet"
    };
    screen.say(&format!("  bundle         {bundle}"));
    screen.say(&format!(
        "\nNext: look through {FILE_NAME}, then run `lockgate up`."
    ));
    Ok(())
}
