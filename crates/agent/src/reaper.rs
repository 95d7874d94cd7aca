//! Waits for every process, ours and orphans: the agent is PID 1 of its container,
//! or takes orphans in as a subreaper.
//!
//! Since it takes all of them, nothing else in the agent may wait for a process.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::PoisonError;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use rustix::process::{WaitOptions, wait, waitpid};
use tokio::signal::unix::{self, SignalKind};

use crate::process::{self, SpawnLock};

/// A process that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gone {
    /// Its number, which may be given to another process from now on.
    pub(crate) pid: Pid,
    /// How it ended: `exited with code 1`, `was killed by SIGKILL`.
    pub(crate) how: String,
    /// Whether that was SIGKILL, which nobody sends to himself.
    pub(crate) killed: bool,
}

/// Takes in ended processes.
#[derive(Debug)]
pub(crate) struct Reaper {
    ended: unix::Signal,
    lock: SpawnLock,
}

impl Reaper {
    /// Becomes the one who waits. `lock` is held while a process is being started.
    pub(crate) fn start(lock: SpawnLock) -> io::Result<Self> {
        if std::process::id() != 1 {
            prctl::set_child_subreaper(true)?;
        }
        Ok(Self {
            ended: unix::signal(SignalKind::child())?,
            lock,
        })
    }

    /// Returns when some process may have ended.
    pub(crate) async fn wait(&mut self) {
        if self.ended.recv().await.is_none() {
            // Signals come to an end only with the runtime.
            std::future::pending::<()>().await;
        }
    }

    /// Takes in all that have ended, and gives those of which nobody else wants to hear.
    /// `before` is called for each while its number, and so its group's, still cannot
    /// belong to anybody else.
    pub(crate) fn reap(&self, mut before: impl FnMut(Pid)) -> Vec<Gone> {
        let mut awaited = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gone = Vec::new();
        while let Some(ended) = next_ended() {
            let reaped = match ended {
                Ended::Number(pid) => {
                    if awaited.has(pid) {
                        process::signal_rest(pid, Signal::SIGKILL);
                    }
                    before(pid);
                    waitpid(to_rustix(pid), WaitOptions::NOHANG)
                }
                Ended::Unknown => wait(WaitOptions::NOHANG),
            };
            // Whoever was there a moment ago still is: nobody else waits.
            let Ok(Some((pid, status))) = reaped else {
                break;
            };
            let pid = Pid::from_raw(pid.as_raw_nonzero().get());
            let status = ExitStatus::from_raw(status.as_raw());
            let how = describe(status);
            if !awaited.tell(pid, &how) {
                gone.push(Gone {
                    pid,
                    how,
                    killed: status.signal() == Some(Signal::SIGKILL as i32),
                });
            }
        }
        gone
    }
}

/// An ended process, not yet taken in.
#[derive(Debug)]
enum Ended {
    /// This one.
    Number(Pid),
    /// Some one.
    Unknown,
}

fn next_ended() -> Option<Ended> {
    match peek(Id::All) {
        Peek::None => None,
        Peek::Ended(pid) => Some(Ended::Number(pid)),
        Peek::EndedSomehow => Some(look_for_it().map_or(Ended::Unknown, Ended::Number)),
    }
}

/// What a look at children says that takes none of them in.
#[derive(Debug, PartialEq, Eq)]
enum Peek {
    /// None has ended.
    None,
    Ended(Pid),
    /// One was killed by a real-time signal: those have no name, and an answer with
    /// one in it is thrown away with the process's number.
    EndedSomehow,
}

fn peek(which: Id<'_>) -> Peek {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    match waitid(which, look) {
        Ok(status) => status.pid().map_or(Peek::None, Peek::Ended),
        Err(Errno::EINVAL) => Peek::EndedSomehow,
        // There are no children.
        Err(_) => Peek::None,
    }
}

/// The child that ended by a signal without a name, asked for one by one.
fn look_for_it() -> Option<Pid> {
    let entries = std::fs::read_dir("/proc").ok()?;
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .find(|pid| peek(Id::Pid(*pid)) == Peek::EndedSomehow)
}

/// Whether a child has ended, taken in or not. For the last moments of the agent, in
/// which nobody takes in any more.
pub(crate) fn has_ended(pid: Pid) -> bool {
    peek(Id::Pid(pid)) != Peek::None || signal::kill(pid, None).is_err()
}

fn to_rustix(pid: Pid) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(pid.as_raw())
}

fn describe(status: ExitStatus) -> String {
    let Some(number) = status.signal() else {
        return match status.code() {
            Some(code) => format!("exited with code {code}"),
            None => format!("ended ({status})"),
        };
    };
    let signal = Signal::try_from(number)
        .map_or_else(|_| format!("signal {number}"), |signal| signal.to_string());
    if status.core_dumped() {
        format!("was killed by {signal} and dumped core")
    } else {
        format!("was killed by {signal}")
    }
}
