//! Validates and packs, one beside the other.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use lockgate_builds::pack::{PackError, PackSource, Packed, Provenance, read};
use lockgate_builds::secrets::SecretHit;
use lockgate_builds::store::Store;
use lockgate_builds::validate::{self, BundleReport, Rules, ValidateError};
use lockgate_model::{BuildId, EnvName};

use super::events::{Event, LeftOutFile};
use super::{clock, joined, millis, provenance};
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
    let newer = newer(job.workspace.root(), &job.resolved)?;
    let command = job.resolved.build_command.as_ref();
    let advice = command.map_or(String::new(), |command| {
        format!("; `--build` runs `{command}` first")
    });
    Some(newer + &advice)
}

/// That a source is newer than the bundle, if one is.
pub(crate) fn newer(root: &Path, resolved: &Resolved) -> Option<String> {
    let Resolved {
        bundle,
        sources: folders,
        ..
    } = resolved;
    let newer = sources::newer_than(bundle, folders)?;
    Some(format!(
        "`{}` is newer than `{}`",
        bundles::relative(root, &newer).display(),
        bundles::relative(root, bundle).display()
    ))
}

/// Validates (unless it shall not) and packs. What is found is told as an event, and
/// nothing is kept in the store.
pub(crate) async fn prepare(
    job: &Job,
    store: &Store,
    tell: &mut dyn FnMut(Event),
) -> Result<Prepared, CommandError> {
    let bundles = paths(&job.workspace, &job.resolved)?;
    let before = states(job.workspace.root(), &bundles);
    let started = clock();
    let reading = {
        let (source, store) = (source(job), store.clone());
        tokio::task::spawn_blocking(move || read(&source, &store))
    };
    let validating = job.validate.then(|| {
        let (root, bundles) = (job.workspace.root().to_owned(), bundles.clone());
        let rules = job.resolved.rules.clone();
        tokio::task::spawn_blocking(move || (reports(&root, &bundles, &rules), started.elapsed()))
    });
    let provenance = provenance::gather(job.workspace.root(), now()).await;
    // Both have ended before either's error is told, so that nothing goes on behind it.
    let reading = joined(reading.await)?;
    if let Some(validating) = validating {
        let (reports, took) = joined(validating.await)?;
        let reports = reports.map_err(|error| validate_failed(&error, &job.resolved))?;
        judge(reports, took, tell)?;
    }
    let reading = reading.map_err(|error| pack_failed(&error, job))?;
    judge_secrets(reading.secrets(), job, tell)?;
    if states(job.workspace.root(), &bundles) != before {
        return Err(
            CommandError::failed("a bundle changed while it was validated and packed")
                .hint(STILL_BUILDING),
        );
    }
    let (keeping, validated) = (provenance.clone(), job.validate);
    let kept = tokio::task::spawn_blocking(move || reading.keep(&keeping, validated)).await;
    let packed = joined(kept)?.map_err(|error| pack_failed(&error, job))?;
    tell(packed_event(&packed, started.elapsed()));
    Ok(Prepared { packed, provenance })
}

const STILL_BUILDING: &str = "the build tool was still writing; deploy again when it is done";

/// What tells whether the validated files are the packed ones: inode, size and time of change.
fn states(root: &Path, bundles: &[PathBuf]) -> Vec<Option<(u64, u64, i64, i64)>> {
    let state = |path: &PathBuf| {
        let found = std::fs::metadata(root.join(path)).ok()?;
        Some((found.ino(), found.size(), found.ctime(), found.ctime_nsec()))
    };
    bundles.iter().map(state).collect()
}

/// Tells what was found, and makes an error of it.
fn judge(
    bundles: Vec<BundleReport>,
    took: Duration,
    tell: &mut dyn FnMut(Event),
) -> Result<(), CommandError> {
    let clean = bundles.iter().all(BundleReport::is_clean);
    tell(Event::Validated {
        clean,
        bundles,
        took_ms: millis(took),
    });
    if clean {
        return Ok(());
    }
    Err(CommandError::failed("a bundle holds what no back end may, so nothing was packed").hint(
        "the report names the file to change where that is known; what is meant to be there goes \
         into `[[validate.allow]]` of lockgate.toml with its reason",
    ))
}

/// Tells which secrets would travel along, and makes an error of those that must not. Who
/// does not want to validate is told all the same.
fn judge_secrets(
    found: &[SecretHit],
    job: &Job,
    tell: &mut dyn FnMut(Event),
) -> Result<(), CommandError> {
    let (allowed, found) = without_allowed(found, &job.resolved);
    if found.is_empty() {
        return Ok(());
    }
    let refused = found.iter().any(|hit| hit.refused);
    tell(Event::Secrets { found, allowed });
    if !refused {
        return Ok(());
    }
    if !job.validate {
        let message = "secrets are packed, since nothing was to be validated".to_owned();
        tell(Event::Warning { message });
        return Ok(());
    }
    Err(CommandError::failed("a secret would be packed, so nothing was").hint(ACCEPT))
}

/// How it goes on where a secret was found.
pub(crate) const ACCEPT: &str = "take it out; where it may travel along, `lockgate validate --accept` \
     writes its fingerprint into lockgate.toml, and you the reason";

/// How many are allowed, and the others.
pub(crate) fn without_allowed(found: &[SecretHit], resolved: &Resolved) -> (usize, Vec<SecretHit>) {
    let (allowed, others): (Vec<SecretHit>, Vec<SecretHit>) = found
        .iter()
        .cloned()
        .partition(|hit| resolved.allowed_secrets.contains(&hit.fingerprint));
    (allowed.len(), others)
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
    source_of(&job.env, &job.workspace, &job.resolved)
}

/// What is packed.
pub(crate) fn source_of(env: &EnvName, workspace: &Workspace, resolved: &Resolved) -> PackSource {
    PackSource {
        env: env.clone(),
        workspace: workspace.root().to_owned(),
        parts: resolved.parts.clone(),
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

/// Validates bundles; their paths count from `root`.
pub(crate) fn reports(
    root: &Path,
    paths: &[PathBuf],
    rules: &Rules,
) -> Result<Vec<BundleReport>, ValidateError> {
    let validate = |path: &PathBuf| validate::validate_bundle(root, path, rules);
    paths.iter().map(validate).collect()
}

/// A bundle that could not be read, with what to do about it.
pub(crate) fn validate_failed(error: &ValidateError, resolved: &Resolved) -> CommandError {
    with_build_hint(CommandError::from_error(Kind::Failed, error), resolved)
}

fn pack_failed(error: &PackError, job: &Job) -> CommandError {
    let told = CommandError::from_error(Kind::Failed, error);
    match error {
        PackError::Missing { .. } | PackError::Empty { .. } => with_build_hint(told, &job.resolved),
        PackError::Changed { .. } => told.hint(STILL_BUILDING),
        PackError::Outside { .. } | PackError::Refused { .. } => {
            told.hint("`[pack] parts` in lockgate.toml says what is packed")
        }
        PackError::Io { .. } | PackError::Store { .. } => told,
    }
}

fn with_build_hint(error: CommandError, resolved: &Resolved) -> CommandError {
    error.hint(build_hint(resolved))
}

/// What makes a bundle that is not there.
pub(crate) fn build_hint(resolved: &Resolved) -> String {
    match &resolved.build_command {
        Some(command) => format!("`{command}` makes the bundle; `lockgate deploy --build` runs it first"),
        None => "build first; `[build] bundle` and `[pack] parts` in lockgate.toml say where it is (`lockgate init` writes one)".to_owned(),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a build's time of day is stamped here"
)]
fn now() -> SystemTime {
    SystemTime::now()
}
