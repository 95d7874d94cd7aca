//! One log, as the agent's program reads it.

use std::path::Path;
use std::process::Stdio;
use std::time::SystemTime;

use lockgate_model::LogEvent;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::container::Container;
use super::whose::{Files, Whose};
use crate::context::Context;
use crate::environment::RuntimeKind;
use crate::error::CommandError;

/// Lines that are read ahead.
const AHEAD: usize = 256;

/// What of a log is read.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    /// Go on with what comes later.
    pub(super) follow: bool,
    /// Which crashes are read, instead of the log.
    pub(super) crash: Option<String>,
    /// Nothing older than this.
    pub(super) since: Option<SystemTime>,
    /// At most this many of the lines that are there.
    pub(super) lines: Option<usize>,
}

impl Reading {
    /// All there is and will be.
    pub(super) fn follow() -> Self {
        Self {
            follow: true,
            crash: None,
            since: None,
            lines: None,
        }
    }
}

/// A log that is being read.
#[derive(Debug)]
pub(super) struct Source {
    /// Whose it is.
    pub(super) whose: Whose,
    /// What it says, until the reader ends.
    pub(super) told: mpsc::Receiver<LogEvent>,
    /// Whether the reader ended well.
    reader: JoinSet<bool>,
}

impl Source {
    /// Starts to read. The reader ends when nobody listens to it any more.
    pub(super) fn start(
        reading: &Reading,
        ctx: &Context,
        whose: Whose,
        runtime: RuntimeKind,
    ) -> Result<Self, CommandError> {
        let (tell, told) = mpsc::channel(AHEAD);
        let mut reader = JoinSet::new();
        match (&whose, runtime) {
            (Whose::Gateway(gateway), RuntimeKind::Docker) => {
                let container = Container::new(reading, ctx, gateway.clone())?;
                reader.spawn(container.read(tell));
            }
            (Whose::Gateway(_), RuntimeKind::Local) | (Whose::Service(..), _) => {
                let Files { log, releases } = whose.files(&ctx.config.home);
                let mut child = command(reading, &ctx.config.agent, &log, &releases)
                    .spawn()
                    .map_err(|error| cannot_start(ctx, &error))?;
                if let Some(stdout) = child.stdout.take() {
                    reader.spawn(async move { read(child, stdout, &tell, |_| true).await });
                }
            }
        }
        Ok(Self {
            whose,
            told,
            reader,
        })
    }

    /// Waits for the reader's end.
    pub(super) async fn ended_well(mut self) -> bool {
        matches!(self.reader.join_next().await, Some(Ok(true)))
    }
}

impl Reading {
    /// What the agent's reader is told of it.
    pub(super) fn flags(&self) -> Vec<String> {
        let mut flags = Vec::new();
        if self.follow {
            flags.push("--follow".to_owned());
        }
        if let Some(crash) = &self.crash {
            flags.push(format!("--crash={crash}"));
        }
        if let Some(since) = self.since {
            let since = humantime::format_rfc3339_millis(since).to_string();
            flags.extend(["--since".to_owned(), since]);
        }
        if let Some(lines) = self.lines {
            flags.extend(["--lines".to_owned(), lines.to_string()]);
        }
        flags
    }
}

fn cannot_start(ctx: &Context, error: &std::io::Error) -> CommandError {
    let agent = ctx.config.agent.display();
    CommandError::failed(format!("cannot start `{agent}`"))
        .because(error)
        .hint("`lockgate-agent` lies beside `lockgate`, or where LOCKGATE_AGENT says")
}

/// The reader of files on this host.
pub(super) fn command(reading: &Reading, agent: &Path, log: &Path, releases: &Path) -> Command {
    let mut command = Command::new(agent);
    command
        .args(["logs", "--format", "json", "--file"])
        .arg(log)
        .arg("--releases")
        .arg(releases)
        .args(reading.flags())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Starts a reader and passes on what it says that is wanted; whether it ended well.
pub(super) async fn pass_on(
    mut reader: Command,
    tell: &mpsc::Sender<LogEvent>,
    is_wanted: impl FnMut(&LogEvent) -> bool,
) -> bool {
    let Ok(mut child) = reader.spawn() else {
        return false;
    };
    match child.stdout.take() {
        Some(stdout) => read(child, stdout, tell, is_wanted).await,
        None => false,
    }
}

/// Passes on what the reader says until it ends; whether it ended well.
async fn read(
    mut child: Child,
    stdout: ChildStdout,
    tell: &mpsc::Sender<LogEvent>,
    mut is_wanted: impl FnMut(&LogEvent) -> bool,
) -> bool {
    let mut lines = BufReader::new(stdout).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        // What a newer agent says besides is not for us.
        if let Ok(event) = serde_json::from_slice(&line)
            && is_wanted(&event)
            && tell.send(event).await.is_err()
        {
            break;
        }
    }
    child.wait().await.is_ok_and(|status| status.success())
}
