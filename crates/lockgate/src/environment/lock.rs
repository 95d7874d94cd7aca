//! One change at a time: a lock on an environment that says who holds it.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use lockgate_model::EnvName;

use crate::home::{Home, durable};

/// Held while something changes what an environment runs; released when dropped or when the process ends.
#[derive(Debug)]
pub(crate) struct DeployLock {
    _file: File,
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    /// The process.
    pub(crate) pid: u32,
    /// Since when, UNIX milliseconds.
    pub(crate) since: u64,
    /// What it does: `deploy`.
    pub(crate) what: String,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Somebody else holds it.
    #[error("environment `{env}` is being changed by {}", by(holder.as_ref()))]
    Held {
        /// The environment.
        env: EnvName,
        /// Who, when that could be read.
        holder: Option<Holder>,
    },
    /// The lock's file cannot be used.
    #[error("`{path}` cannot be locked")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl DeployLock {
    /// Takes the lock or says who has it; never waits. `what` is one word for the message: `deploy`.
    pub(crate) fn take(
        home: &Home,
        env: &EnvName,
        what: &str,
        now_ms: u64,
    ) -> Result<Self, LockError> {
        let path = home.env_dir(env).join("deploy.lock");
        let me = Holder {
            pid: std::process::id(),
            since: now_ms,
            what: what.to_owned(),
        };
        match take(&path, &me) {
            Ok(Ok(file)) => Ok(Self { _file: file }),
            Ok(Err(holder)) => Err(LockError::Held {
                env: env.clone(),
                holder,
            }),
            Err(source) => Err(LockError::File { path, source }),
        }
    }
}

/// The locked file with `me` written into it, or who holds it.
pub(crate) fn take(path: &Path, me: &Holder) -> io::Result<Result<File, Option<Holder>>> {
    let mut file = durable::open_lock(path)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(me.to_line().as_bytes())?;
            Ok(Ok(file))
        }
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut line = String::new();
            // Who it is only helps the message; the lock is held either way.
            let read = file.read_to_string(&mut line);
            Ok(Err(read.ok().and_then(|_| Holder::from_line(&line))))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

impl Holder {
    fn to_line(&self) -> String {
        format!("{} {} {}\n", self.pid, self.since, self.what)
    }

    fn from_line(line: &str) -> Option<Self> {
        let mut parts = line.trim_end().splitn(3, ' ');
        Some(Self {
            pid: parts.next()?.parse().ok()?,
            since: parts.next()?.parse().ok()?,
            what: parts.next()?.to_owned(),
        })
    }
}

fn by(holder: Option<&Holder>) -> String {
    holder.map_or_else(
        || "another process".to_owned(),
        |holder| format!("process {} (`{}`)", holder.pid, holder.what),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests;

    #[test]
    fn the_second_taker_is_told_who_was_first() {
        let folder = tempfile::tempdir().unwrap();
        let home = tests::home(folder.path());
        let env = EnvName::parse("dev-001").unwrap();
        std::fs::create_dir(home.env_dir(&env)).unwrap();

        let held = DeployLock::take(&home, &env, "deploy", 5).unwrap();
        let error = DeployLock::take(&home, &env, "rollback", 6).unwrap_err();
        let pid = std::process::id();
        assert_eq!(
            error.to_string(),
            format!("environment `dev-001` is being changed by process {pid} (`deploy`)")
        );
        let LockError::Held { holder, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(holder.unwrap().since, 5);
        drop(held);
        DeployLock::take(&home, &env, "rollback", 7).unwrap();
    }

    #[test]
    fn a_holder_that_cannot_be_read_is_another_process() {
        for line in ["", "x", "1 2", "1 x deploy"] {
            assert_eq!(Holder::from_line(line), None, "{line}");
        }
        assert_eq!(by(None), "another process");
    }
}
