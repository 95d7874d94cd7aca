//! `lockgate logs`: what applications and services wrote, read by the agent's own reader.
//!
//! ```text
//!   gateway.log ─▶ lockgate-agent logs ─┐            ┌─▶ what was there: merged by time
//!   gateway.log ─▶ lockgate-agent logs ─┴▶ source ───┴─▶ what comes: held for a moment
//! ```
//!
//! Of a gateway in a container the reader runs in there.

mod container;
mod follow;
mod order;
pub(crate) mod show;
mod source;
mod whose;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use lockgate_model::{EnvName, LogEvent, LogLine, ServiceDescription};

use self::container::Container;
use self::follow::Following;
use self::order::Clock;
use self::show::{Look, Show};
use self::source::{Reading, Source};
use self::whose::{Whose, chosen};
use super::what::{What, what};
use crate::context::Context;
use crate::environment::RuntimeKind;
use crate::error::CommandError;

/// Show what applications and services wrote
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    named: Option<EnvName>,
    /// Gateways, by number or name, and services; all of them where none is given
    #[arg(value_name = "WHAT")]
    what: Vec<String>,
    /// Only this gateway, by number or name (repeatable)
    #[arg(long, short, value_name = "GATEWAY")]
    gateway: Vec<String>,
    /// Go on with what comes later, until Ctrl-C
    #[arg(long, short, conflicts_with = "crash")]
    follow: bool,
    /// The last lines before the newest crash, or before crash N, or before all that are
    /// kept; `list` says when and why they were
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "newest", value_name = "N|all|list", value_parser = crash)]
    crash: Option<String>,
    /// Nothing older than this: `10m`, `2h`, `2026-11-22T23:51:00Z`
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<SystemTime>,
    /// At most this many of the lines that are there, of each log
    #[arg(long, short = 'n', visible_alias = "tail", value_name = "N")]
    lines: Option<usize>,
    /// Say when each line was written
    #[arg(long, short)]
    timestamps: bool,
    /// Leave away whose a line is
    #[arg(long)]
    no_prefix: bool,
}

/// Prints logs: in the order of their times, and as they come with `--follow`.
pub(crate) async fn logs(args: LogsArgs, ctx: &Context) -> Result<(), CommandError> {
    let environment = ctx.environment(args.named.as_ref())?;
    let mut wanted = Vec::new();
    for name in &args.what {
        wanted.push(what(&environment, &full(name))?);
    }
    for name in &args.gateway {
        let number = super::gateways::number(&environment, &full(name))?;
        wanted.push(What::Gateway(number));
    }
    let wanted = Some(wanted).filter(|wanted| !wanted.is_empty());
    let all = chosen(&environment, wanted.as_deref());
    let look = Look {
        names: !args.no_prefix,
        timestamps: args.timestamps,
    };
    let mut show = Show::new(ctx.screen, look);
    show.widen(&all);
    let reading = Reading {
        follow: args.follow,
        crash: args.crash,
        since: args.since,
        lines: args.lines,
    };
    let mut sources = Vec::new();
    for whose in all {
        let runtime = environment.runtime;
        if is_there(&reading, ctx, &whose, runtime).await? {
            sources.push(Source::start(&reading, ctx, whose, runtime)?);
        }
    }
    if reading.crash.is_some() {
        one_after_the_other(&mut sources, &mut show).await?;
    } else {
        by_time(&mut sources, &mut show).await?;
    }
    if args.follow {
        let all_of = wanted.is_none().then_some(environment.name);
        return Following::new(ctx, all_of, sources, show).run().await;
    }
    let mut failed = false;
    for source in sources {
        failed |= !source.ended_well().await;
    }
    // What went wrong, the reader has written to stderr itself.
    if failed {
        Err(CommandError::said())
    } else {
        Ok(())
    }
}

/// The newest lines of a service's log, nothing older than `since` and as many as these; none where
/// it cannot be read.
pub(crate) async fn last_lines(
    ctx: &Context,
    env: &EnvName,
    description: &ServiceDescription,
    since: SystemTime,
    count: usize,
) -> Vec<LogLine> {
    let reading = Reading {
        follow: false,
        crash: None,
        since: Some(since),
        lines: Some(count),
    };
    let whose = Whose::Service(env.clone(), description.name.clone());
    let mut lines = Vec::new();
    if !description.log.exists() {
        return lines;
    }
    if let Ok(mut source) = Source::start(&reading, ctx, whose, RuntimeKind::Local) {
        while let Some(event) = source.told.recv().await {
            if let LogEvent::Line(line) = event {
                lines.push(line);
            }
        }
    }
    lines
}

/// The name of a gateway as it is known elsewhere: lines begin with `gw-0`.
fn full(name: &str) -> String {
    let number = name.strip_prefix("gw-");
    let number = number.filter(|number| number.parse::<u32>().is_ok());
    number.unwrap_or(name).to_owned()
}

/// Whether there is something to read; says so where there is not.
async fn is_there(
    reading: &Reading,
    ctx: &Context,
    whose: &Whose,
    runtime: RuntimeKind,
) -> Result<bool, CommandError> {
    let found = match (whose, runtime) {
        (Whose::Gateway(gateway), RuntimeKind::Docker) => {
            Container::new(reading, ctx, gateway.clone())?.has().await?
        }
        (Whose::Gateway(_), RuntimeKind::Local) | (Whose::Service(..), _) => {
            let files = whose.files(&ctx.config.home);
            if reading.crash.is_some() {
                files.releases.parent().is_some_and(has_crashed)
            } else {
                files.log.exists()
            }
        }
    };
    if !found && reading.crash.is_some() {
        ctx.screen.say(&format!("no crash of {whose} is kept"));
    } else if !found {
        ctx.screen.say(&format!("{whose} has written nothing yet"));
    }
    Ok(found || reading.follow)
}

/// Whether the agent keeps the last lines of a start that went wrong.
fn has_crashed(folder: &Path) -> bool {
    // A folder that is not there yet holds none.
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| entry.file_name().to_str().is_some_and(is_crash))
}

/// Whether a file of this name holds the last lines of a start that went wrong.
fn is_crash(name: &str) -> bool {
    let rest = name.strip_prefix("crash-");
    rest.is_some_and(|rest| rest.strip_suffix(".log").is_some())
}

/// Shows each gateway's crashes as a whole: their lines carry no time.
async fn one_after_the_other(sources: &mut [Source], show: &mut Show) -> Result<(), CommandError> {
    for source in sources {
        while let Some(event) = source.told.recv().await {
            if let LogEvent::Line(line) = event {
                show.line(&source.whose, &line)?;
            }
        }
    }
    show.flush()
}

/// Merges what is there: each gateway's lines are in order, so that the oldest of their
/// first ones is the next. Holds one line of each, however long the logs are.
async fn by_time(sources: &mut [Source], show: &mut Show) -> Result<(), CommandError> {
    let mut clocks = vec![Clock::default(); sources.len()];
    let mut heads = Vec::new();
    for (source, clock) in sources.iter_mut().zip(&mut clocks) {
        heads.push(next(source, clock).await);
    }
    loop {
        let first = heads.iter().enumerate();
        let first = first.filter_map(|(at, head)| Some((head.as_ref()?.0, at)));
        let Some((_, at)) = first.min() else {
            return show.flush();
        };
        let (Some(head), Some(source), Some(clock)) =
            (heads.get_mut(at), sources.get_mut(at), clocks.get_mut(at))
        else {
            return show.flush();
        };
        if let Some((_, line)) = head.take() {
            show.line(&source.whose, &line)?;
        }
        *head = next(source, clock).await;
    }
}

/// The next line of those that are there, with its place in time.
async fn next(source: &mut Source, clock: &mut Clock) -> Option<(u64, LogLine)> {
    match source.told.recv().await? {
        LogEvent::Line(line) => Some((clock.place(&line), line)),
        LogEvent::Told { .. } => None,
    }
}

/// Which crash, checked here so that all gateways are asked the same.
fn crash(text: &str) -> Result<String, String> {
    let known = matches!(text, "newest" | "all" | "list") || text.parse::<u64>().is_ok();
    if known {
        Ok(text.to_owned())
    } else {
        Err("expected a number, `newest`, `all` or `list`".to_owned())
    }
}

/// A moment: how long ago, or when.
#[expect(
    clippy::disallowed_methods,
    reason = "`--since` counts from the moment of the call"
)]
fn since(text: &str) -> Result<SystemTime, String> {
    if let Ok(moment) = humantime::parse_rfc3339_weak(text) {
        return Ok(moment);
    }
    let age = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it like `10m` or `2026-11-22T23:51:00Z`"))?;
    // Nothing is older than the clock itself.
    let moment = SystemTime::now().checked_sub(age);
    Ok(moment.map_or(UNIX_EPOCH, |moment| moment.max(UNIX_EPOCH)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_named_as_its_lines_begin() {
        for (name, expected) in [
            ("gw-0", "0"),
            ("gw-12", "12"),
            ("0", "0"),
            ("gw-pool-dev-001-0", "gw-pool-dev-001-0"),
            ("gw-", "gw-"),
        ] {
            assert_eq!(full(name), expected);
        }
    }

    #[test]
    fn moments_are_ages_or_times() {
        let at = since("2026-11-22T23:51:00Z").unwrap();
        assert_eq!(at, since("2026-11-22 23:51:00").unwrap());
        assert!(since("10m").unwrap() > at);
        assert_eq!(since("1000y").unwrap(), UNIX_EPOCH);
        assert!(since("soon").unwrap_err().contains("write it like"));
    }

    #[test]
    fn crashes_have_numbers_or_words() {
        for good in ["newest", "all", "list", "7"] {
            assert_eq!(crash(good).unwrap(), good);
        }
        assert!(crash("last").is_err());
    }
}
