//! Validates and packs, one beside the other.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use lockgate_builds::pack::{PackError, PackSource, Packed, Provenance, pack};
use lockgate_builds::store::Store;
use lockgate_builds::validate::{self, BundleReport, Rules, ValidateError};
use lockgate_model::{BuildId, EnvName};

use super::events::{Event, LeftOutFile};
use super::{clock, joined, provenance};
use crate::error::{CommandError, Kind};
use crate::workspace::{Resolved, Workspace, bundles, sources};

/// What is validated and packed.
#[derive(Debug)]
pub(crate) struct Job {
    /// The environment it is packed for.
    pub(crate) env: EnvName,
    /// The checkout.
    pub(crate) workspace: Workspace,
    /// What it says for this environment.
    pub(crate) resolved: Resolved,
    /// Whether bundles are validated.
    pub(crate) validate: bool,
}

/// A build that may be published.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What is in the store.
    pub(crate) packed: Packed,
    /// Where it came from.
    pub(crate) provenance: Provenance,
}

impl Prepared {
    /// The build's name.
    pub(crate) fn build(&self) -> &BuildId {
        &self.packed.manifest.build
    }
}

/// Says that a source is newer than the bundle, if one is.
pub(crate) fn stale(job: &Job) -> Option<String> {
    let Resolved {
        bundle,
        sources: folders,
        build_command,
        ..
    } = &job.resolved;
    let newer = sources::newer_than(bundle, folders)?;
    let root = job.workspace.root();
    let advice = build_command.as_ref().map_or(String::new(), |command| {
        format!("; `--build` runs `{command}` first")
    });
    Some(format!(
        "`{}` is newer than `{}`{advice}",
        bundles::relative(root, &newer).display(),
        bundles::relative(root, bundle).display()
    ))
}

/// Validates (unless it shall not) and packs. A finding is told as an event and refuses the build.
pub(crate) async fn prepare(
    job: &Job,
    store: &Store,
    tell: &mut dyn FnMut(Event),
) -> Result<Prepared, CommandError> {
    let validating = validating(job)?;
    let provenance = provenance::gather(job.workspace.root(), now()).await;
    let packing = {
        let (source, store, provenance) = (source(job), store.clone(), provenance.clone());
        let validated = job.validate;
        tokio::task::spawn_blocking(move || {
            let started = clock();
            (
                pack(&source, &provenance, validated, &store),
                started.elapsed(),
            )
        })
    };
    let validated = match validating {
        Some(validating) => Some(joined(validating.await)?),
        None => None,
    };
    // Both have ended before either's error is told, so that nothing goes on behind it.
    let (packed, took) = joined(packing.await)?;
    if let Some((reports, took)) = validated {
        let reports = reports.map_err(|error| validate_failed(&error, &job.resolved))?;
        let clean = reports.iter().all(|report| report.findings.is_empty());
        tell(Event::Validated {
            clean,
            bundles: reports,
            took_ms: millis(took),
        });
        if !clean {
            return Err(CommandError::failed("a bundle holds what no back end may; nothing was deployed").hint(
                "`import type` keeps types out of a bundle; move front-end code behind a `frontend` entry point",
            ));
        }
    }
    let packed = packed.map_err(|error| pack_failed(&error, job))?;
    tell(packed_event(&packed, took));
    Ok(Prepared { packed, provenance })
}

type Validating = tokio::task::JoinHandle<(Result<Vec<BundleReport>, ValidateError>, Duration)>;

fn validating(job: &Job) -> Result<Option<Validating>, CommandError> {
    if !job.validate {
        return Ok(None);
    }
    let (root, paths) = (
        job.workspace.root().to_owned(),
        paths(&job.workspace, &job.resolved)?,
    );
    Ok(Some(tokio::task::spawn_blocking(move || {
        let started = clock();
        (reports(&root, &paths), started.elapsed())
    })))
}

/// What `pack` did, as an event.
fn packed_event(packed: &Packed, took: Duration) -> Event {
    Event::Packed {
        build: packed.manifest.build.clone(),
        new: packed.new,
        files: packed.manifest.files.len(),
        size_bytes: packed.manifest.files.iter().map(|file| file.size).sum(),
        left_out: packed.left_out.iter().map(LeftOutFile::from).collect(),
        took_ms: millis(took),
    }
}

fn source(job: &Job) -> PackSource {
    PackSource {
        env: job.env.clone(),
        workspace: job.workspace.root().to_owned(),
        parts: job.resolved.parts.clone(),
    }
}

/// The bundles to validate, relative to the workspace.
pub(crate) fn paths(
    workspace: &Workspace,
    resolved: &Resolved,
) -> Result<Vec<PathBuf>, CommandError> {
    bundles::find(workspace.root(), &resolved.validate, Some(&resolved.bundle)).map_err(|error| {
        CommandError::configuration("`[build] validate` cannot be used").because(&error)
    })
}

/// Validates bundles and names them as they were given.
pub(crate) fn reports(root: &Path, paths: &[PathBuf]) -> Result<Vec<BundleReport>, ValidateError> {
    let rules = Rules::default();
    paths
        .iter()
        .map(|path| {
            let report = validate::validate_bundle(&root.join(path), &rules)?;
            Ok(BundleReport {
                path: path.clone(),
                ..report
            })
        })
        .collect()
}

/// A bundle that could not be read, with what to do about it.
pub(crate) fn validate_failed(error: &ValidateError, resolved: &Resolved) -> CommandError {
    with_build_hint(CommandError::from_error(Kind::Failed, error), resolved)
}

fn pack_failed(error: &PackError, job: &Job) -> CommandError {
    with_build_hint(CommandError::from_error(Kind::Failed, error), &job.resolved)
}

fn with_build_hint(error: CommandError, resolved: &Resolved) -> CommandError {
    match &resolved.build_command {
        Some(command) => error.hint(format!(
            "`{command}` makes the bundle; `--build` runs it first"
        )),
        None => error.hint(
            "set `[build] bundle` and `[pack] parts` in lockgate.toml (`lockgate init` writes one)",
        ),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a build's time of day is stamped here"
)]
fn now() -> SystemTime {
    SystemTime::now()
}
