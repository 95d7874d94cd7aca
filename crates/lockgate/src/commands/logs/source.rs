//! One gateway's log, as its agent's program reads it.

use std::process::Stdio;
use std::time::SystemTime;

use lockgate_model::{GatewayName, LogEvent};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::context::Context;
use crate::error::CommandError;

/// Lines that are read ahead.
const AHEAD: usize = 256;

/// What of a log is read.
#[derive(Debug)]
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
    pub(super) gateway: GatewayName,
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
        gateway: GatewayName,
    ) -> Result<Self, CommandError> {
        let mut child = command(reading, ctx, &gateway).spawn().map_err(|error| {
            let agent = ctx.config.agent.display();
            CommandError::failed(format!("cannot start `{agent}`"))
                .because(&error)
                .hint("`lockgate-agent` lies beside `lockgate`, or where LOCKGATE_AGENT says")
        })?;
        let (tell, told) = mpsc::channel(AHEAD);
        let mut reader = JoinSet::new();
        if let Some(stdout) = child.stdout.take() {
            reader.spawn(read(child, stdout, tell));
        }
        Ok(Self {
            gateway,
            told,
            reader,
        })
    }

    /// Waits for the reader's end.
    pub(super) async fn ended_well(mut self) -> bool {
        matches!(self.reader.join_next().await, Some(Ok(true)))
    }
}

/// The reader of a local gateway. One in a container would be started in there.
fn command(reading: &Reading, ctx: &Context, gateway: &GatewayName) -> Command {
    let home = &ctx.config.home;
    let mut command = Command::new(&ctx.config.agent);
    command
        .args(["logs", "--format", "json", "--file"])
        .arg(home.gateway_log(gateway))
        .arg("--releases")
        .arg(home.gateway_dir(gateway).join("releases"));
    if reading.follow {
        command.arg("--follow");
    }
    if let Some(crash) = &reading.crash {
        command.arg(format!("--crash={crash}"));
    }
    if let Some(since) = reading.since {
        let since = humantime::format_rfc3339_millis(since).to_string();
        command.args(["--since", &since]);
    }
    if let Some(lines) = reading.lines {
        command.args(["--lines", &lines.to_string()]);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Passes on what the reader says until it ends; whether it ended well.
async fn read(mut child: Child, stdout: ChildStdout, tell: mpsc::Sender<LogEvent>) -> bool {
    let mut lines = BufReader::new(stdout).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        // What a newer agent says besides is not for us.
        if let Ok(event) = serde_json::from_slice(&line)
            && tell.send(event).await.is_err()
        {
            break;
        }
    }
    child.wait().await.is_ok_and(|status| status.success())
}
