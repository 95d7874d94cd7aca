//! Files to tar.gz: `lockgate pack`'s library beside `tar czf`.

use std::path::{Path, PathBuf};

use lockgate_builds::pack::{PackSource, Part, Provenance};
use lockgate_builds::store::Store;
use lockgate_model::EnvName;

use crate::Options;
use crate::application::{Application, BUNDLE_FOLDER, SCRIPTS_FOLDER};
use crate::clock::{self, Stopwatch};
use crate::error::BenchError;
use crate::process::{command, run};
use crate::samples::Samples;
use crate::table::{Row, Table, ratio, tell};

/// The environment that builds are packed for.
pub(crate) const ENV: &str = "dev-001";

/// What is packed from where: the layout that holds without a lockgate.toml.
fn source(workspace: &Path, env: &EnvName) -> PackSource {
    let part = |from: &str, to: &str| Part {
        from: PathBuf::from(from),
        to: to.to_owned(),
        required: true,
    };
    PackSource {
        env: env.clone(),
        workspace: workspace.to_owned(),
        parts: vec![
            part(BUNDLE_FOLDER, "app-gateway"),
            part(SCRIPTS_FOLDER, "app"),
        ],
    }
}

fn env() -> Result<EnvName, BenchError> {
    EnvName::parse(ENV).map_err(|error| BenchError::Unexpected {
        what: error.to_string(),
    })
}

/// Packs the application into a store, and makes it the current build there.
pub(crate) fn store(application: &Application, builds: &Path) -> Result<u64, BenchError> {
    let (store, build) = pack_identity(application, builds)?;
    let (_, size_bytes) = store.make_current(&env()?, &build)?;
    Ok(size_bytes)
}

/// Packs the application into a store as a deploy does before gateways fetch.
fn pack_identity(
    application: &Application,
    builds: &Path,
) -> Result<(Store, lockgate_model::BuildId), BenchError> {
    let provenance = Provenance {
        built_at: clock::now(),
        commit: None,
        branch: None,
        dirty: None,
        node_version: None,
        tool: "lockgate-bench".to_owned(),
    };
    let store = Store::open(builds)?;
    let source = source(application.workspace(), &env()?);
    let packed = lockgate_builds::pack::pack(&source, &provenance, true, &store)?;
    Ok((store, packed.manifest.build))
}

/// Measures packing.
pub(crate) fn pack(options: &Options) -> Result<Vec<Table>, BenchError> {
    let application = Application::find(&options.workspace)?;
    let folder = tempfile::tempdir().map_err(BenchError::io("make", Path::new("a folder")))?;
    let staged = stage(&application, folder.path())?;
    let (mut ours, mut identity, mut secrets, mut tar) = (
        Samples::default(),
        Samples::default(),
        Samples::default(),
        Samples::default(),
    );
    let (mut our_size, mut tar_size) = (0, 0);
    for round in 0..options.rounds {
        tell(&format!("pack: round {} of {}", round + 1, options.rounds));
        let builds = folder.path().join(format!("builds-{round}"));
        let clock = Stopwatch::start();
        let (store, build) = pack_identity(&application, &builds)?;
        identity.push_time(clock.elapsed());
        our_size = store.make_current(&env()?, &build)?.1;
        ours.push_time(clock.elapsed());
        std::fs::remove_dir_all(&builds).map_err(BenchError::io("remove", &builds))?;

        let clock = Stopwatch::start();
        let found = lockgate_builds::pack::scan(&source(application.workspace(), &env()?))?;
        secrets.push_time(clock.elapsed());
        if let Some(secret) = found.first() {
            return Err(BenchError::Unexpected {
                what: format!("the application holds a secret: {secret:?}"),
            });
        }

        let archive = folder.path().join("sequence.tar.gz");
        let clock = Stopwatch::start();
        run(command("tar")
            .arg("czf")
            .arg(&archive)
            .arg("-C")
            .arg(&staged)
            .arg("gateway"))?;
        tar.push_time(clock.elapsed());
        tar_size = std::fs::metadata(&archive)
            .map_err(BenchError::io("read", &archive))?
            .len();
    }
    let mut notes = Vec::new();
    if let Some(ratio) = ratio(&tar, &ours) {
        notes.push(format!(
            "{ratio:.2} × faster than `tar czf` (to reach: ≥ 2.5), size {:+.1} % (to reach: within 2 %)",
            (size_mb(our_size) / size_mb(tar_size) - 1.0) * 100.0
        ));
    }
    notes.push("with the search for secrets: to reach ≤ 400 ms".to_owned());
    let mut rows = vec![
        Row::new("lockgate, tar.gz, with the search for secrets", ours, "ms"),
        Row::new("  of it until gateways may fetch", identity, "ms"),
        Row::new("tar czf of a ready folder", tar, "ms"),
    ];
    for (row, size) in rows.iter_mut().step_by(2).zip([our_size, tar_size]) {
        row.remark = format!("{:.2} MB", size_mb(size));
    }
    // It runs beside the reading, on another core.
    rows.insert(
        2,
        Row::new("  the search for secrets, alone", secrets, "ms"),
    );
    Ok(vec![Table {
        title: format!(
            "pack: {:.1} MB of files, {} rounds in turns",
            size_mb(application.size_bytes()?),
            options.rounds
        ),
        rows,
        notes,
    }])
}

/// The folder that `tar czf` packs, laid out beforehand and not measured.
fn stage(application: &Application, folder: &Path) -> Result<PathBuf, BenchError> {
    let staged = folder.join("staged");
    for (part, to) in [(BUNDLE_FOLDER, "app-gateway"), (SCRIPTS_FOLDER, "app")] {
        let to = staged.join("gateway").join(to);
        std::fs::create_dir_all(&to).map_err(BenchError::io("make", &to))?;
        let from = application.workspace().join(part).join(".");
        run(command("cp").arg("-r").arg(from).arg(&to))?;
    }
    Ok(staged)
}

/// Bytes as megabytes, for people.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn size_mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
