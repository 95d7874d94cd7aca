//! Ends what a process left behind outside its group, found by a mark.
//!
//! Each start carries a mark in its environment, which children inherit. A process
//! is never found by its name. Sessions of `docker exec` carry no mark.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The variable that holds the mark.
const VARIABLE: &str = "LOCKGATE_START";

/// How often the processes are looked through: one that forks while it is being
/// looked for is found the next time.
const ROUNDS: u32 = 4;

/// What the environment of one start carries: the folder of the agent's state, which
/// no two living agents share, and a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark(OsString);

impl Mark {
    /// The mark of one start.
    pub(crate) fn new(state_dir: &Path, agent: u32, start: u64) -> Self {
        let mut mark = Self::of_state(state_dir).0;
        mark.push(format!("{agent}-{start}"));
        Self(mark)
    }

    /// The beginning of all marks of a state folder, also those of earlier agents.
    pub(crate) fn of_state(state_dir: &Path) -> Self {
        let mut mark = state_dir.as_os_str().to_owned();
        mark.push("#");
        Self(mark)
    }

    /// The variable to be set.
    pub(crate) fn variable(&self) -> (OsString, OsString) {
        (VARIABLE.into(), self.0.clone())
    }

    /// Whether an environment, as in `/proc/PID/environ`, carries this mark: whole,
    /// or as a beginning when it ends in `#`.
    fn is_in(&self, environ: &[u8]) -> bool {
        let whole = !self.0.as_bytes().ends_with(b"#");
        environ.split(|byte| *byte == 0).any(|entry| {
            entry
                .strip_prefix(VARIABLE.as_bytes())
                .and_then(|rest| rest.strip_prefix(b"="))
                .is_some_and(|value| {
                    if whole {
                        value == self.0.as_bytes()
                    } else {
                        value.starts_with(self.0.as_bytes())
                    }
                })
        })
    }
}

/// Kills every process that carries the mark, and says how many. Blocks for the
/// time that reading `/proc` takes: some milliseconds for hundreds of processes.
pub(crate) fn sweep(mark: &Mark) -> usize {
    let mut killed = 0;
    for _ in 0..ROUNDS {
        let found = find(mark);
        if found.is_empty() {
            break;
        }
        for pid in found {
            // Gone in the meantime, or another user's.
            if kill(pid, Signal::SIGKILL).is_ok() {
                killed += 1;
            }
        }
    }
    killed
}

/// The living processes in our own PID namespace that carry the mark. (On a host,
/// `/proc` also shows those of containers, whose agents may use the same folder.)
fn find(mark: &Mark) -> Vec<Pid> {
    let Ok(own_namespace) = fs::read_link("/proc/self/ns/pid") else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let own = std::process::id().cast_signed();
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| process_number(&entry.file_name()))
        .filter(|pid| *pid != own)
        .filter(|pid| {
            let folder = Path::new("/proc").join(pid.to_string());
            // A zombie's environment is empty: it is not found again.
            fs::read(folder.join("environ")).is_ok_and(|environ| mark.is_in(&environ))
                && fs::read_link(folder.join("ns/pid")).is_ok_and(|it| it == own_namespace)
        })
        .map(Pid::from_raw)
        .collect()
}

fn process_number(name: &OsStr) -> Option<i32> {
    name.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_whole_or_by_its_state() {
        let state = Path::new("/opt/lockgate");
        let one = Mark::new(state, 7, 1);
        let environ = b"PATH=/bin\0LOCKGATE_START=/opt/lockgate#7-1\0A=b\0";
        assert!(one.is_in(environ));
        assert!(Mark::of_state(state).is_in(environ));
        for other in [
            Mark::new(state, 7, 11),
            Mark::new(state, 1, 1),
            Mark::of_state(Path::new("/opt/lock")),
        ] {
            assert!(!other.is_in(environ), "{other:?}");
        }
        assert!(!one.is_in(b"X=LOCKGATE_START=/opt/lockgate#7-1\0"));
        assert!(!one.is_in(b"LOCKGATE_START=/opt/lockgate#7-12\0"));
    }
}
