//! `lockgate wait`: until every gateway is as a script needs it, and every service is ready.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use lockgate_model::{EnvName, Phase};
use serde_json::json;

use super::status::{service_state, state};
use crate::cli::duration;
use crate::context::Context;
use crate::deploy::clock;
use crate::deploy::services::is_ready;
use crate::error::CommandError;
use crate::server::control::GatewayView;

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

/// Returns when every gateway that shall run is as wanted; exit code 1 when time is up.
pub(crate) async fn wait(args: WaitArgs, ctx: &Context) -> Result<(), CommandError> {
    let environment = ctx.environment(args.named.as_ref())?;
    let (control, _) = ctx.server().await?;
    let deadline = clock() + args.timeout;
    let mut after = None;
    loop {
        let left = deadline.saturating_duration_since(clock());
        let view = control
            .gateways(&environment.name, after, left.min(Duration::from_secs(20)))
            .await?;
        after = Some(view.version);
        let missing: Vec<_> = view
            .gateways
            .iter()
            .filter(|view| view.enabled && !reached(&args.what, view))
            .collect();
        let services: Vec<_> = view
            .services
            .iter()
            .filter(|view| view.enabled && counts(&args.what) && !is_ready(view))
            .collect();
        let none = view.gateways.iter().all(|view| !view.enabled);
        if missing.is_empty() && services.is_empty() && !none {
            if ctx.screen.is_json() {
                ctx.screen
                    .json(&json!({"env": environment.name, "reached": true}))?;
            }
            return Ok(());
        }
        if none {
            return Err(CommandError::failed(format!(
                "every gateway of `{}` is stopped",
                environment.name
            ))
            .hint(format!("`lockgate start {}` starts them", environment.name)));
        }
        if left.is_zero() {
            let services = services
                .iter()
                .map(|view| format!("service `{}` is {}", view.name, service_state(view).0));
            let states = missing.iter().map(|view| describe(view)).chain(services);
            let states: Vec<String> = states.collect();
            let waited = humantime::format_duration(args.timeout);
            return Err(CommandError::failed(format!(
                "not reached within {waited}: {}",
                states.join(", ")
            ))
            .hint(format!("`lockgate status {}` shows more", environment.name)));
        }
    }
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
    format!("`{}` is {}{runs}", view.name, state(view).0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::{BuildId, GatewayName, Report, Running};

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
