//! One agent process: started with an environment made from scratch, ended by its closed standard input.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::{AgentSpec, Ended, Program};
use crate::home::durable;
use crate::runtime::MISCONFIGURED;
use crate::runtime::last_words::pick;

/// How long it may take after TERM.
const TERM_END: Duration = Duration::from_secs(5);
/// The agent's own log is put aside at a start when it is larger than this; it says little.
const LOG_LIMIT: u64 = 10 * 1024 * 1024;
/// How much of the log's end is looked at for why an agent ended.
const TAIL: u64 = 4 * 1024;

/// A running agent.
#[derive(Debug)]
pub(super) struct Agent {
    child: Child,
    log: PathBuf,
    /// Where this agent's own lines begin in the log.
    log_start: u64,
}

/// What an agent tells.
#[derive(Debug)]
pub(super) struct Words(Lines<BufReader<ChildStdout>>);

impl Words {
    /// The next line; `None` when there is none any more.
    pub(super) async fn next(&mut self) -> Option<String> {
        self.0.next_line().await.ok().flatten()
    }
}

/// An agent that could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} `{path}`")]
pub(super) struct StartError {
    act: &'static str,
    path: PathBuf,
    pub(super) source: io::Error,
}

impl Agent {
    /// Starts an agent; its output goes to `agent.log` in its folder, but for what it tells.
    pub(super) fn start(program: &Program, spec: &AgentSpec) -> Result<Self, StartError> {
        let path = spec.folder.join("agent.log");
        let log = durable::open_log(&path, LOG_LIMIT).map_err(|source| StartError {
            act: "open the log",
            path: path.clone(),
            source,
        })?;
        let failed = |source| StartError {
            act: "start",
            path: program.path.clone(),
            source,
        };
        let log_start = log.metadata().map_err(failed)?.len();
        let stdout = if spec.tells {
            Stdio::piped()
        } else {
            log.try_clone().map_err(failed)?.into()
        };
        let child = Command::new(&program.path)
            .args(&spec.arguments)
            .env_clear()
            .envs(program.inherited.iter().map(|(name, value)| (name, value)))
            .envs(spec.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(&spec.folder)
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        Ok(Self {
            child,
            log: path,
            log_start,
        })
    }

    /// What it tells, where it does; given once.
    pub(super) fn words(&mut self) -> Option<Words> {
        let stdout = self.child.stdout.take()?;
        Some(Words(BufReader::new(stdout).lines()))
    }

    /// Its process, until it was seen to end.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it ends by itself and says how: `exit status: 78: error: …`.
    pub(super) async fn ended(&mut self) -> Ended {
        // tokio's `wait` closes the standard input, which would end the agent.
        let stdin = self.child.stdin.take();
        let status = self.child.wait().await;
        drop(stdin);
        let code = status.as_ref().ok().and_then(ExitStatus::code);
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let words = last_words(&self.log, self.log_start).unwrap_or_default();
        let how = if words.is_empty() {
            format!("the agent ended with {status}")
        } else {
            format!("the agent ended with {status}: {words}")
        };
        Ended {
            how,
            lasts: code == Some(MISCONFIGURED),
        }
    }

    /// Ends it: closes its standard input, then TERM, then KILL.
    pub(super) async fn end(mut self, of: &str, quiet_end: Duration) {
        drop(self.child.stdin.take());
        if self.gone_within(quiet_end).await {
            return;
        }
        tracing::warn!(%of, pid = self.pid(), "agent outlived its input: TERM");
        self.term();
        if self.gone_within(TERM_END).await {
            return;
        }
        tracing::warn!(%of, pid = self.pid(), "agent outlived TERM: KILL");
        if let Err(error) = self.child.kill().await {
            tracing::error!(%of, %error, "agent cannot be killed");
        }
    }

    async fn gone_within(&mut self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.child.wait()).await.is_ok()
    }

    fn term(&self) {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid
            && let Err(error) = kill(Pid::from_raw(pid), Signal::SIGTERM)
        {
            tracing::warn!(pid, %error, "TERM was not delivered");
        }
    }
}

/// What an agent said before it ended, from where its own lines begin.
fn last_words(path: &Path, start: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let end = file.metadata()?.len();
    file.seek(SeekFrom::Start(start.max(end.saturating_sub(TAIL))))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    Ok(pick(&String::from_utf8_lossy(&tail)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_what_this_agent_said_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.log");
        fs::write(&path, "error: of the agent before\n").unwrap();
        assert_eq!(last_words(&path, 27).unwrap(), "");
        assert_eq!(last_words(&path, 0).unwrap(), "error: of the agent before");
    }
}
