//! Starts processes and signals them; the only place where the agent does either.
//!
//! Every process is started through [`mod@exec_step`]: in its own
//! session and group, with the descriptors it is given from 3 on and no other, and
//! ended by the kernel when the agent ends. That death signal belongs to the
//! *thread* that forks, so one thread that lives as long as the [`Spawner`] does it.
//!
//! Nothing here waits for a process: the reaper does, for all of them.

mod mark;
mod sweep;

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use command_fds::{CommandFdExt as _, FdMapping};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::sync::oneshot;

use crate::exec_step;

pub(crate) use mark::{Mark, imprint};
pub(crate) use sweep::{carries, in_words, program_name, sweep};

/// The first descriptor after stdin, stdout and stderr, as in systemd's protocol.
pub(crate) const FIRST_DESCRIPTOR: i32 = 3;

/// Descriptors a process can be given.
const MOST_DESCRIPTORS: i32 = 64;

/// A program to be started.
#[derive(Debug)]
pub(crate) struct Launch {
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// The working folder.
    pub(crate) cwd: PathBuf,
    /// The whole environment; nothing is inherited.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// What becomes descriptor 3, 4, ….
    pub(crate) descriptors: Vec<OwnedFd>,
    /// How willingly the kernel ends it when memory is short: `memory::SERVING` or
    /// `memory::HELD`.
    pub(crate) oom_score_adj: i32,
}

/// A started process with the agent's ends of its pipes.
#[derive(Debug)]
pub(crate) struct Process {
    /// Its number; also its group's and its session's.
    pub(crate) pid: Pid,
    /// Its stdout.
    pub(crate) stdout: OwnedFd,
    /// Its stderr.
    pub(crate) stderr: OwnedFd,
}

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpawnError {
    /// The agent's own program.
    #[error("cannot start `{path}`: {source}")]
    Start { path: PathBuf, source: io::Error },
    /// More descriptors than there is room for.
    #[error("a process can be given {MOST_DESCRIPTORS} descriptors, not {0}")]
    Descriptors(usize),
    /// The thread that starts processes has ended.
    #[error("the agent is ending")]
    Ending,
}

type Answer = oneshot::Sender<Result<(Process, Option<End>), SpawnError>>;

/// How a process ended, once the reaper has taken it in.
pub(crate) type End = oneshot::Receiver<String>;

/// Held while a process is being started, so that the reaper cannot take a child
/// away from the standard library, which waits for it when `exec` fails.
pub(crate) type SpawnLock = Arc<Mutex<Awaited>>;

/// The processes of which somebody wants to hear the end: all but the application's,
/// which the supervisor hears of itself.
#[derive(Debug, Default)]
pub(crate) struct Awaited(HashMap<Pid, oneshot::Sender<String>>);

impl Awaited {
    /// Whether this process's end is waited for.
    pub(crate) fn has(&self, pid: Pid) -> bool {
        self.0.contains_key(&pid)
    }

    /// Tells how it ended; false where nobody waits.
    pub(crate) fn tell(&mut self, pid: Pid, how: &str) -> bool {
        let Some(waiting) = self.0.remove(&pid) else {
            return false;
        };
        // Whoever waited may have gone.
        let _ = waiting.send(how.to_owned());
        true
    }
}

/// The thread that starts processes. When it is dropped, the thread ends, and with
/// it by KILL what it started.
#[derive(Debug)]
pub(crate) struct Spawner {
    launches: mpsc::Sender<Request>,
}

/// What the thread is asked.
struct Request {
    launch: Launch,
    /// Whether the end shall be told to whoever asks.
    awaited: bool,
    answer: Answer,
}

impl Spawner {
    /// Starts the thread. `exec_step` is the agent's own program, `open_files` what the
    /// started may have open.
    pub(crate) fn start(
        exec_step: PathBuf,
        open_files: Option<u64>,
        lock: SpawnLock,
    ) -> io::Result<Self> {
        let (launches, requests) = mpsc::channel::<Request>();
        let reserved = reserve_low_descriptors()?;
        std::thread::Builder::new()
            .name("spawner".to_owned())
            .spawn(move || {
                for request in requests {
                    let mut awaited = lock.lock().unwrap_or_else(PoisonError::into_inner);
                    let started = spawn(&exec_step, open_files, request.launch);
                    let started = started.map(|process| {
                        let end = request.awaited.then(|| {
                            let (tell, end) = oneshot::channel();
                            awaited.0.insert(process.pid, tell);
                            end
                        });
                        (process, end)
                    });
                    // The one who asked may have gone; the process is reaped all the same.
                    let _ = request.answer.send(started);
                }
                drop(reserved);
            })?;
        Ok(Self { launches })
    }

    /// Starts a process of whose end the supervisor hears.
    pub(crate) async fn spawn(&self, launch: Launch) -> Result<Process, SpawnError> {
        let (process, _) = self.start_one(launch, false).await?;
        Ok(process)
    }

    /// Starts a process whose end is told here. Once its leader is gone, its group is
    /// killed.
    pub(crate) async fn spawn_awaited(&self, launch: Launch) -> Result<(Process, End), SpawnError> {
        let (process, end) = self.start_one(launch, true).await?;
        Ok((process, end.ok_or(SpawnError::Ending)?))
    }

    async fn start_one(
        &self,
        launch: Launch,
        awaited: bool,
    ) -> Result<(Process, Option<End>), SpawnError> {
        let (answer, answered) = oneshot::channel();
        let request = Request {
            launch,
            awaited,
            answer,
        };
        self.launches
            .send(request)
            .map_err(|_| SpawnError::Ending)?;
        answered.await.map_err(|_| SpawnError::Ending)?
    }
}

/// Occupies the numbers that children get their descriptors at. Otherwise the
/// standard library's own pipe, which tells that `exec` failed, could lie there and
/// be overwritten in the child.
fn reserve_low_descriptors() -> io::Result<Vec<OwnedFd>> {
    use std::os::fd::AsRawFd as _;
    let null = OwnedFd::from(std::fs::File::open("/dev/null")?);
    let mut reserved = Vec::new();
    loop {
        let next = null.try_clone()?;
        if next.as_raw_fd() >= FIRST_DESCRIPTOR + MOST_DESCRIPTORS {
            reserved.push(null);
            return Ok(reserved);
        }
        reserved.push(next);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is where processes are started"
)]
fn spawn(exec_step: &Path, open_files: Option<u64>, launch: Launch) -> Result<Process, SpawnError> {
    let count = launch.descriptors.len();
    let numbers = FIRST_DESCRIPTOR..FIRST_DESCRIPTOR + MOST_DESCRIPTORS;
    if count > numbers.len() {
        return Err(SpawnError::Descriptors(count));
    }
    let mappings = launch.descriptors.into_iter().zip(numbers);
    let mappings = mappings
        .map(|(parent_fd, child_fd)| FdMapping {
            parent_fd,
            child_fd,
        })
        .collect();
    let failed = |source| SpawnError::Start {
        path: exec_step.to_owned(),
        source,
    };
    let open_files = open_files.map(|count| format!("--open-files={count}"));
    let mark = mark::number_in(&launch.environment).map(|mark| format!("--mark={mark}"));
    let mut child = Command::new(exec_step)
        .arg(exec_step::NAME)
        .args(open_files)
        .args(["--oom-score-adj", &launch.oom_score_adj.to_string()])
        .args(mark)
        .args(["--agent", &std::process::id().to_string()])
        .args(["--descriptors", &count.to_string(), "--cwd"])
        .arg(launch.cwd)
        .arg("--")
        .args(launch.command)
        .env_clear()
        .envs(launch.environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .fd_mappings(mappings)
        .map_err(|collision| failed(io::Error::other(collision)))?
        .spawn()
        .map_err(failed)?;
    let pid = i32::try_from(child.id()).map_err(|error| failed(io::Error::other(error)))?;
    match (child.stdout.take(), child.stderr.take()) {
        (Some(stdout), Some(stderr)) => Ok(Process {
            pid: Pid::from_raw(pid),
            stdout: stdout.into(),
            stderr: stderr.into(),
        }),
        _ => Err(failed(io::Error::other("it has no pipes"))),
    }
}

/// Sends a signal to the process and its group. TERM is followed by CONT: a stopped
/// process would not see it before.
pub(crate) fn signal(leader: Pid, signal: Signal) {
    signal_all(leader, signal);
    if signal == Signal::SIGTERM {
        signal_all(leader, Signal::SIGCONT);
    }
}

/// Between its start and its own session there is no such group yet; then the process
/// alone gets the signal.
fn signal_all(leader: Pid, signal: Signal) {
    // Other errors: a member that has changed its user is not ours to end.
    if killpg(leader, signal) == Err(Errno::ESRCH) {
        signal_one(leader, signal);
    }
}

/// Sends a signal to the process itself and to no other of its group.
pub(crate) fn signal_one(pid: Pid, signal: Signal) {
    // Where this fails, the process is gone already, or is not ours any more.
    let _ = kill(pid, signal);
}

/// Sends a signal to what is left of a group whose leader is gone.
pub(crate) fn signal_rest(leader: Pid, signal: Signal) {
    let _ = killpg(leader, signal);
}

/// Whether a group has members, its leader or others.
pub(crate) fn group_lives(leader: Pid) -> bool {
    killpg(leader, None) != Err(Errno::ESRCH)
}
