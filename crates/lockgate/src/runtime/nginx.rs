//! nginx as the host's front door: kept by an agent as services are, and told of its configurations.
//!
//! ```text
//! service.json ─▶ lockgate-agent supervise ─▶ nginx: master process ─▶ workers
//!                     └ ends with the server     ▲ HUP for each new configuration, QUIT at the end
//! ```
//!
//! What stands in the configuration belongs to `lockgate_route::FrontNginx`.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use lockgate_model::{Phase, ReadyCheck, ServiceDescription, ServiceName};
use lockgate_route::{FrontPlace, Master, await_reload, workers};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::keepers::{Keepers, Program};
use super::services::{ObservedService, keeper};
use crate::home::durable;

/// What is kept, in names and messages.
const NAME: &str = "nginx";
/// Before it is started again: nothing is served meanwhile.
const CRASH_DELAY: Duration = Duration::from_millis(200);
/// From its start to serving; it takes about 20 ms.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// How long requests in flight may take at its end, as at the embedded door.
const DRAIN: Duration = Duration::from_secs(5);
/// From TERM to KILL, once the drain is over.
const GRACE: Duration = Duration::from_secs(2);
/// How long a test of a configuration may take; it takes about 10 ms.
const TEST_WITHIN: Duration = Duration::from_secs(10);
/// How often is looked whether it is up.
const EVERY: Duration = Duration::from_millis(5);

/// nginx's process, by whoever needs it.
#[derive(Debug)]
pub(crate) struct Nginx {
    keepers: Keepers<&'static str>,
    /// nginx's own program.
    program: PathBuf,
    place: FrontPlace,
    /// The server's folder around `place`.
    folder: PathBuf,
}

impl Nginx {
    /// An nginx that does not run yet, with its configuration in `place`, and the keeper's files in
    /// the folder around that.
    pub(crate) fn new(
        agent: Arc<Program>,
        program: PathBuf,
        folder: PathBuf,
        place: FrontPlace,
    ) -> Self {
        Self {
            keepers: Keepers::new(agent),
            program,
            place,
            folder,
        }
    }

    /// Has it run from now on, if it does not. It is ready when it answers at this address.
    pub(crate) async fn keep(&self, address: SocketAddr) -> io::Result<()> {
        let file = self.folder.join("service.json");
        let mut command = vec![self.program.display().to_string()];
        command.extend(self.arguments(&self.place.config()));
        let description = ServiceDescription {
            name: ServiceName::parse(NAME).map_err(io::Error::other)?,
            command,
            cwd: self.place.dir().to_owned(),
            env: [].into(),
            ready: Some(ReadyCheck {
                host: address.ip().to_string(),
                port: address.port(),
                path: None,
            }),
            ready_timeout: READY_WITHIN,
            stop_timeout: GRACE,
            crash_delay: CRASH_DELAY,
            log: self.log(),
        };
        let text = serde_json::to_vec_pretty(&description)?;
        if std::fs::read(&file).ok().as_ref() != Some(&text) {
            durable::write(&file, &text)?;
        }
        let spec = keeper(self.folder.join("agent"), file, 0)?;
        self.keepers.reconcile(|_| true, vec![(NAME, spec)]).await;
        Ok(())
    }

    /// Why it does not serve, where it does not.
    pub(crate) fn problem(&self) -> Option<String> {
        let seen = self.observed()?;
        let report = seen.report.as_ref();
        if report.is_some_and(|report| report.phase == Phase::Ready) {
            return None;
        }
        let said = report.and_then(|report| report.problem.clone());
        let why = seen.agent_problem.or(said)?;
        let log = self.log();
        Some(format!(
            "nginx does not serve: {why}; its log is `{}`",
            log.display()
        ))
    }

    /// Changes whenever `problem` or `pid` may answer something else.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.keepers.changes()
    }

    /// Its master process, while there is one.
    pub(crate) fn pid(&self) -> Option<i32> {
        i32::try_from(self.observed()?.report?.pid?).ok()
    }

    /// Ends it: requests in flight are finished, then what is left is cut.
    pub(crate) async fn end(&self) {
        if let Some(pid) = self.pid().filter(|pid| !workers(*pid).is_empty()) {
            signal(pid, Signal::SIGQUIT);
            let mut changes = self.changes();
            let gone = async {
                // It is reported before it is started again.
                while self.pid() == Some(pid) && changes.changed().await.is_ok() {}
            };
            if timeout(DRAIN, gone).await.is_err() {
                tracing::warn!("nginx still serves requests: they are cut");
            }
        }
        self.keepers.end_all().await;
    }

    fn observed(&self) -> Option<ObservedService> {
        self.keepers.see(&NAME).map(ObservedService::of)
    }

    fn log(&self) -> PathBuf {
        self.folder.join("nginx.log")
    }

    fn arguments(&self, config: &Path) -> [String; 6] {
        let text = |path: &Path| path.display().to_string();
        [
            "-p",
            &text(self.place.dir()),
            "-e",
            "stderr",
            "-c",
            &text(config),
        ]
        .map(str::to_owned)
    }
}

impl Master for Nginx {
    async fn test(&self, config: &Path) -> Result<(), String> {
        let testing = Command::new(&self.program)
            .args(self.arguments(config))
            .args(["-t", "-q"])
            .env_clear()
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        match timeout(TEST_WITHIN, testing).await {
            Ok(Ok(output)) if output.status.success() => Ok(()),
            Ok(Ok(output)) => Err(said(&output)),
            Ok(Err(error)) => Err(format!(
                "`{}` is not started: {error}",
                self.program.display()
            )),
            Err(_) => Err(format!("no answer to `nginx -t` within {TEST_WITHIN:?}")),
        }
    }

    async fn reload(&self) -> Result<(), String> {
        let Some(pid) = self.pid() else {
            return Ok(());
        };
        // Before it has workers it takes no signal, and may have read the configuration before.
        let up = async {
            while self.pid() == Some(pid) && workers(pid).is_empty() {
                sleep(EVERY).await;
            }
        };
        let is_up = timeout(READY_WITHIN, up).await.is_ok();
        let before = workers(pid);
        if is_up && !before.is_empty() {
            signal(pid, Signal::SIGHUP);
            await_reload(pid, &before).await;
        }
        Ok(())
    }
}

fn signal(pid: i32, signal: Signal) {
    if let Err(error) = kill(Pid::from_raw(pid), signal) {
        tracing::debug!(pid, %signal, %error, "nginx is gone already");
    }
}

/// What a test that failed has said, in one line.
fn said(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().map(without_time).collect();
    if lines.is_empty() {
        return output.status.to_string();
    }
    lines.join("; ")
}

/// A line without its time and process, `2026/11/28 10:05:42 [emerg] 294#294: …`: what is said again
/// is the same.
fn without_time(line: &str) -> &str {
    let line = line.trim();
    let begins_with_time = line.starts_with(|letter: char| letter.is_ascii_digit());
    let said = line.split_once("] ").filter(|_| begins_with_time);
    let text = said.and_then(|(_, said)| said.split_once(": "));
    match text {
        Some((who, text)) if is_process(who) => text,
        _ => line,
    }
}

/// Whether it is like `294#294`.
fn is_process(text: &str) -> bool {
    text.contains('#') && text.chars().all(|it| it.is_ascii_digit() || it == '#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nginx_says_again_is_the_same() {
        let check = |line: &str, expected| assert_eq!(without_time(line), expected);
        check("2026/11/28 10:05:42 [emerg] 29#29: bad: a b", "bad: a b");
        check("nginx: [emerg] bad", "nginx: [emerg] bad");
        check("2026/11/28 odd", "2026/11/28 odd");
        check(
            " nginx: configuration file /a test failed ",
            "nginx: configuration file /a test failed",
        );
    }
}
