//! One process of openvpn: started, attended to, ended in good order.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::log::{self, LastWords};
use crate::process::{self, End, Launch, Mark, Spawner, sweep};
use crate::reaper::has_ended;

/// How long it may take to say good-bye to its clients.
const GRACE: Duration = Duration::from_secs(3);

/// How long it has to send its clients word of its end.
const TOLD: Duration = Duration::from_millis(200);

/// How long its last lines may be on their way.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// How often is looked whether it is gone.
const EVERY: Duration = Duration::from_millis(5);

/// The application is ended before it when memory is short: it takes little.
const OOM_SCORE_ADJ: i32 = 0;

/// A process that runs. Killed when nobody attends to it any more.
pub(super) struct Child {
    /// Its number.
    pub(super) pid: Pid,
    /// Tells its end, as long as somebody takes processes in.
    end: Option<End>,
    up: Option<oneshot::Receiver<()>>,
    last: LastWords,
    mark: Mark,
    readers: [JoinHandle<()>; 2],
    is_gone: bool,
    /// What started it: its end would be the process's.
    _spawner: Arc<Spawner>,
}

/// What happens to a process.
pub(super) enum News {
    /// Clients can connect.
    Up,
    /// It has ended by itself, like this.
    Gone(String),
}

impl Child {
    /// Starts openvpn with this configuration.
    pub(super) async fn start(
        spawner: Arc<Spawner>,
        program: &Path,
        config: &Path,
        mark: Mark,
    ) -> Result<Self, String> {
        let launch = Launch {
            command: vec![
                program.display().to_string(),
                "--config".to_owned(),
                config.display().to_string(),
            ],
            cwd: "/".into(),
            // Nothing of the gateway's own environment is its to know.
            environment: vec![mark.variable()],
            descriptors: Vec::new(),
            oom_score_adj: OOM_SCORE_ADJ,
        };
        let started = spawner.spawn_awaited(launch).await;
        let (process, end) = started.map_err(|error| error.to_string())?;
        let (tell, up) = oneshot::channel();
        let last = LastWords::default();
        let readers = [
            tokio::spawn(log::read(process.stdout, last.clone(), Some(tell))),
            tokio::spawn(log::read(process.stderr, last.clone(), None)),
        ];
        Ok(Self {
            pid: process.pid,
            end: Some(end),
            up: Some(up),
            last,
            mark,
            readers,
            is_gone: false,
            _spawner: spawner,
        })
    }

    /// Waits for the next thing that happens to it.
    pub(super) async fn next(&mut self) -> News {
        let up = &mut self.up;
        let coming = async {
            if let Some(coming) = up {
                let is_up = coming.await.is_ok();
                *up = None;
                // Where its log has ended, so does it in a moment.
                if is_up {
                    return;
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = coming => News::Up,
            how = heard(&mut self.end) => {
                self.is_gone = true;
                News::Gone(how)
            }
        }
    }

    /// Why it ended, once it has.
    pub(super) async fn why(mut self, how: &str) -> String {
        self.sweep().await;
        // What it wrote last is still on its way.
        for reader in &mut self.readers {
            let _ = timeout(LAST_WORDS, reader).await;
        }
        match self.last.get() {
            Some(why) => format!("openvpn {how}: {why}"),
            None => format!("openvpn {how}"),
        }
    }

    /// Ends it: it tells its clients, and is killed where that takes too long.
    pub(super) async fn end(mut self) {
        process::signal_one(self.pid, Signal::SIGTERM);
        // At the first word it tells its clients, and would then wait for two seconds.
        let told = timeout(TOLD, heard(&mut self.end)).await;
        if told.is_err() {
            process::signal_one(self.pid, Signal::SIGTERM);
        }
        let pid = self.pid;
        let gone = async {
            // The supervisor may end before, and with it the one who takes processes in.
            while !has_ended(pid) {
                sleep(EVERY).await;
            }
        };
        let ended = tokio::select! {
            ended = timeout(GRACE, gone) => ended.is_ok(),
            _ = heard(&mut self.end) => true,
        };
        if !ended {
            warn!(%pid, "openvpn did not end in time: it is killed");
            process::signal(pid, Signal::SIGKILL);
        }
        self.is_gone = true;
        self.sweep().await;
    }

    /// Ends what it left behind: a command of its own that has not ended.
    async fn sweep(&self) {
        let mark = self.mark.clone();
        let _ = tokio::task::spawn_blocking(move || sweep(&mark)).await;
    }
}

/// Waits until its end is told; for ever, once nobody takes processes in any more.
async fn heard(end: &mut Option<End>) -> String {
    if let Some(telling) = end {
        let how = telling.await;
        *end = None;
        if let Ok(how) = how {
            return how;
        }
    }
    std::future::pending().await
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.is_gone {
            process::signal(self.pid, Signal::SIGKILL);
        }
        for reader in &self.readers {
            reader.abort();
        }
    }
}
