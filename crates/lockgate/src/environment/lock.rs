//! One change at a time: a lock on an environment that says who holds it.
//!
//! The kernel frees it when its holder ends, however that ends. What the file says of a
//! holder is only for the message to the next one; it is never trusted for more.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use lockgate_model::EnvName;
use procfs::Current as _;

use crate::home::{Home, durable};
use crate::views::text;

/// Held while something changes what an environment runs; released when dropped or when the process ends.
#[derive(Debug)]
pub(crate) struct DeployLock {
    file: File,
    /// As it was taken.
    me: Holder,
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
    #[error("environment `{env}` is being changed by {}", by(holder.as_ref(), *now_ms))]
    Held {
        /// The environment.
        env: EnvName,
        /// Who, when that could be read.
        holder: Option<Holder>,
        /// When that was so, UNIX milliseconds.
        now_ms: u64,
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
    /// Takes the lock or says who has it; never waits. `what` is for the message: `deploy`.
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
            Ok(Ok(file)) => Ok(Self { file, me }),
            Ok(Err(holder)) => Err(LockError::Held {
                env: env.clone(),
                holder,
                now_ms,
            }),
            Err(source) => Err(LockError::File { path, source }),
        }
    }

    /// Says how far that is by now: `deploy, on trial`.
    pub(crate) fn says(&mut self, how_far: &str) {
        let me = Holder {
            what: format!("{}, {how_far}", self.me.what),
            ..self.me.clone()
        };
        // It is for a message only; the lock is held either way.
        if let Err(error) = write(&mut self.file, &me) {
            tracing::debug!(%error, "the lock does not say what is done");
        }
    }
}

/// Who changes an environment at this moment, without taking the lock, which would be in the
/// way of who wants to.
pub(crate) fn holder(home: &Home, env: &EnvName) -> Option<Holder> {
    let path = home.env_dir(env).join("deploy.lock");
    let holder = Holder::from_line(&std::fs::read_to_string(&path).ok()?)?;
    let inode = std::fs::metadata(&path).ok()?.ino();
    // What the file says stays when its holder has ended; the kernel knows who holds it.
    let holds = |lock: &procfs::Lock| {
        lock.inode == inode && lock.pid.and_then(|pid| u32::try_from(pid).ok()) == Some(holder.pid)
    };
    let locks = procfs::Locks::current().ok()?;
    locks.0.iter().any(holds).then_some(holder)
}

/// The locked file with `me` written into it, or who holds it.
pub(crate) fn take(path: &Path, me: &Holder) -> io::Result<Result<File, Option<Holder>>> {
    let mut file = durable::open_lock(path)?;
    match file.try_lock() {
        Ok(()) => {
            write(&mut file, me)?;
            Ok(Ok(file))
        }
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut line = String::new();
            // Who it is only helps the message; the lock is held either way.
            let read = file.read_to_string(&mut line);
            let holder = read.ok().and_then(|_| Holder::from_line(&line));
            // One that took it this moment has not written itself down yet.
            Ok(Err(holder.filter(Holder::lives)))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

fn write(file: &mut File, holder: &Holder) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(holder.to_line().as_bytes())
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

    fn lives(&self) -> bool {
        Path::new("/proc").join(self.pid.to_string()).exists()
    }

    /// Whose process it is, where it is not our own user's.
    fn another_user(&self) -> Option<String> {
        let process = Path::new("/proc").join(self.pid.to_string());
        let owner = nix::unistd::Uid::from_raw(std::fs::metadata(process).ok()?.uid());
        if owner == nix::unistd::getuid() {
            return None;
        }
        let user = nix::unistd::User::from_uid(owner).ok().flatten();
        Some(user.map_or_else(|| owner.to_string(), |user| user.name))
    }
}

/// `process 4711 (deploy, on trial; begun 12 s ago)`.
fn by(holder: Option<&Holder>, now_ms: u64) -> String {
    let Some(holder) = holder else {
        return "another process".to_owned();
    };
    let user = holder.another_user();
    let user = user.map_or_else(String::new, |user| format!(" of user `{user}`"));
    let since = match text::ago(holder.since, now_ms).as_str() {
        "now" => "just now".to_owned(),
        ago => ago.to_owned(),
    };
    format!(
        "process {}{user} ({}; begun {since})",
        holder.pid, holder.what
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests;

    #[test]
    fn the_second_taker_is_told_who_was_first_and_what_it_does() {
        let folder = tempfile::tempdir().unwrap();
        let home = tests::home(folder.path());
        let env = EnvName::parse("dev-001").unwrap();
        std::fs::create_dir(home.env_dir(&env)).unwrap();

        let mut held = DeployLock::take(&home, &env, "deploy", 5_000).unwrap();
        let pid = std::process::id();
        let check = |now_ms, expected: &str| {
            let error = DeployLock::take(&home, &env, "rollback", now_ms).unwrap_err();
            let told = format!("environment `dev-001` is being changed by process {pid}");
            assert_eq!(error.to_string(), format!("{told} ({expected})"));
        };
        assert_eq!(holder(&home, &env), Some(held.me.clone()));
        check(5_500, "deploy; begun just now");
        check(17_000, "deploy; begun 12 s ago");
        held.says("on trial");
        check(67_000, "deploy, on trial; begun 1 min ago");
        drop(held);
        assert_eq!(holder(&home, &env), None);
        DeployLock::take(&home, &env, "rollback", 7).unwrap();
    }

    #[test]
    fn a_holder_that_cannot_be_read_or_has_ended_is_another_process() {
        for line in ["", "x", "1 2", "1 x deploy"] {
            assert_eq!(Holder::from_line(line), None, "{line}");
        }
        assert_eq!(by(None, 0), "another process");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deploy.lock");
        // The number is higher than any process has.
        let dead = Holder {
            pid: u32::MAX,
            since: 1,
            what: "deploy".to_owned(),
        };
        let _held = take(&path, &dead).unwrap().unwrap();
        assert_eq!(take(&path, &dead).unwrap().unwrap_err(), None);
    }

    #[test]
    fn the_process_of_another_user_is_told_with_its_user() {
        let first = Holder {
            pid: 1,
            since: 0,
            what: "deploy".to_owned(),
        };
        let own = nix::unistd::getuid().is_root();
        let user = if own { "" } else { " of user `root`" };
        let expected = format!("process 1{user} (deploy; begun just now)");
        assert_eq!(by(Some(&first), 0), expected);
    }
}
