//! Waits for every process, ours and orphans: the agent is PID 1 of its container,
//! or takes orphans in as a subreaper.
//!
//! Since it takes all of them, nothing else in the agent may wait for a process.

use std::io;
use std::sync::PoisonError;

use nix::sys::prctl;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::process::SpawnLock;

/// A process that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gone {
    /// Its number, which may be given to another process from now on.
    pub(crate) pid: Pid,
    /// How it ended: `exited with code 1`, `was killed by SIGKILL`.
    pub(crate) how: String,
}

/// Takes in ended processes.
#[derive(Debug)]
pub(crate) struct Reaper {
    ended: Signal,
    lock: SpawnLock,
}

impl Reaper {
    /// Becomes the one who waits. `lock` is held while a process is being started.
    pub(crate) fn start(lock: SpawnLock) -> io::Result<Self> {
        if std::process::id() != 1 {
            prctl::set_child_subreaper(true)?;
        }
        Ok(Self {
            ended: signal(SignalKind::child())?,
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

    /// Takes in all that have ended. `before` is called for each while its number,
    /// and so its group's, still cannot belong to anybody else.
    pub(crate) fn reap(&self, mut before: impl FnMut(Pid)) -> Vec<Gone> {
        let _held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gone = Vec::new();
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Ok(status) = waitid(Id::All, look) {
            let Some(pid) = status.pid() else {
                break;
            };
            before(pid);
            if waitpid(pid, Some(WaitPidFlag::WNOHANG)).is_ok() {
                gone.push(Gone {
                    pid,
                    how: describe(status),
                });
            }
        }
        gone
    }
}

fn describe(status: WaitStatus) -> String {
    match status {
        WaitStatus::Exited(_, code) => format!("exited with code {code}"),
        WaitStatus::Signaled(_, signal, true) => {
            format!("was killed by {signal} and dumped core")
        }
        WaitStatus::Signaled(_, signal, false) => format!("was killed by {signal}"),
        other => format!("ended ({other:?})"),
    }
}
