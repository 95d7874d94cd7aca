//! Opens what the driver needs before anything runs.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::warn;

use super::super::machine::Machine;
use super::super::view::Facts;
use super::super::{Command, Snapshot, SupervisorConfig, SupervisorError};
use super::Driver;
use crate::listener::Sockets;
use crate::logs::{Log, WriterOptions};
use crate::process::{Mark, SpawnLock, Spawner, sweep};
use crate::reaper::Reaper;

/// What every started Node loads before the application.
const PRELOAD: &str = include_str!("../../preload.cjs");

/// A log of 10 MiB is put aside, and five of them are kept.
const ROTATE_BYTES: u64 = 10 * 1024 * 1024;
const KEEP_LOGS: u32 = 5;

impl Driver {
    /// Opens everything; nothing runs yet. Ends what an agent that was killed has
    /// left behind.
    pub(in super::super) fn prepare(
        config: SupervisorConfig,
        commands: mpsc::Receiver<Command>,
        shown: watch::Sender<Snapshot>,
    ) -> Result<Self, SupervisorError> {
        let preload = config.state_dir.join("preload.cjs");
        write_preload(&config.state_dir, &preload).map_err(|source| {
            let path = preload.clone();
            SupervisorError::Prepare { path, source }
        })?;
        let (log, written) = Log::open(WriterOptions {
            file: config.log_file.clone(),
            copy_to_stdout: config.copy_to_stdout,
            rotate_bytes: ROTATE_BYTES,
            keep: KEEP_LOGS,
        })
        .map_err(|source| SupervisorError::Prepare {
            path: config.log_file.clone(),
            source,
        })?;
        let left = sweep(&Mark::of_state(&config.state_dir));
        if left > 0 {
            warn!(
                left,
                "ended processes that an earlier agent had left behind"
            );
        }
        let lock = SpawnLock::default();
        let (found, findings) = mpsc::channel(16);
        let (says, said) = mpsc::channel(16);
        let refusal_log = config.refused.iter().flat_map(|it| it.log.clone());
        let driver = Self {
            machine: Machine::new(config.good.clone(), config.refused.clone()),
            commands,
            shown,
            found,
            findings,
            says,
            said,
            reaper: Reaper::start(SpawnLock::clone(&lock)).map_err(SupervisorError::Start)?,
            spawner: Spawner::start(config.exec_step.clone(), config.open_files, lock)
                .map_err(SupervisorError::Start)?,
            sockets: Sockets::default(),
            log,
            written,
            preload,
            live: BTreeMap::new(),
            discarded: Vec::new(),
            tasks: JoinSet::new(),
            facts: Facts {
                refusal_log: refusal_log.collect(),
                refusal_unavailable_ms: config.refused.as_ref().and_then(|it| it.unavailable_ms),
                ..Facts::default()
            },
            config,
        };
        driver.show();
        Ok(driver)
    }
}

/// Readable by the application, whoever it runs as. Left alone where it is there
/// already: an agent on a full disk starts what it knows.
fn write_preload(folder: &Path, path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(folder)?;
    if std::fs::read(path).is_ok_and(|there| there == PRELOAD.as_bytes()) {
        return Ok(());
    }
    let new = path.with_extension("cjs.new");
    std::fs::write(&new, PRELOAD)?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o644))?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preload_that_is_there_needs_no_room_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("preload.cjs");
        std::fs::write(&path, "an older one").unwrap();
        write_preload(folder.path(), &path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), PRELOAD);
        // From now on nothing can be written.
        std::fs::create_dir(folder.path().join("preload.cjs.new")).unwrap();
        write_preload(folder.path(), &path).unwrap();
    }
}
