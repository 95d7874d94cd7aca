//! Ends what a process left behind outside its group, found by its [`Mark`].
//!
//! A process is never found by its name, nor by being the agent's child: what a
//! `docker exec` leaves behind becomes a child of PID 1 as well, and is nobody's to
//! end. So one that takes off both halves of its mark is left alone, too: it clears
//! its environment *and* changes its limit on file locks.
//!
//! A process is ended by a descriptor that stands for it and not by its number, which
//! may belong to another one by then.

use std::fmt;
use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;
use rustix::io::Errno;
use rustix::process::{PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use super::mark::Mark;

/// How long killed processes may take to be gone, with all that they had open. One
/// that waits for a disk may take longer; nobody waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often is looked for more, at most. Whoever forks is killed at the first look,
/// and whatever that one had forked at the second.
const LOOKS: u32 = 100;

/// How many are named; a report has no room for thousands.
const NAMED: usize = 20;

/// The pause before the next look, where the kernel cannot tell of a process's end.
const PAUSE: Duration = Duration::from_millis(10);

/// What Node calls its first thread, and with it the process.
const NODES_NAME: &str = "MainThread";

/// A process that had to be killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Its number.
    pub(crate) pid: Pid,
    /// What the kernel calls it: the beginning of its program's name.
    pub(crate) name: String,
}

impl fmt::Display for Swept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.pid)
    }
}

/// Kills every process that carries the mark, and says which. They are gone then, and
/// so are the ports that they had. Blocks: some milliseconds for reading `/proc` with
/// hundreds of processes, and as long as the killed take to end, at most a second.
pub(crate) fn sweep(mark: &Mark) -> Vec<Swept> {
    let mut swept: Vec<Swept> = Vec::new();
    let deadline = now() + PATIENCE;
    // What is forked while it is being looked for is found the next time.
    for _ in 0..LOOKS {
        // Each is killed as soon as it is found, before it forks any more.
        let killed: Vec<Killed> = find(mark).filter_map(|found| found.kill(mark)).collect();
        let known = swept.len();
        for killed in &killed {
            if !swept.contains(&killed.swept) {
                swept.push(killed.swept.clone());
            }
        }
        let is_over = swept.len() == known && now() >= deadline;
        if killed.is_empty() || is_over {
            break;
        }
        await_end(&killed, deadline);
    }
    swept
}

/// As it is told: the first of them by name, and how many more there are.
pub(crate) fn in_words(swept: &[Swept]) -> Vec<String> {
    let mut words: Vec<String> = swept.iter().take(NAMED).map(ToString::to_string).collect();
    let more = swept.len().saturating_sub(NAMED);
    if more > 0 {
        words.push(format!("{more} more"));
    }
    words
}

/// A process that carried the mark when it was looked at.
#[derive(Debug)]
struct Found {
    pid: Pid,
    folder: PathBuf,
}

/// A process that KILL was sent to.
#[derive(Debug)]
struct Killed {
    swept: Swept,
    /// Becomes readable at its end; `None` where the kernel gives no such thing.
    process: Option<OwnedFd>,
}

impl Found {
    /// Whether the process of this number carries the mark.
    fn carries(&self, mark: &Mark) -> bool {
        carries(&self.folder, mark)
    }

    /// Kills it, unless it is dead already, or cannot be: it is another user's.
    fn kill(self, mark: &Mark) -> Option<Killed> {
        let number = rustix::process::Pid::from_raw(self.pid.as_raw())?;
        let name = program_name(&self.folder);
        let process = match pidfd_open(number, PidfdFlags::empty()) {
            Ok(process) => Some(process),
            Err(Errno::SRCH) => return None,
            // An old kernel, a filter on system calls, or too many files are open.
            Err(_) => None,
        };
        // Only now: the descriptor stands for the process that has the mark, or for
        // one that is gone.
        if !self.carries(mark) {
            return None;
        }
        match &process {
            Some(process) if has_ended(process) => return None,
            Some(process) => pidfd_send_signal(process, Signal::KILL),
            None if self.is_zombie() => return None,
            None => kill_process(number, Signal::KILL),
        }
        .ok()?;
        let swept = Swept {
            pid: self.pid,
            name,
        };
        Some(Killed { swept, process })
    }

    fn is_zombie(&self) -> bool {
        fs::read_to_string(self.folder.join("stat")).is_ok_and(|stat| {
            let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
            state.is_some_and(|state| state.starts_with(['Z', 'X']))
        })
    }
}

/// Whether the process of this folder of `/proc` carries a mark.
pub(crate) fn carries(folder: &Path, mark: &Mark) -> bool {
    let limits = fs::read(folder.join("limits")).unwrap_or_default();
    mark.is_in_limits(&limits) || {
        let environ = fs::read(folder.join("environ")).unwrap_or_default();
        mark.is_in_environment(&environ)
    }
}

/// What the process of this folder of `/proc` is called: the beginning of its program's name.
pub(crate) fn program_name(folder: &Path) -> String {
    let name = fs::read_to_string(folder.join("comm")).unwrap_or_default();
    let name = name.trim_end();
    if name != NODES_NAME {
        return name.to_owned();
    }
    let program = fs::read_link(folder.join("exe")).unwrap_or_default();
    let program = program.file_name().map(|it| it.to_string_lossy());
    program.map_or_else(|| name.to_owned(), std::borrow::Cow::into_owned)
}

/// The processes that carry the mark, dead ones too. Parents come before what they
/// fork, but for the moment when the numbers begin again.
fn find(mark: &Mark) -> impl Iterator<Item = Found> {
    let own = std::process::id().cast_signed();
    // In a PID namespace with the `/proc` of another one, its numbers say nothing.
    let is_own_proc = fs::read_link("/proc/self").ok() == Some(own.to_string().into());
    let entries = fs::read_dir("/proc").ok().filter(|_| is_own_proc);
    entries
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(move |pid| *pid != own)
        .map(|pid| Found {
            pid: Pid::from_raw(pid),
            folder: Path::new("/proc").join(pid.to_string()),
        })
        .filter(|found| found.carries(mark))
}

fn has_ended(process: &OwnedFd) -> bool {
    let mut asked = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    poll(&mut asked, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// Waits until all have ended, as far as that can be known, or until it is time.
fn await_end(killed: &[Killed], deadline: Instant) {
    let left = || deadline.saturating_duration_since(now());
    let known = killed.iter().filter_map(|it| it.process.as_ref());
    for process in known {
        while !has_ended(process) {
            let patience = PollTimeout::try_from(left()).unwrap_or(PollTimeout::ZERO);
            let mut asked = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
            // Interrupted by a signal, it is asked again.
            let _ = poll(&mut asked, patience);
            if left().is_zero() {
                return;
            }
        }
    }
    if killed.iter().any(|it| it.process.is_none()) {
        std::thread::sleep(PAUSE.min(left()));
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long to wait for ended processes is decided here and nowhere else"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// Children of a test: killed at its end with what came from them, also when it
    /// fails.
    struct Children(Vec<Child>, tempfile::TempDir);

    impl Drop for Children {
        fn drop(&mut self) {
            sweep(&Mark::of_state(self.1.path()));
            for child in &mut self.0 {
                // It may have ended already.
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "what is to be swept is started here"
    )]
    fn sh(script: &str, mark: Option<&Mark>, number: Option<&Mark>) -> Child {
        let (name, value) = mark.map_or(("NONE".into(), "".into()), Mark::variable);
        let limit = number.map(|mark| format!("--locks={}:", mark.number()));
        let mut child = Command::new("prlimit")
            .args(limit)
            .args(["sh", "-c", script])
            .env(name, value)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It has said that it runs.
        let mut line = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        child
    }

    const SLEEP: &str = "echo; exec sleep 1000";

    #[test]
    fn what_carries_the_mark_is_killed_and_named_and_nothing_else() {
        let state = tempfile::tempdir().unwrap();
        let mark = Mark::new(state.path(), 1, 1);
        let other = Mark::new(state.path(), 1, 2);
        let started = vec![
            sh(SLEEP, Some(&mark), None),
            sh(SLEEP, Some(&other), Some(&other)),
            sh(SLEEP, None, None),
        ];
        let mut children = Children(started, state);
        let pid = children.0[0].id().cast_signed();
        let swept = sweep(&mark);
        assert_eq!(swept.len(), 1, "{swept:?}");
        assert_eq!(swept[0].to_string(), format!("sleep ({pid})"));
        let status = children.0[0].try_wait().unwrap();
        assert_eq!(status.unwrap().signal(), Some(9), "it is gone already");
        for child in &mut children.0[1..] {
            assert_eq!(child.try_wait().unwrap(), None);
        }
        assert_eq!(sweep(&mark), []);
        assert_eq!(sweep(&Mark::of_state(children.1.path())).len(), 1);
    }

    #[test]
    fn the_number_alone_is_enough() {
        let state = tempfile::tempdir().unwrap();
        let mark = Mark::new(state.path(), 1, 1);
        let other = Mark::new(state.path(), 1, 2);
        let _children = Children(vec![sh(SLEEP, None, Some(&mark))], state);
        assert_eq!(sweep(&other), []);
        assert_eq!(sweep(&mark).len(), 1);
    }

    #[test]
    fn one_that_is_dead_and_not_reaped_is_not_counted() {
        let state = tempfile::tempdir().unwrap();
        let mark = Mark::new(state.path(), 1, 1);
        let children = Children(vec![sh(SLEEP, Some(&mark), Some(&mark))], state);
        assert_eq!(sweep(&mark).len(), 1);
        assert!(Path::new(&format!("/proc/{}", children.0[0].id())).exists());
        assert_eq!(sweep(&mark), []);
    }

    #[test]
    fn one_that_forks_all_the_time_does_not_get_away() {
        let state = tempfile::tempdir().unwrap();
        let mark = Mark::new(state.path(), 1, 1);
        let forking = "echo; while :; do setsid sleep 1000 > /dev/null & done";
        let start = || sh(forking, Some(&mark), Some(&mark));
        let _children = Children(vec![start(), start()], state);
        while find(&mark).count() < 20 {}
        assert!(sweep(&mark).len() >= 20);
        // On a busy machine some may still be dying. One that got away would live on.
        let left = || find(&mark).filter(|it| !it.is_zombie()).count();
        for _ in 0..1000 {
            if left() == 0 {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        assert_eq!(left(), 0);
    }

    #[test]
    fn thousands_are_told_in_few_words() {
        let swept = |count| -> Vec<Swept> {
            let one = |pid| Swept {
                pid: Pid::from_raw(pid),
                name: "sleep".to_owned(),
            };
            (1..=count).map(one).collect()
        };
        assert_eq!(in_words(&swept(2)), ["sleep (1)", "sleep (2)"]);
        assert_eq!(in_words(&swept(20)).len(), 20);
        assert_eq!(in_words(&swept(3020)).last().unwrap(), "3000 more");
    }
}
