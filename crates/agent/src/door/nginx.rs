//! nginx as a child of the agent: started, told to read its configuration again, started
//! anew when it ends, and ended with the agent.
//!
//! ```text
//! start ─▶ up (it has workers) ─┬─ HUP for each new configuration
//!    ▲                          ├─ ended by itself: what is left is swept, then a pause
//!    └──────────────────────────┘
//!                               └─ the agent ends: QUIT, requests finish, KILL
//! ```
//!
//! The application's end does not touch it, nor does it touch the application.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lockgate_route::{Master, Place, await_reload, workers};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::nginx_log;
use crate::process::{self, End, Launch, Mark, Process, SpawnError, Spawner, sweep};
use crate::reaper::has_ended;

/// The pause before nginx is started again. Nothing is served meanwhile, so it is short
/// at first.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// After so long the next end counts as the first one.
const STEADY: Duration = Duration::from_secs(10);

/// How often is looked whether it is up, or whether it is gone.
const EVERY: Duration = Duration::from_millis(5);

/// How long requests in flight may take when the agent ends, as at the embedded door.
const DRAIN: Duration = Duration::from_secs(5);

/// How long a test of a configuration may take; it takes about 10 ms.
const TEST_WITHIN: Duration = Duration::from_secs(10);

/// The application is ended before it when memory is short: nginx takes little, and
/// without it nobody is told why.
const OOM_SCORE_ADJ: i32 = 0;

/// The marks of nginx's starts lie above those of the application's.
const FIRST_MARK: u64 = 1 << 18;

/// What starting nginx takes.
pub(super) struct Means {
    /// Starts processes.
    pub(super) spawner: Arc<Spawner>,
    /// nginx's own program.
    pub(super) program: PathBuf,
    /// Its files.
    pub(super) place: Place,
    /// The agent's state folder, by which what is left behind is known.
    pub(super) state_dir: PathBuf,
}

/// The process, by whoever needs it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Nginx {
    shared: Arc<Shared>,
}

struct Shared {
    means: Means,
    /// The master, while it takes signals.
    master: Mutex<Option<Pid>>,
    /// A configuration came while it was starting, and it may have read the one before.
    missed: AtomicBool,
    /// Ends a pause.
    hurry: Notify,
    starts: AtomicU64,
}

impl std::fmt::Debug for Nginx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Nginx({:?})", self.master())
    }
}

impl Nginx {
    pub(super) fn new(means: Means) -> Self {
        Self {
            shared: Arc::new(Shared {
                means,
                master: Mutex::default(),
                missed: AtomicBool::new(false),
                hurry: Notify::new(),
                starts: AtomicU64::new(FIRST_MARK),
            }),
        }
    }

    fn master(&self) -> Option<Pid> {
        *self.lock()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Pid>> {
        let master = &self.shared.master;
        master.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts nginx's program with these arguments beside its prefix.
    async fn spawn(&self, arguments: &[&str], config: &Path) -> Result<Started, SpawnError> {
        let means = &self.shared.means;
        let start = self.shared.starts.fetch_add(1, Ordering::Relaxed);
        let mark = Mark::new(&means.state_dir, std::process::id(), start);
        let text = |path: &Path| path.display().to_string();
        let mut command = vec![
            text(&means.program),
            "-p".to_owned(),
            text(means.place.dir()),
            "-e".to_owned(),
            "stderr".to_owned(),
            "-c".to_owned(),
            text(config),
        ];
        command.extend(arguments.iter().map(|word| (*word).to_owned()));
        let launch = Launch {
            command,
            cwd: means.place.dir().to_owned(),
            // Nothing of the gateway's own environment is its to know.
            environment: vec![mark.variable()],
            descriptors: Vec::new(),
            oom_score_adj: OOM_SCORE_ADJ,
        };
        let (process, end) = means.spawner.spawn_awaited(launch).await?;
        Ok(Started { process, end, mark })
    }

    /// Keeps nginx running until `stop`. `problem` tells why it does not serve.
    pub(super) async fn supervise(
        self,
        problem: watch::Sender<Option<String>>,
        stop: CancellationToken,
    ) {
        let mut pause = FIRST_PAUSE;
        while !stop.is_cancelled() {
            let begun = Instant::now();
            let config = self.shared.means.place.config();
            // Whatever is written from now on, it may have read the one before.
            self.shared.missed.store(false, Ordering::Relaxed);
            let how = match self.spawn(&[], &config).await {
                Ok(started) => match self.attend(started, &problem, &stop).await {
                    Some(how) => how,
                    None => return,
                },
                Err(error) => format!("was not started: {error}"),
            };
            problem.send_replace(Some(format!("nginx, which serves the door, {how}")));
            pause = next_pause(pause, begun.elapsed());
            warn!(how, ?pause, "nginx ended; it is started again");
            tokio::select! {
                () = sleep(pause) => {}
                () = self.shared.hurry.notified() => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Attends to one process until it has ended: by itself, told how, or by `stop`.
    async fn attend(
        &self,
        started: Started,
        problem: &watch::Sender<Option<String>>,
        stop: &CancellationToken,
    ) -> Option<String> {
        let Started {
            process,
            mut end,
            mark,
        } = started;
        let pid = process.pid;
        let guard = Guard { pid, gone: false };
        let log = tokio::spawn(nginx_log::read(process.stderr));
        let coming = async {
            while workers(pid.as_raw()).is_empty() {
                sleep(EVERY).await;
            }
        };
        let ended = tokio::select! {
            how = &mut end => Some(how),
            () = stop.cancelled() => None,
            () = coming => {
                *self.lock() = Some(pid);
                info!(%pid, "nginx serves the door");
                problem.send_replace(None);
                if self.shared.missed.swap(false, Ordering::Relaxed) {
                    process::signal_one(pid, Signal::SIGHUP);
                }
                tokio::select! {
                    how = &mut end => Some(how),
                    () = stop.cancelled() => None,
                }
            }
        };
        *self.lock() = None;
        let how = ended.map(|how| how.unwrap_or_else(|_| "ended unseen".to_owned()));
        if how.is_none() {
            end_in_order(pid, &mut end).await;
        }
        guard.let_go();
        // A worker that has left its group is found by its mark.
        let _ = tokio::task::spawn_blocking(move || sweep(&mark)).await;
        log.abort();
        how
    }
}

/// A process of nginx.
struct Started {
    process: Process,
    end: End,
    mark: Mark,
}

/// Ends a process and its group when nobody attends to it any more.
struct Guard {
    pid: Pid,
    gone: bool,
}

impl Guard {
    /// It is gone.
    fn let_go(mut self) {
        self.gone = true;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.gone {
            process::signal(self.pid, Signal::SIGKILL);
        }
    }
}

/// Accepts no more, lets requests finish, then ends what is left.
async fn end_in_order(pid: Pid, end: &mut End) {
    process::signal_one(pid, Signal::SIGQUIT);
    let gone = async {
        // The supervisor may end before, and with it the one who takes processes in.
        while !has_ended(pid) {
            sleep(EVERY).await;
        }
    };
    let ended = tokio::select! {
        ended = timeout(DRAIN, gone) => ended.is_ok(),
        _ = end => true,
    };
    if !ended {
        warn!(%pid, "nginx still serves requests: they are cut");
    }
    // Workers may be left of a master that is gone.
    process::signal_rest(pid, Signal::SIGKILL);
}

/// The pause after a process that lived so long.
fn next_pause(last: Duration, lived: Duration) -> Duration {
    if lived >= STEADY {
        FIRST_PAUSE
    } else {
        (last * 2).min(LONGEST_PAUSE)
    }
}

impl Master for Nginx {
    async fn test(&self, config: &Path) -> Result<(), String> {
        let started = self.spawn(&["-t", "-q"], config).await;
        let Started { process, end, .. } = started.map_err(|error| error.to_string())?;
        let guard = Guard {
            pid: process.pid,
            gone: false,
        };
        let testing = async {
            let said = all_of(process.stderr).await;
            (said, end.await)
        };
        let Ok((said, ended)) = timeout(TEST_WITHIN, testing).await else {
            return Err(format!("no answer to `nginx -t` within {TEST_WITHIN:?}"));
        };
        guard.let_go();
        match ended {
            Ok(how) if how == "exited with code 0" => Ok(()),
            Ok(how) if said.trim().is_empty() => Err(how),
            Ok(_) | Err(_) => Err(in_a_line(&said)),
        }
    }

    async fn reload(&self) -> Result<(), String> {
        let Some(pid) = self.master() else {
            self.shared.missed.store(true, Ordering::Relaxed);
            self.shared.hurry.notify_one();
            return Ok(());
        };
        let before = workers(pid.as_raw());
        process::signal_one(pid, Signal::SIGHUP);
        await_reload(pid.as_raw(), &before).await;
        Ok(())
    }
}

async fn all_of(pipe: std::os::fd::OwnedFd) -> String {
    let mut said = Vec::new();
    if let Ok(pipe) = pipe::Receiver::from_owned_fd(pipe) {
        // What cannot be read was not said.
        let _ = BufReader::new(pipe).read_to_end(&mut said).await;
    }
    String::from_utf8_lossy(&said).into_owned()
}

fn in_a_line(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_it_has_run_for_a_while() {
        let short = Duration::from_secs(1);
        let mut pause = FIRST_PAUSE;
        let mut pauses = Vec::new();
        for _ in 0..9 {
            pause = next_pause(pause, short);
            pauses.push(pause.as_millis());
        }
        assert_eq!(
            pauses,
            [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]
        );
        assert_eq!(next_pause(pause, STEADY), FIRST_PAUSE);
    }
}
