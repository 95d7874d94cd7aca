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
use crate::process::{Mark, SpawnLock, Spawner, in_words, sweep};
use crate::reaper::Reaper;

/// Files of the preload, by name and with their text.
macro_rules! preload {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../preload/", $name)))),*]
    };
}

/// What every started Node loads before the application: `main.cjs`, and what that
/// loads.
const PRELOAD: [(&str, &str); 23] = preload![
    "accepting.cjs",
    "channel.cjs",
    "compile-cache.cjs",
    "connections.cjs",
    "drain.cjs",
    "events.cjs",
    "gate.cjs",
    "http.cjs",
    "http2.cjs",
    "inspector.cjs",
    "listen.cjs",
    "main.cjs",
    "places.cjs",
    "readiness.cjs",
    "record-connections.cjs",
    "record-descriptors.cjs",
    "record-files.cjs",
    "record-starts.cjs",
    "record.cjs",
    "refusals.cjs",
    "replace.cjs",
    "supervised.cjs",
    "websocket.cjs",
];

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
        let folder = config.state_dir.join("preload");
        let preload = folder.join("main.cjs");
        write_preload(&folder).map_err(|source| SupervisorError::Prepare {
            path: folder,
            source,
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
        if !left.is_empty() {
            let left = in_words(&left).join(", ");
            warn!(left, "killed what an earlier agent had left behind");
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

/// Readable by the application, whoever it runs as. Files that are there already are
/// left alone: an agent on a full disk starts what it knows.
fn write_preload(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(folder)?;
    for (name, text) in PRELOAD {
        let path = folder.join(name);
        if std::fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
            continue;
        }
        let new = folder.join(format!("{name}.new"));
        std::fs::write(&new, text)?;
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o644))?;
        std::fs::rename(&new, &path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preload_that_is_there_needs_no_room_on_the_disk() {
        let state_dir = tempfile::tempdir().unwrap();
        let folder = state_dir.path().join("preload");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("main.cjs"), "an older one").unwrap();
        write_preload(&folder).unwrap();
        for (name, text) in PRELOAD {
            let written = std::fs::read_to_string(folder.join(name)).unwrap();
            assert_eq!(written, text, "{name}");
            // From now on nothing can be written.
            std::fs::create_dir(folder.join(format!("{name}.new"))).unwrap();
        }
        write_preload(&folder).unwrap();
        // What is missing is noticed.
        std::fs::remove_file(folder.join("main.cjs")).unwrap();
        assert!(write_preload(&folder).is_err());
    }

    #[test]
    fn every_file_of_the_preload_is_embedded() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/preload");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        there.sort();
        assert_eq!(there, PRELOAD.map(|(name, _)| name));
    }
}
