//! `lockgate logs`: what the applications wrote, read by the agent's own reader.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use lockgate_model::{EnvName, GatewayName};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cli::duration;
use crate::context::Context;
use crate::error::CommandError;
use crate::views::paint::Tone;

/// Show what the applications wrote
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    named: Option<EnvName>,
    /// Gateways, by number or name; all where none is given
    gateway: Vec<String>,
    /// Go on with what comes later, until Ctrl-C
    #[arg(long, short, conflicts_with = "crash")]
    follow: bool,
    /// The last lines before the newest crash
    #[arg(long)]
    crash: bool,
    /// Nothing older than this: `10m`, `2h`
    #[arg(long, value_name = "TIME", value_parser = duration)]
    since: Option<Duration>,
    /// At most this many lines of each gateway
    #[arg(long, short = 'n', value_name = "N")]
    lines: Option<usize>,
}

/// One line, and who wrote it.
#[derive(Debug)]
struct Line {
    gateway: GatewayName,
    text: String,
}

/// Prints logs: in the order of their times, or as they come with `--follow`.
pub(crate) async fn logs(args: LogsArgs, ctx: &Context) -> Result<(), CommandError> {
    let environment = ctx.environment(args.named.as_ref())?;
    let wanted = super::gateways::numbers(&environment, &args.gateway)?;
    let gateways: Vec<_> = environment
        .gateways
        .iter()
        .filter(|gateway| {
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted.contains(&gateway.number))
        })
        .map(|gateway| environment.gateway_name(gateway))
        .collect();
    let alone = gateways.len() == 1;
    let (tell, mut told) = mpsc::channel(1024);
    let mut readers = JoinSet::new();
    for gateway in gateways {
        let log = ctx.config.home.gateway_log(&gateway);
        if args.crash && !has_crashed(&ctx.config.home.gateway_dir(&gateway)) {
            ctx.screen.say(&format!("no crash of {gateway} is kept"));
            continue;
        }
        if !args.follow && !args.crash && !log.exists() {
            ctx.screen
                .say(&format!("{gateway} has written nothing yet"));
            continue;
        }
        let reader = reader(&args, ctx, &gateway, &log)?;
        readers.spawn(read(reader, gateway, tell.clone()));
    }
    drop(tell);
    let mut waiting = Vec::new();
    while let Some(line) = told.recv().await {
        if args.follow {
            print(ctx, &line, alone)?;
        } else {
            waiting.push(line);
        }
    }
    // Each line starts with its time; a stable sort keeps what a gateway wrote at once together.
    waiting.sort_by(|one, other| time(&one.text).cmp(time(&other.text)));
    waiting
        .iter()
        .try_for_each(|line| print(ctx, line, alone))?;
    let mut failed = false;
    while let Some(ended) = readers.join_next().await {
        failed |= !matches!(ended, Ok(true));
    }
    // What went wrong, the reader has written to stderr itself.
    if failed {
        Err(CommandError::said())
    } else {
        Ok(())
    }
}

/// Whether the agent keeps the last lines of a start that went wrong.
fn has_crashed(folder: &Path) -> bool {
    let crash = |name: &str| {
        name.strip_prefix("crash-")
            .is_some_and(|rest| rest.strip_suffix(".log").is_some())
    };
    // A folder that is not there yet holds none.
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| entry.file_name().to_str().is_some_and(crash))
}

fn reader(
    args: &LogsArgs,
    ctx: &Context,
    gateway: &GatewayName,
    log: &PathBuf,
) -> Result<Child, CommandError> {
    let agent = &ctx.config.agent;
    let mut command = Command::new(agent);
    command
        .arg("logs")
        .arg("--file")
        .arg(log)
        .arg("--releases")
        .arg(ctx.config.home.gateway_dir(gateway).join("releases"));
    if args.follow {
        command.arg("--follow");
    }
    if args.crash {
        command.arg("--crash");
    }
    if let Some(since) = args.since {
        command.args(["--since", &humantime::format_duration(since).to_string()]);
    }
    if let Some(lines) = args.lines {
        command.args(["--lines", &lines.to_string()]);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            CommandError::failed(format!("cannot start `{}`", agent.display()))
                .because(&error)
                .hint("`lockgate-agent` lies beside `lockgate`, or where LOCKGATE_AGENT says")
        })
}

/// Passes lines on until the reader ends; whether it ended well.
async fn read(mut reader: Child, gateway: GatewayName, tell: mpsc::Sender<Line>) -> bool {
    if let Some(stdout) = reader.stdout.take() {
        let mut lines = BufReader::new(stdout).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            let text = String::from_utf8_lossy(&line).into_owned();
            if tell
                .send(Line {
                    gateway: gateway.clone(),
                    text,
                })
                .await
                .is_err()
            {
                break;
            }
        }
    }
    reader.wait().await.is_ok_and(|status| status.success())
}

fn print(ctx: &Context, line: &Line, alone: bool) -> Result<(), CommandError> {
    if ctx.screen.is_json() {
        return ctx
            .screen
            .json(&json!({"gateway": line.gateway, "line": line.text}));
    }
    if alone {
        return ctx.screen.data(&format!("{}\n", line.text));
    }
    // Neighbours differ in tone, so that the eye can follow one.
    let tone = if line.gateway.number().is_multiple_of(2) {
        Tone::Dim
    } else {
        Tone::Strong
    };
    let name = ctx.screen.out.tone(tone, line.gateway.as_str());
    ctx.screen.data(&format!("{name}  {}\n", line.text))
}

fn time(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}
