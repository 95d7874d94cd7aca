//! The services of an environment, below its gateways.

use std::fmt::Write as _;
use std::path::Path;

use lockgate_model::{EnvName, NotAnswering, Phase, ServiceName};
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::{Context, now_ms};
use crate::environment::{Environment, Service, services};
use crate::server::control::ServiceView;
use crate::views::paint::Tone;
use crate::views::table::{self, Cell, Column};
use crate::views::text;

const COLUMNS: [Column; 5] = [
    Column::name("SERVICE"),
    Column::kept("STATE"),
    Column::expendable("PID", 2),
    Column::expendable("RESTARTS", 1),
    Column::expendable("SINCE", 3),
];

/// The services as they are known where no server runs.
pub(super) fn unknown(ctx: &Context, environment: &Environment) -> Vec<ServiceView> {
    let (home, env) = (&ctx.config.home, &environment.name);
    let view = |service: &Service| {
        let described = services::described(home, env, &service.name);
        ServiceView {
            name: service.name.clone(),
            enabled: service.enabled,
            log: described.map_or_else(|| home.service_log(env, &service.name), |it| it.log),
            agent_pid: None,
            agent_problem: None,
            report: None,
        }
    };
    environment.services.iter().map(view).collect()
}

/// One word for where a service is.
pub(crate) fn state(view: &ServiceView) -> (&'static str, Tone) {
    if !view.enabled {
        return ("stopped", Tone::Dim);
    }
    let Some(report) = &view.report else {
        return match (&view.agent_problem, view.agent_pid) {
            (Some(_), _) => ("no keeper", Tone::Bad),
            (None, Some(_)) => ("starting", Tone::Busy),
            (None, None) => ("unknown", Tone::Dim),
        };
    };
    if report.not_answering.is_some() {
        return ("not answering", Tone::Bad);
    }
    let tone = match report.phase {
        Phase::Ready => Tone::Good,
        Phase::Backoff => Tone::Bad,
        Phase::Stopped => Tone::Dim,
        _ => Tone::Busy,
    };
    match report.phase {
        // Its keeper has only just started.
        Phase::Waiting => ("starting", Tone::Busy),
        // There is nothing that it would drain.
        Phase::Draining => ("stopping", tone),
        phase => (phase.as_str(), tone),
    }
}

/// A service for programs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ServiceStatus")]
pub(crate) struct ServiceDocument<'s> {
    /// Its name.
    name: &'s ServiceName,
    /// Whether it shall run.
    enabled: bool,
    /// One word: its phase, as in `ready`; `not answering`; `stopped`; `no keeper` or `unknown` where
    /// nobody says.
    state: &'static str,
    /// Its process.
    pid: Option<u32>,
    /// When that was started, UNIX milliseconds.
    since: Option<u64>,
    /// Starts after a crash, since its keeper started.
    restarts: Option<u64>,
    /// What went wrong last and is being tried again, or why its keeper does not run.
    problem: Option<&'s String>,
    /// That it runs and has stopped answering.
    not_answering: Option<&'s NotAnswering>,
    /// Its log.
    log: &'s Path,
    /// Its keeper's process.
    agent_pid: Option<u32>,
}

/// The service as it is now.
pub(crate) fn service_document(view: &ServiceView) -> ServiceDocument<'_> {
    let report = view.report.as_ref();
    ServiceDocument {
        name: &view.name,
        enabled: view.enabled,
        state: state(view).0,
        pid: report.and_then(|report| report.pid),
        since: report.and_then(|report| report.since),
        restarts: report.map(|report| report.restarts),
        problem: view.problem(),
        not_answering: view.not_answering(),
        log: &view.log,
        agent_pid: view.agent_pid,
    }
}

/// The table with what is wrong below it; nothing where there is no service.
pub(super) fn rendered(env: &EnvName, views: &[ServiceView], ctx: &Context) -> String {
    let (paint, now) = (ctx.screen.out, now_ms());
    if views.is_empty() {
        return String::new();
    }
    let rows: Vec<_> = views.iter().map(|view| row(view, now)).collect();
    let mut text = table::render(COLUMNS, &rows, ctx.screen.width, paint);
    for view in views.iter().filter(|view| view.enabled) {
        for note in notes(env, view, now) {
            // Writing to a String cannot fail.
            let mark = paint.tone(Tone::Bad, "!");
            let _ = writeln!(text, "{mark} {}: {note}", view.name);
        }
    }
    text
}

/// What a reader must know beyond the row.
pub(crate) fn notes(env: &EnvName, view: &ServiceView, now: u64) -> Vec<String> {
    let silent = view.not_answering().map(|silence| {
        let (when, why) = (text::ago(silence.since, now), &silence.why);
        format!(
            "runs and stopped answering {when}: {why}; `lockgate restart {env} {}` starts it again",
            view.name
        )
    });
    view.problem().cloned().into_iter().chain(silent).collect()
}

fn row(view: &ServiceView, now: u64) -> [Cell; 5] {
    let report = view.report.as_ref();
    let (word, tone) = state(view);
    [
        view.name.as_str().into(),
        Cell::new(word, tone),
        Cell::maybe(report.and_then(|report| report.pid)),
        Cell::maybe(report.map(|report| report.restarts)),
        Cell::maybe(report.and_then(|report| Some(text::ago(report.since?, now)))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::ServiceReport;

    fn view(phase: Option<Phase>) -> ServiceView {
        let report = phase.map(|phase| ServiceReport {
            phase,
            pid: Some(7),
            since: Some(0),
            restarts: 2,
            problem: Some("exited with code 1".to_owned()),
            not_answering: None,
        });
        ServiceView {
            name: ServiceName::parse("ganymede").unwrap(),
            enabled: true,
            log: "/l".into(),
            agent_pid: Some(6),
            agent_problem: None,
            report,
        }
    }

    #[test]
    fn one_word_says_where_a_service_is() {
        let check = |view: ServiceView, expected| assert_eq!(state(&view).0, expected);
        check(view(Some(Phase::Ready)), "ready");
        check(view(Some(Phase::Backoff)), "backoff");
        check(view(Some(Phase::Waiting)), "starting");
        check(view(Some(Phase::Draining)), "stopping");
        check(view(None), "starting");
        let dead = ServiceView {
            agent_problem: Some("no room".to_owned()),
            ..view(None)
        };
        check(dead, "no keeper");
        let away = ServiceView {
            agent_pid: None,
            ..view(None)
        };
        check(away, "unknown");
        let stopped = ServiceView {
            enabled: false,
            ..view(Some(Phase::Ready))
        };
        check(stopped, "stopped");
    }

    #[test]
    fn a_service_that_does_not_answer_is_told_with_what_ends_that() {
        let mut silent = view(Some(Phase::Ready));
        let report = silent.report.as_mut().unwrap();
        report.problem = None;
        report.not_answering = Some(NotAnswering {
            since: 0,
            why: "`tcp://127.0.0.1:1` was not answered within 2s".to_owned(),
        });
        assert_eq!(state(&silent).0, "not answering");
        let env = EnvName::parse("dev-001").unwrap();
        assert_eq!(
            notes(&env, &silent, 180_000),
            [
                "runs and stopped answering 3 min ago: `tcp://127.0.0.1:1` was not answered within 2s; \
                 `lockgate restart dev-001 ganymede` starts it again"
            ]
        );
    }

    #[test]
    fn programs_get_all_that_is_known() {
        let expected = serde_json::json!({
            "name": "ganymede",
            "enabled": true,
            "state": "backoff",
            "pid": 7,
            "since": 0,
            "restarts": 2,
            "problem": "exited with code 1",
            "not_answering": null,
            "log": "/l",
            "agent_pid": 6,
        });
        let view = view(Some(Phase::Backoff));
        let document = serde_json::to_value(service_document(&view)).unwrap();
        assert_eq!(document, expected);
    }
}
