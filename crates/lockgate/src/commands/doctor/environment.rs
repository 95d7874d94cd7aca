//! An environment as a whole: its workspace, its settings, its deploy, its services.

use super::check::{Finding, State};
use crate::commands::status::services::{notes, state};
use crate::environment::Environment;
use crate::error::CommandError;
use crate::server::control::ServiceView;
use crate::views::paint::Tone;

/// Why nothing is known of what runs.
pub(super) const NO_SERVER: &str = "not known: no server runs";

/// The checkout that it is deployed from; `gone` is what a deploy would say.
pub(super) fn workspace(environment: &Environment, gone: Option<&CommandError>) -> Finding {
    match gone {
        None => Finding::ok(format!("`{}`", environment.workspace.display())),
        Some(error) => Finding::of(State::Error, error).because("nothing can be deployed"),
    }
}

/// What its lockgate.toml says, everything that is wrong of it.
pub(super) fn settings(problems: &[CommandError]) -> Vec<Finding> {
    if problems.is_empty() {
        return vec![Finding::ok("makes sense")];
    }
    let one = |error| {
        Finding::of(State::Error, error)
            .because("nothing can be deployed")
            .or_mended_by("correct it there; docs/settings.md has every setting")
    };
    problems.iter().map(one).collect()
}

/// A publication that has not reached every gateway, in the words of `status`.
pub(super) fn deploy(note: Option<&str>) -> Option<Finding> {
    let note = note?;
    let finding = Finding::of_note(State::Warning, note);
    Some(match finding.remedy {
        Some(_) => finding,
        // It is under way.
        None => Finding::ok(note),
    })
}

/// A service of the host, in the words of `status`.
pub(super) fn service(environment: &Environment, view: &ServiceView, now_ms: u64) -> Vec<Finding> {
    let (env, name) = (&environment.name, &view.name);
    let (word, tone) = state(view);
    if !view.enabled {
        return vec![Finding::ok("stopped")];
    }
    let notes = notes(env, view, now_ms);
    if notes.is_empty() && tone == Tone::Bad {
        let logs = format!("`lockgate logs {env} {name}` shows what it wrote");
        return vec![Finding::error(word).mended_by(logs)];
    }
    if notes.is_empty() {
        return vec![Finding::ok(word)];
    }
    let one = |note: &String| {
        Finding::of_note(State::Error, note)
            .or_mended_by(format!("`lockgate logs {env} {name}` shows what it wrote"))
    };
    notes.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use lockgate_model::{NotAnswering, Phase, ServiceName, ServiceReport};

    use super::super::check::tests::check;
    use super::*;
    use crate::environment::tests::sample;

    #[test]
    fn a_workspace_is_there_and_its_file_makes_sense() {
        let environment = sample("dev");
        let gone = CommandError::failed("is deployed from `/w`, which is not there")
            .hint("`lockgate deploy dev --workspace PATH`");
        check(&workspace(&environment, None), State::Ok, "`", None);
        let told = workspace(&environment, Some(&gone));
        check(
            &told,
            State::Error,
            "which is not there",
            Some("--workspace PATH"),
        );

        let wrong = ["`[app] command` names no program", "`[docker] image`"];
        let told = settings(&wrong.map(CommandError::configuration));
        assert_eq!(told.len(), 2);
        check(
            &told[0],
            State::Error,
            "`[app] command`",
            Some("correct it"),
        );
        check(&settings(&[])[0], State::Ok, "makes sense", None);
    }

    #[test]
    fn a_deploy_that_did_not_come_to_its_end_is_told() {
        assert_eq!(deploy(None), None);
        let under_way = deploy(Some("a deploy of a is under way; so far it reached none"));
        check(&under_way.unwrap(), State::Ok, "under way", None);
        let stopped = deploy(Some(
            "did not come to its end; `lockgate deploy dev` goes on",
        ));
        check(
            &stopped.unwrap(),
            State::Warning,
            "not come to its end",
            Some("`lockgate deploy dev`"),
        );
    }

    #[test]
    fn a_service_runs_answers_or_it_is_said_what_helps() {
        let view = |phase, problem: Option<&str>, silent: Option<&str>| ServiceView {
            name: ServiceName::parse("ganymede").unwrap(),
            enabled: true,
            log: "/l".into(),
            agent_pid: Some(6),
            agent_problem: None,
            report: Some(ServiceReport {
                phase,
                pid: Some(7),
                since: Some(0),
                restarts: 0,
                problem: problem.map(str::to_owned),
                not_answering: silent.map(|why| NotAnswering {
                    since: 0,
                    why: why.to_owned(),
                }),
            }),
        };
        let of = |view: &ServiceView| service(&sample("dev"), view, 0).remove(0);
        check(
            &of(&view(Phase::Ready, None, None)),
            State::Ok,
            "ready",
            None,
        );
        let logs = Some("`lockgate logs dev ganymede`");
        check(
            &of(&view(Phase::Backoff, Some("exited with code 1"), None)),
            State::Error,
            "exited",
            logs,
        );
        check(
            &of(&view(Phase::Backoff, None, None)),
            State::Error,
            "backoff",
            logs,
        );
        let silent = view(
            Phase::Ready,
            None,
            Some("`tcp://127.0.0.1:1` was not answered"),
        );
        check(
            &of(&silent),
            State::Error,
            "stopped answering",
            Some("`lockgate restart dev ganymede`"),
        );
        let stopped = ServiceView {
            enabled: false,
            ..silent
        };
        check(&of(&stopped), State::Ok, "stopped", None);
    }
}
