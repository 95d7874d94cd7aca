//! `lockgate wait`: until every gateway is as a script needs it, and every service is ready.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use lockgate_model::{EnvName, GatewayName, Phase};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use super::status::{service_state, state};
use crate::cli::duration;
use crate::context::Context;
use crate::deploy::clock;
use crate::deploy::services::is_ready;
use crate::deploy::stuck::Stuck;
use crate::error::CommandError;
use crate::server::control::{GatewayView, GatewaysView, ServiceView};

/// Wait until every gateway is ready, has passed its trial, or runs a build; services are ready
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    named: Option<EnvName>,
    /// `ready`, services too; `good`, the trial is passed, too; `build=B` with a build or the first
    /// digits of its name, whatever services do
    #[arg(
        long = "for",
        value_name = "ready|good|build=B",
        default_value = "ready"
    )]
    what: Goal,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    timeout: Duration,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Goal {
    Ready,
    Good,
    Build(String),
}

impl FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("build=")) {
            ("ready", _) => Ok(Self::Ready),
            ("good", _) => Ok(Self::Good),
            (_, Some(build))
                if !build.is_empty()
                    && build.len() <= 12
                    && build.bytes().all(|digit| digit.is_ascii_hexdigit()) =>
            {
                Ok(Self::Build(build.to_ascii_lowercase()))
            }
            _ => Err("expected `ready`, `good`, or `build=` and the digits of a build".to_owned()),
        }
    }
}

/// How long one question to the server waits for something new.
const WAIT: Duration = Duration::from_secs(20);

/// Returns when every gateway that shall run is as wanted; exit code 1 when time is up, or when
/// those that are not cannot even start.
pub(crate) async fn wait(args: WaitArgs, ctx: &Context) -> Result<(), CommandError> {
    let environment = ctx.environment(args.named.as_ref())?;
    let env = &environment.name;
    let (control, _) = ctx.server().await?;
    let began = Instant::from_std(clock());
    let deadline = began + args.timeout;
    let mut view = control.gateways(env, None, Duration::ZERO).await?;
    let mut stuck: BTreeMap<GatewayName, Stuck> = BTreeMap::new();
    loop {
        let elapsed = began.elapsed();
        for one in &view.gateways {
            let stuck = stuck.entry(one.name.clone()).or_default();
            stuck.see(one, elapsed);
        }
        if view.gateways.iter().all(|view| !view.enabled) {
            return Err(
                CommandError::failed(format!("every gateway of `{env}` is stopped"))
                    .hint(format!("`lockgate start {env}` starts them")),
            );
        }
        let missing = missing(&args.what, &view);
        if missing.is_empty() {
            if ctx.screen.is_json() {
                ctx.screen.document(&Reached { env, reached: true })?;
            }
            return Ok(());
        }
        let in_vain = missing.iter().all(|one| match one {
            Missing::Gateway(view) => stuck
                .get(&view.name)
                .is_some_and(|stuck| stuck.is_for_good(elapsed)),
            Missing::Service(_) => false,
        });
        if in_vain || Instant::now() >= deadline {
            return Err(not_reached(&args, env, &missing, in_vain));
        }
        let due = stuck.values().filter_map(|stuck| stuck.due());
        let due = due.filter(|due| *due > elapsed).min();
        let wake = due.map_or(deadline, |due| deadline.min(began + due));
        view = tokio::select! {
            seen = control.gateways(env, Some(view.version), WAIT) => seen?,
            () = sleep_until(wake) => view,
        };
    }
}

/// That it is as it was waited for.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Reached<'r> {
    /// The environment.
    env: &'r EnvName,
    /// Always true.
    reached: bool,
}

/// What is not as it is waited for.
enum Missing<'a> {
    Gateway(&'a GatewayView),
    Service(&'a ServiceView),
}

fn missing<'a>(goal: &Goal, view: &'a GatewaysView) -> Vec<Missing<'a>> {
    let gateways = view.gateways.iter();
    let gateways = gateways
        .filter(|view| view.enabled && !reached(goal, view))
        .map(Missing::Gateway);
    let services = view.services.iter();
    let services = services
        .filter(|view| view.enabled && counts(goal) && !is_ready(view))
        .map(Missing::Service);
    gateways.chain(services).collect()
}

fn not_reached(
    args: &WaitArgs,
    env: &EnvName,
    missing: &[Missing<'_>],
    in_vain: bool,
) -> CommandError {
    let states = missing.iter().map(|one| match one {
        Missing::Gateway(view) => describe(view),
        Missing::Service(view) => format!("service `{}` is {}", view.name, service_state(view).0),
    });
    let states: Vec<String> = states.collect();
    let states = states.join(", ");
    let error = if in_vain {
        CommandError::failed(format!("it is in vain to wait: {states}"))
    } else {
        let waited = humantime::format_duration(args.timeout);
        CommandError::failed(format!("not reached within {waited}: {states}"))
    };
    error.hint(format!("`lockgate status {env}` shows more"))
}

/// Whether services count for it.
fn counts(goal: &Goal) -> bool {
    match goal {
        Goal::Ready | Goal::Good => true,
        Goal::Build(_) => false,
    }
}

fn reached(goal: &Goal, view: &GatewayView) -> bool {
    let Some(report) = &view.report else {
        return false;
    };
    // A report of an agent before this one says nothing about now.
    let current = view.agent_pid.is_none_or(|pid| pid == report.agent_pid);
    let settled = report.settled == report.seq && report.phase == Phase::Ready;
    let Some(running) = report.running.as_ref().filter(|_| current && settled) else {
        return false;
    };
    match goal {
        Goal::Ready => true,
        Goal::Good => !report.on_trial && report.refused.is_none(),
        Goal::Build(build) => running.build.as_str().starts_with(build),
    }
}

fn describe(view: &GatewayView) -> String {
    let running = view
        .report
        .as_ref()
        .and_then(|report| report.running.as_ref());
    let runs = running.map_or(String::new(), |running| format!(" with {}", running.build));
    let why = view.agent_problem.as_ref().filter(|_| view.agent_stuck);
    let why = why.map_or(String::new(), |why| format!(" ({why})"));
    format!("`{}` is {}{runs}{why}", view.name, state(view).0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::{BuildId, Report, Running};

    #[test]
    fn good_is_what_passed_its_trial() {
        let name = GatewayName::parse("gw-pool-dev-0").unwrap();
        let ready = Report {
            phase: Phase::Ready,
            running: Some(Running {
                build: BuildId::parse("0123456789ab").unwrap(),
                pid: 7,
                since: 0,
            }),
            ..Report::of_new_agent(name.clone(), "0.1.0", 1)
        };
        let on_trial = Report {
            on_trial: true,
            ..ready.clone()
        };
        let check = |report: Report, expected| {
            let view = GatewayView {
                name: name.clone(),
                http_port: 7100,
                vpn_port: 49100,
                enabled: true,
                agent_pid: Some(1),
                agent_problem: None,
                agent_stuck: false,
                container: None,
                reach: crate::runtime::Reach::default(),
                last_contact: None,
                report: Some(report),
            };
            assert_eq!(
                [Goal::Ready, Goal::Good].map(|goal| reached(&goal, &view)),
                expected
            );
        };
        check(ready, [true, true]);
        check(on_trial, [true, false]);
    }

    #[test]
    fn goals_are_read_from_text() {
        for (text, expected) in [
            ("ready", Some(Goal::Ready)),
            ("good", Some(Goal::Good)),
            ("build=AB12", Some(Goal::Build("ab12".to_owned()))),
            ("build=", None),
            ("build=xyz", None),
            ("build=0123456789abc", None),
            ("done", None),
        ] {
            assert_eq!(text.parse::<Goal>().ok(), expected, "{text}");
        }
    }
}
