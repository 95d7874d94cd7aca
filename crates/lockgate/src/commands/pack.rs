//! `lockgate pack`: a build in the store, served as the current archive, not deployed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use lockgate_model::{BuildId, EnvName, Manifest};
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::deploy::build;
use crate::deploy::joined;
use crate::deploy::prepare::{self, Job};
use crate::environment::{Environment, EnvironmentError};
use crate::error::CommandError;
use crate::server::control::ControlClient;
use crate::views::progress::Progress;
use crate::views::text;

/// Validate and pack a build without deploying it
#[derive(Debug, Args)]
pub(crate) struct PackArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    named: Option<EnvName>,
    /// The checkout; the environment's own where none is given
    workspace: Option<PathBuf>,
    /// Run the build command first
    #[arg(long, short)]
    build: bool,
    /// Pack although bundles may hold what no back end may
    #[arg(long)]
    no_validate: bool,
}

/// Packs, makes the build the current archive, and says what is in it.
pub(crate) async fn pack(args: PackArgs, ctx: &Context) -> Result<(), CommandError> {
    let env = ctx.env_name(args.named.as_ref())?;
    let workspace = match Environment::load(&ctx.config.home, &env) {
        Ok(environment) => super::checkout::checkout(ctx, &environment, args.workspace.as_deref())?,
        // A build can be packed before its environment is made.
        Err(EnvironmentError::Unknown { .. }) => ctx.workspace(args.workspace.as_deref())?,
        Err(error) => return Err(error.into()),
    };
    let resolved = workspace.resolve(&env)?;
    let mut progress = Progress::new(ctx.screen);
    let mut tell = super::deploy::teller(&mut progress);
    if args.build {
        build::run(workspace.root(), &resolved, &mut tell).await?;
    }
    let store = ctx.store()?;
    let job = Job {
        env,
        workspace,
        resolved,
        validate: !args.no_validate,
    };
    let prepared = prepare::prepare(&job, &store, &mut tell).await?;
    let manifest = &prepared.packed.manifest;
    let (path, size_bytes) = {
        let (store, env, build) = (store.clone(), job.env.clone(), manifest.build.clone());
        joined(tokio::task::spawn_blocking(move || store.make_current(&env, &build)).await)??
    };
    let server = ControlClient::connect(&ctx.config.home)
        .await
        .map(|(_, server)| server);
    let url = super::urls::archive_url(ctx, server.as_ref(), &job.env);
    if ctx.screen.is_json() {
        return ctx.screen.document(&Packed::Result {
            ok: true,
            env: &job.env,
            build: &manifest.build,
            new: prepared.packed.new,
            path: &path,
            size_bytes,
            files: manifest.files.len(),
            url: &url,
        });
    }
    let name = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy();
    let mut said = format!(
        "✅ Build packed: {name} ({})\n",
        text::short_size(size_bytes)
    );
    // Writing to a String cannot fail.
    let _ = writeln!(
        said,
        "   Build: {}\n   Location: {}\n",
        manifest.build,
        path.display()
    );
    let _ = writeln!(said, "📦 Package contents:\n{}", contents(manifest));
    let _ = writeln!(said, "📊 Served at:\n   {url}");
    ctx.screen.data(&said)?;
    if server.is_none() {
        ctx.screen
            .warn("no server runs yet; `lockgate serve --detach` starts it");
    }
    Ok(())
}

/// The last line of a pack.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Packed<'p> {
    /// The build is the environment's current archive.
    Result {
        /// Always true.
        ok: bool,
        /// The environment.
        env: &'p EnvName,
        /// The build.
        build: &'p BuildId,
        /// False when the store already held it.
        new: bool,
        /// The archive.
        path: &'p Path,
        /// Its size.
        size_bytes: u64,
        /// How many files are in it.
        files: usize,
        /// Where the build server serves it.
        url: &'p str,
    },
}

/// Files of the first two levels; what lies deeper is counted with its folder.
fn contents(manifest: &Manifest) -> String {
    let mut entries: BTreeMap<String, (usize, u64)> = BTreeMap::new();
    for file in &manifest.files {
        let mut parts = file.path.as_str().splitn(3, '/');
        let entry = match (parts.next(), parts.next(), parts.next()) {
            (Some(top), Some(folder), Some(_)) => format!("{top}/{folder}/"),
            _ => file.path.as_str().to_owned(),
        };
        let (files, bytes) = entries.entry(entry).or_default();
        *files += 1;
        *bytes += file.size;
    }
    let line = |(entry, (files, bytes)): (String, (usize, u64))| {
        let files = if entry.ends_with('/') {
            format!("{}, ", text::count(files, "file"))
        } else {
            String::new()
        };
        format!("   - {entry} ({files}{})\n", text::size(bytes))
    };
    entries.into_iter().map(line).collect()
}
