//! Opens what the driver needs before anything runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::warn;

use super::super::environment::NODE_OPTIONS;
use super::super::machine::Machine;
use super::super::view::Facts;
use super::super::{Command, Kind, Snapshot, SupervisorConfig, SupervisorError};
use super::Driver;
use crate::listener::Sockets;
use crate::logs::{Log, WriterOptions};
use crate::preload;
use crate::process::{Mark, SpawnLock, Spawner, in_words, sweep};
use crate::reaper::Reaper;

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
        let preload = match config.kind {
            Kind::Application => preload::write(&folder).map(Some),
            Kind::Service(_) => Ok(None),
        }
        .map_err(|source| SupervisorError::Prepare {
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
        let (swept, sweepings) = mpsc::channel(16);
        let node_options = config
            .environment
            .iter()
            .find(|(name, _)| name == NODE_OPTIONS)
            .map(|(_, value)| value.to_string_lossy().into_owned());
        let refusal_log = config.refused.iter().flat_map(|it| it.log.clone());
        let driver = Self {
            machine: Machine::new(config.good.clone(), config.refused.clone(), node_options),
            commands,
            shown,
            found,
            findings,
            says,
            said,
            swept,
            sweepings,
            reaper: Reaper::start(SpawnLock::clone(&lock)).map_err(SupervisorError::Start)?,
            spawner: Spawner::start(config.exec_step.clone(), config.open_files, lock)
                .map(Arc::new)
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
