//! What the agent remembers across its own restarts, in the folder beside the
//! releases: the statement it accepted, the last good one, what it gave up on, the
//! routes of user containers.
//!
//! Statements are kept as they were signed and verified again when they are read,
//! so that the folder cannot make the agent run what nobody signed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lockgate_model::{KeyId, Refusal, RouteTable, SignedStatement};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::warn;

const LOCK: &str = "agent.lock";
const STATEMENT: &str = "statement.json";
const GOOD: &str = "good.json";
const REFUSED: &str = "refused.json";
const ROUTES: &str = "routes.json";

/// A statement as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The key that signed it.
    pub(crate) key_id: KeyId,
    /// Its number.
    pub(crate) seq: u64,
    /// Its bytes and their signature.
    pub(crate) signed: SignedStatement,
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// The folder itself.
    #[error("cannot use the state folder `{path}`")]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Two agents with one folder would undo each other's work.
    #[error("another agent uses the state folder `{path}`")]
    Taken { path: PathBuf },
    /// A file in it.
    #[error("cannot write `{path}`")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The folder, locked for this agent as long as a clone of this lives.
#[derive(Debug, Clone)]
pub(crate) struct State {
    dir: PathBuf,
    _lock: Arc<Flock<File>>,
}

impl State {
    /// Opens the folder, making it (0755, as the releases in it are no secret) when
    /// it is missing, and locks it.
    pub(crate) fn open(dir: &Path) -> Result<Self, StateError> {
        let folder = |source| StateError::Folder {
            path: dir.to_owned(),
            source,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(dir)
            .map_err(folder)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(dir.join(LOCK))
            .map_err(folder)?;
        let lock =
            Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(
                |(_, error)| match error {
                    Errno::EWOULDBLOCK => StateError::Taken {
                        path: dir.to_owned(),
                    },
                    other => folder(other.into()),
                },
            )?;
        Ok(Self {
            dir: dir.to_owned(),
            _lock: Arc::new(lock),
        })
    }

    /// The statement accepted last.
    pub(crate) fn statement(&self) -> Option<Kept> {
        self.read(STATEMENT)
    }

    /// Keeps the accepted statement.
    pub(crate) fn keep_statement(&self, kept: &Kept) -> Result<(), StateError> {
        self.write(STATEMENT, kept)
    }

    /// The statement whose target passed its trial last.
    pub(crate) fn good(&self) -> Option<Kept> {
        self.read(GOOD)
    }

    /// Keeps the statement whose target passed its trial.
    pub(crate) fn keep_good(&self, kept: &Kept) -> Result<(), StateError> {
        self.write(GOOD, kept)
    }

    /// What was given up on last.
    pub(crate) fn refused(&self) -> Option<Refusal> {
        self.read(REFUSED)
    }

    /// Keeps what was given up on.
    pub(crate) fn keep_refused(&self, refused: &Refusal) -> Result<(), StateError> {
        self.write(REFUSED, refused)
    }

    /// The routes that were set last.
    pub(crate) fn routes(&self) -> Option<RouteTable> {
        self.read(ROUTES)
    }

    /// Keeps the routes.
    pub(crate) fn keep_routes(&self, routes: &RouteTable) -> Result<(), StateError> {
        self.write(ROUTES, routes)
    }

    /// A file that cannot be read counts as missing: the gateway shall start.
    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let path = self.dir.join(name);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                warn!(path = %path.display(), %error, "state file ignored");
                return None;
            }
        };
        serde_json::from_slice(&text)
            .inspect_err(|error| warn!(path = %path.display(), %error, "state file ignored"))
            .ok()
    }

    fn write(&self, name: &str, value: &impl Serialize) -> Result<(), StateError> {
        let path = self.dir.join(name);
        let temp = self.dir.join(format!(".{name}.new"));
        let write = || -> io::Result<()> {
            let text = serde_json::to_vec(value)?;
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(0o600)
                .open(&temp)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&temp, &path)?;
            File::open(&self.dir)?.sync_all()
        };
        write().map_err(|source| StateError::Write { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::BuildId;

    fn refusal(seq: u64) -> Refusal {
        Refusal {
            unavailable_ms: None,
            build: BuildId::parse("0123456789ab").unwrap(),
            seq,
            reason: "threw".to_owned(),
            log: vec!["Error: no".to_owned()],
        }
    }

    #[test]
    fn what_was_kept_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("new/state")).unwrap();
        assert_eq!(state.refused(), None);
        state.keep_refused(&refusal(1)).unwrap();
        state.keep_refused(&refusal(2)).unwrap();
        assert_eq!(state.refused(), Some(refusal(2)));
    }

    #[test]
    fn routes_come_back_and_wrong_ones_count_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        let routes = RouteTable::parse("uc-1.domain.local 172.16.0.6 80").unwrap();
        state.keep_routes(&routes).unwrap();
        assert_eq!(state.routes(), Some(routes));
        let text = fs::read_to_string(dir.path().join(ROUTES)).unwrap();
        fs::write(dir.path().join(ROUTES), text.replace("172.16", "127.0")).unwrap();
        assert_eq!(state.routes(), None);
    }

    #[test]
    fn a_torn_file_counts_as_missing() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        fs::write(dir.path().join(STATEMENT), "{\"key_id\":").unwrap();
        assert_eq!(state.statement(), None);
    }

    #[test]
    fn two_agents_never_share_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let first = State::open(dir.path()).unwrap();
        assert!(matches!(
            State::open(dir.path()),
            Err(StateError::Taken { .. })
        ));
        drop(first);
        assert!(State::open(dir.path()).is_ok());
    }
}
