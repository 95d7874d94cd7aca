//! Brings an environment's services up to date with lockgate.toml, as a part of a deploy.

use std::time::Duration;

use lockgate_model::{EnvName, Phase, ServiceDescription, ServiceName};

use super::events::{Event, ServiceChange, ServiceChanged, ServiceNews};
use crate::context::Context;
use crate::environment::lock::DeployLock;
use crate::environment::services::{self, Renewed};
use crate::error::CommandError;
use crate::server::control::{ControlClient, GatewaysView, ServiceView};

/// How long a service that is gone from lockgate.toml may take once the server has ended it: it
/// is gone by then.
const FORGET: Duration = Duration::from_secs(5);

/// Makes these the environment's services: new ones are started, those that are described
/// otherwise are started again, those that are gone are ended and forgotten, and the rest is left
/// alone. Those that wait after a crash are started at once: what was built just now may have
/// mended them. Nothing is waited for but the end of what ends.
pub(super) async fn bring_up(
    ctx: &Context,
    control: &ControlClient,
    _lock: &DeployLock,
    env: &EnvName,
    all: &[ServiceDescription],
    tell: &mut dyn FnMut(Event),
) -> Result<(), CommandError> {
    let home = &ctx.config.home;
    let Renewed {
        added,
        changed,
        gone,
    } = services::renew(home, env, all)?;
    let view = control.gateways(env, None, Duration::ZERO).await?;
    let waits = |view: &&ServiceView| {
        view.enabled && !changed.contains(&view.name) && !added.contains(&view.name) && fails(view)
    };
    let waiting = view.services.iter().filter(waits);
    let waiting: Vec<ServiceName> = waiting.map(|view| view.name.clone()).collect();
    if !waiting.is_empty() {
        services::again(home, env, &waiting)?;
    }
    let stopped = |name: &ServiceName| {
        let mut named = view.services.iter().filter(|it| it.name == *name);
        named.any(|it| !it.enabled)
    };
    let told = [
        (&added, ServiceChange::Started),
        (&changed, ServiceChange::Restarted),
        (&waiting, ServiceChange::Restarted),
        (&gone, ServiceChange::Ended),
    ];
    for (names, change) in told {
        for service in names.iter().filter(|name| !stopped(name)) {
            tell(Event::Service(ServiceChanged {
                service: service.clone(),
                change,
            }));
        }
    }
    if told.iter().all(|(names, _)| names.is_empty()) {
        return Ok(());
    }
    control.changed(env).await?;
    for left in services::forget(home, env, &gone, FORGET).await {
        tell(Event::warning(left));
    }
    Ok(())
}

/// Whether a service does not come up: it waits for its next try, or its keeper for its own.
fn fails(view: &ServiceView) -> bool {
    view.agent_problem.is_some()
        || (view.report.as_ref()).is_some_and(|report| report.phase == Phase::Backoff)
}

/// What is to be said after a deploy of services that do not come up.
pub(crate) fn failing(env: &EnvName, view: &GatewaysView) -> Vec<String> {
    let enabled = view.services.iter().filter(|it| it.enabled);
    enabled
        .filter_map(|view| {
            let name = &view.name;
            let problem = view.problem().or(view.not_answering().map(|it| &it.why))?;
            Some(format!(
                "service {name} is not ready: {problem}; `lockgate logs {env} {name}` shows more"
            ))
        })
        .collect()
}

/// What differs, service by service, as far as a reader has to know.
pub(super) fn news(before: &GatewaysView, now: &GatewaysView) -> Vec<ServiceNews> {
    let one = |now: &ServiceView| {
        let before = before.services.iter().find(|it| it.name == now.name)?;
        let (good, message) = difference(before, now)?;
        Some(ServiceNews {
            service: now.name.clone(),
            good,
            message,
        })
    };
    now.services.iter().filter_map(one).collect()
}

fn difference(before: &ServiceView, now: &ServiceView) -> Option<(bool, String)> {
    if now.enabled && fails(now) && !fails(before) {
        let why = now.problem().map_or("ended", String::as_str);
        return Some((false, format!("{why}; it is started again")));
    }
    if let (Some(silence), None) = (now.not_answering(), before.not_answering()) {
        return Some((false, format!("does not answer any more: {}", silence.why)));
    }
    let was_away = before.problem().is_some() || before.not_answering().is_some();
    let is_back = now.problem().is_none() && is_ready(now) && was_away;
    is_back.then(|| (true, "ready again".to_owned()))
}

/// Whether a service runs and is ready.
pub(crate) fn is_ready(view: &ServiceView) -> bool {
    let report = view.report.as_ref();
    report.is_some_and(|report| report.phase == Phase::Ready && report.not_answering.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::ServiceReport;

    fn view(phase: Phase, problem: Option<&str>) -> GatewaysView {
        let service = ServiceView {
            name: ServiceName::parse("ganymede").unwrap(),
            enabled: true,
            log: "/l".into(),
            agent_pid: Some(1),
            agent_problem: None,
            report: Some(ServiceReport {
                phase,
                pid: None,
                since: None,
                restarts: 1,
                problem: problem.map(str::to_owned),
                not_answering: None,
            }),
        };
        GatewaysView {
            version: 1,
            gateways: Vec::new(),
            services: vec![service],
        }
    }

    #[test]
    fn a_crash_and_the_way_back_are_told_once() {
        let up = view(Phase::Ready, None);
        let down = view(Phase::Backoff, Some("exited with code 1"));
        let starting = view(Phase::Starting, Some("exited with code 1"));
        let restarted = view(Phase::Starting, None);
        let check = |before, now, expected: Option<(bool, &str)>| {
            let told = news(before, now);
            let told: Vec<_> = told
                .iter()
                .map(|it| (it.good, it.message.as_str()))
                .collect();
            assert_eq!(told, expected.into_iter().collect::<Vec<_>>());
        };
        check(&up, &up, None);
        let crashed = "exited with code 1; it is started again";
        check(&up, &down, Some((false, crashed)));
        check(&down, &down, None);
        check(&down, &starting, None);
        check(&starting, &up, Some((true, "ready again")));
        // A restart that somebody asked for is no news.
        check(&up, &restarted, None);
        check(&restarted, &up, None);
    }

    #[test]
    fn a_service_that_does_not_come_up_is_warned_about() {
        let env = EnvName::parse("dev-001").unwrap();
        assert_eq!(failing(&env, &view(Phase::Ready, None)), [] as [String; 0]);
        assert_eq!(
            failing(&env, &view(Phase::Starting, None)),
            [] as [String; 0]
        );
        assert_eq!(
            failing(&env, &view(Phase::Starting, Some("exited with code 1"))),
            [
                "service ganymede is not ready: exited with code 1; `lockgate logs dev-001 ganymede` shows more"
            ]
        );
        let mut stopped = view(Phase::Backoff, Some("x"));
        stopped.services[0].enabled = false;
        assert_eq!(failing(&env, &stopped), [] as [String; 0]);
    }

    #[test]
    fn a_service_that_answers_no_more_and_again_is_told() {
        use lockgate_model::NotAnswering;

        let ready = view(Phase::Ready, None);
        let mut silent = ready.clone();
        let report = silent.services[0].report.as_mut().unwrap();
        report.not_answering = Some(NotAnswering {
            since: 0,
            why: "late".to_owned(),
        });
        assert!(!is_ready(&silent.services[0]));
        let told = |before, now| -> Vec<(bool, String)> {
            let news = news(before, now).into_iter();
            news.map(|one| (one.good, one.message)).collect()
        };
        let gone = (false, "does not answer any more: late".to_owned());
        assert_eq!(told(&ready, &silent), [gone]);
        assert_eq!(told(&silent, &silent), []);
        assert_eq!(told(&silent, &ready), [(true, "ready again".to_owned())]);
        let env = EnvName::parse("dev").unwrap();
        assert_eq!(failing(&env, &silent).len(), 1);
    }
}
