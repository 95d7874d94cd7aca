//! `lockgate validate`: are the bundles free of what no back end may hold?

pub(crate) mod sizes;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use lockgate_builds::pack;
use lockgate_builds::secrets::{self, SecretHit};
use lockgate_builds::validate::{BundleReport, github, render, sarif};
use lockgate_model::EnvName;
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::deploy::prepare;
use crate::error::{CommandError, Kind};
use crate::views::findings::painted;
use crate::views::paint::Paint;
use crate::views::text;
use crate::workspace::{FILE_NAME, Resolved, Workspace, bundles, secrets as allowed};

/// Check that bundles hold no front-end code, and what is packed no secrets
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// The bundles; those of lockgate.toml where none is given
    #[arg(value_name = "BUNDLE")]
    bundles: Vec<PathBuf>,
    /// The workspace; the one around the current folder where none is given
    #[arg(long, value_name = "PATH")]
    workspace: Option<PathBuf>,
    /// Write the secrets that were found into lockgate.toml as allowed, the reasons left to fill in
    #[arg(long, conflicts_with = "bundles")]
    accept: bool,
    /// How findings are shown; `--format json` is Lockgate's own form
    #[arg(long, value_enum, default_value_t, conflicts_with_all = ["accept", "sizes"])]
    report: ReportForm,
    /// Show what makes the bundles large instead
    #[arg(long, conflicts_with = "accept")]
    sizes: bool,
    /// Show what came and went since this older bundle
    #[arg(long, value_name = "OLD", requires = "sizes")]
    diff: Option<PathBuf>,
}

/// Whom findings are shown to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum ReportForm {
    /// People
    #[default]
    Text,
    /// Code scanning and editors: SARIF 2.1.0
    Sarif,
    /// GitHub's workflows: annotations
    Github,
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Findings<'f> {
    /// Whether nothing keeps the build from being packed.
    clean: bool,
    /// What was found in each bundle.
    bundles: &'f [BundleReport],
    /// The secrets in what would be packed that are not allowed; none where bundles were named.
    secrets: &'f [SecretHit],
}

/// What `--accept` wrote.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Accepted<'a> {
    /// How many secrets were written down as allowed.
    accepted: usize,
    /// Where.
    path: &'a Path,
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
    if args.sizes {
        return measure(args, root, &paths, &resolved, ctx);
    }
    let reports = prepare::reports(root, &paths, &resolved.rules)
        .map_err(|error| prepare::validate_failed(&error, &resolved))?;
    // Bundles that are named are looked at alone; else it is all that a deploy would pack.
    let secrets = if args.bundles.is_empty() {
        let found = pack::scan(&prepare::source_of(&env, &workspace, &resolved));
        let found = found.map_err(|error| CommandError::from_error(Kind::Failed, &error))?;
        prepare::without_allowed(&found, &resolved).1
    } else {
        Vec::new()
    };
    if args.accept {
        return accept(&workspace, &secrets, ctx);
    }
    let refused = secrets.iter().any(|hit| hit.refused);
    let clean = reports.iter().all(BundleReport::is_clean) && !refused;
    if ctx.screen.is_json() {
        ctx.screen.document(&Findings {
            clean,
            bundles: &reports,
            secrets: &secrets,
        })?;
    } else {
        ctx.screen
            .data(&shown(args.report, ctx.screen.out, &reports, &secrets))?;
    }
    if refused && !ctx.screen.is_json() {
        return Err(CommandError::failed("a secret would be packed").hint(prepare::ACCEPT));
    }
    if clean {
        Ok(())
    } else {
        Err(CommandError::said())
    }
}

fn shown(
    form: ReportForm,
    paint: Paint,
    reports: &[BundleReport],
    secrets: &[SecretHit],
) -> String {
    match form {
        ReportForm::Text => painted(&(render(reports) + &secrets::render(secrets)), paint) + "\n",
        ReportForm::Sarif => {
            let version = env!("CARGO_PKG_VERSION");
            format!("{:#}\n", sarif(reports, secrets, version))
        }
        ReportForm::Github => github(reports, secrets),
    }
}

fn measure(
    args: &ValidateArgs,
    root: &Path,
    paths: &[PathBuf],
    resolved: &Resolved,
    ctx: &Context,
) -> Result<(), CommandError> {
    let Some(old) = &args.diff else {
        return sizes::show(root, paths, &resolved.rules, ctx);
    };
    match paths {
        [bundle] => sizes::diff(root, old, bundle, &resolved.rules, ctx),
        _ => Err(CommandError::usage(format!(
            "`--diff` compares one bundle, and there are {}",
            paths.len()
        ))
        .hint("name it: `lockgate validate --sizes --diff OLD BUNDLE`")),
    }
}

/// Writes down what was found, for the user to say why.
fn accept(workspace: &Workspace, secrets: &[SecretHit], ctx: &Context) -> Result<(), CommandError> {
    let path = workspace.root().join(FILE_NAME);
    let written = allowed::accept(workspace.root(), secrets).map_err(|source| {
        CommandError::failed(format!("cannot write `{}`", path.display())).because(&source)
    })?;
    if ctx.screen.is_json() {
        return ctx.screen.document(&Accepted {
            accepted: written,
            path: &path,
        });
    }
    if written == 0 {
        ctx.screen.say("no secret is left to accept");
    } else {
        ctx.screen.say(&format!(
            "{} written into {}; say there why each may be packed",
            text::count(written, "secret"),
            path.display()
        ));
    }
    Ok(())
}
