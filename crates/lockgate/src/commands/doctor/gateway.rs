//! One gateway: what it runs beside what it should, and who holds its addresses.

use lockgate_model::vpn::is_of_vpn;
use lockgate_model::{Listener, Phase};

use super::check::{Finding, State};
use crate::commands::status::listeners::Told;
use crate::commands::status::notes::{About, notes};
use crate::commands::status::state;
use crate::server::control::GatewayView;
use crate::views::text;

/// What the check of a gateway itself is called.
pub(super) const NAME: &str = "gateway";

/// What it runs, in the words of `status`; `token` is a note on its token.
pub(super) fn gateway(view: &GatewayView, token: Option<&str>, now_ms: u64) -> Vec<Finding> {
    let (env, number) = (view.name.env(), view.name.number());
    if !view.enabled {
        let start = format!("stopped; `lockgate start {env} {number}` starts it");
        return vec![Finding::ok(start)];
    }
    let notes = notes(view, now_ms).into_iter();
    // A VPN has a check of its own.
    let notes = notes.filter(|(about, text)| *about != About::Problem || !is_of_vpn(text));
    let notes = notes.map(|(about, text)| noted(view, about, &text));
    let token = token.map(|note| Finding::of_note(State::Warning, note));
    let all: Vec<Finding> = notes.chain(token).collect();
    if all.is_empty() {
        return vec![runs(view, now_ms)];
    }
    all
}

/// What is wrong with it, and what helps.
fn noted(view: &GatewayView, about: About, text: &str) -> Finding {
    let (env, number) = (view.name.env(), view.name.number());
    let logs = format!("`lockgate logs {env} {number}` shows what it wrote");
    match about {
        About::Refused => Finding::of_note(State::Error, text).or_mended_by(format!(
            "mend the build and run `lockgate deploy {env}`; {logs}"
        )),
        About::Problem => {
            let ready = view
                .report
                .as_ref()
                .is_some_and(|it| it.phase == Phase::Ready);
            let passes = ready && view.agent_problem.is_none();
            let state = if passes { State::Warning } else { State::Error };
            Finding::of_note(state, text).or_mended_by(if view.agent_stuck {
                format!("once that is mended, `lockgate start {env} {number}` tries it again")
            } else {
                logs
            })
        }
        About::Older => Finding::of_note(State::Warning, text),
        About::Unreached => Finding::of_note(State::Warning, text).or_mended_by(format!(
            "`lockgate status {env} --wide` shows where it was looked for"
        )),
        About::Silent => Finding::of_note(State::Error, text)
            .because("it hears of no deploy")
            .or_mended_by(logs),
    }
}

/// A gateway of which nothing is told.
fn runs(view: &GatewayView, now_ms: u64) -> Finding {
    let (env, number) = (view.name.env(), view.name.number());
    let (word, _) = state(view);
    let Some(report) = &view.report else {
        return Finding::warning(format!("{word}: its agent has not reported yet")).mended_by(
            format!("`lockgate logs {env} {number}` shows what it wrote"),
        );
    };
    let heard = view.last_contact.map(|last| text::ago(last, now_ms));
    let heard = heard.map_or(String::new(), |ago| format!(", heard of {ago}"));
    let agent = &report.agent_version;
    match (&report.running, &report.desired_build) {
        (_, None) => Finding::warning("nothing was deployed to it")
            .mended_by(format!("`lockgate deploy {env}`")),
        (Some(running), Some(desired)) if running.build == *desired => match report.phase {
            Phase::Ready => {
                let trial = if report.on_trial { ", on trial" } else { "" };
                let build = &running.build;
                Finding::ok(format!("runs {build}, ready{trial}, agent {agent}{heard}"))
            }
            phase => on_its_way(view, &format!("{}: {desired}", phase.as_str())),
        },
        (Some(running), Some(desired)) => {
            let build = &running.build;
            on_its_way(
                view,
                &format!("{word}: runs {build}, and should run {desired}"),
            )
        }
        (None, Some(desired)) => on_its_way(view, &format!("{word}: should run {desired}")),
    }
}

fn on_its_way(view: &GatewayView, found: &str) -> Finding {
    let env = view.name.env();
    Finding::warning(found).mended_by(format!("`lockgate wait {env} --for ready` waits for it"))
}

/// Who holds its addresses; `None` where nobody was asked.
pub(super) fn ports(view: &GatewayView, told: Option<&Told>) -> Vec<Finding> {
    let ready = view
        .report
        .as_ref()
        .is_some_and(|it| it.phase == Phase::Ready);
    if !view.enabled || !ready {
        return vec![Finding::skipped("not asked for: it is not ready")];
    }
    let all = match told {
        None => return vec![Finding::skipped("not asked for: its agent does not run")],
        Some(Err(why)) => {
            let found = format!("what listens is not known: {why}");
            return vec![Finding::warning(found)];
        }
        Some(Ok(all)) => all,
    };
    let (env, number) = (view.name.env(), view.name.number());
    let wrong = all.iter().filter_map(Listener::problem);
    let wrong = wrong.map(|problem| {
        Finding::of_note(State::Error, &problem)
            .or_mended_by(format!("`lockgate restart {env} {number}`"))
    });
    let wrong: Vec<Finding> = wrong.collect();
    if wrong.is_empty() {
        let held = all.iter().filter(|one| one.what.is_some()).count();
        return vec![Finding::ok(format!("{held} of {held} held"))];
    }
    wrong
}

#[cfg(test)]
mod tests {
    use lockgate_model::{BuildId, GatewayName, Holder, ListenerState, Report, Running, Transport};

    use super::super::check::tests::check;
    use super::*;

    fn build(digit: &str) -> BuildId {
        BuildId::parse(&digit.repeat(12)).unwrap()
    }

    /// One that runs what it should.
    fn view() -> GatewayView {
        let name = GatewayName::parse("gw-pool-dev-0").unwrap();
        let running = Running {
            build: build("a"),
            pid: 7,
            since: 0,
        };
        let report = Report {
            phase: Phase::Ready,
            desired_build: Some(build("a")),
            running: Some(running),
            ..Report::of_new_agent(name.clone(), env!("CARGO_PKG_VERSION"), 5)
        };
        GatewayView {
            name,
            http_port: 7100,
            vpn_port: 49100,
            enabled: true,
            agent_pid: Some(5),
            agent_problem: None,
            agent_stuck: false,
            container: None,
            reach: crate::runtime::Reach::default(),
            last_contact: Some(0),
            report: Some(report),
        }
    }

    fn of(change: impl FnOnce(&mut GatewayView)) -> Finding {
        let mut view = view();
        change(&mut view);
        gateway(&view, None, 3_000).remove(0)
    }

    fn reported(change: impl FnOnce(&mut Report)) -> Finding {
        of(|view| change(view.report.as_mut().unwrap()))
    }

    #[test]
    fn a_gateway_runs_what_it_should_or_it_is_said_what_helps() {
        let logs = Some("`lockgate logs dev 0`");
        check(
            &of(|_| {}),
            State::Ok,
            "runs aaaaaaaaaaaa, ready, agent",
            None,
        );
        check(
            &reported(|it| it.on_trial = true),
            State::Ok,
            "on trial",
            None,
        );
        check(
            &of(|it| it.enabled = false),
            State::Ok,
            "`lockgate start dev 0`",
            None,
        );
        check(&of(|it| it.report = None), State::Warning, "silent", logs);
        check(&of(|it| it.last_contact = None), State::Ok, "ready", None);
        check(
            &reported(|it| it.desired_build = None),
            State::Warning,
            "nothing was deployed",
            Some("`lockgate deploy dev`"),
        );
        let wait = Some("`lockgate wait dev --for ready`");
        check(
            &reported(|it| it.desired_build = Some(build("b"))),
            State::Warning,
            "should run bbbbbbbbbbbb",
            wait,
        );
        check(
            &reported(|it| it.phase = Phase::Starting),
            State::Warning,
            "starting",
            wait,
        );
        check(
            &reported(|it| it.running = None),
            State::Warning,
            "should run a",
            wait,
        );
        let older = reported(|it| it.agent_version = "0.0.1".to_owned());
        check(
            &older,
            State::Warning,
            "of release 0.0.1",
            Some("`lockgate serve stop`"),
        );
    }

    #[test]
    fn what_does_not_start_is_an_error() {
        let logs = Some("`lockgate logs dev 0`");
        let crash = || Some("exited with code 1".to_owned());
        let backoff = reported(|it| {
            it.phase = Phase::Backoff;
            it.problem = crash();
        });
        check(&backoff, State::Error, "exited with code 1", logs);
        check(
            &reported(|it| it.problem = crash()),
            State::Warning,
            "exited",
            logs,
        );
        let stuck = of(|it| {
            it.agent_problem = crash();
            it.agent_stuck = true;
        });
        check(
            &stuck,
            State::Error,
            "exited",
            Some("`lockgate start dev 0`"),
        );
        let silent = of(|it| it.last_contact = Some(0));
        check(&silent, State::Ok, "heard of 3 s ago", None);
        let mut quiet = view();
        quiet.last_contact = Some(0);
        check(
            &gateway(&quiet, None, 600_000)[0],
            State::Error,
            "last heard of 10 min ago",
            logs,
        );
        let refused = reported(|it| {
            it.refused = Some(lockgate_model::Refusal {
                build: build("b"),
                seq: 1,
                reason: "exited with code 1".to_owned(),
                log: Vec::new(),
                unavailable_ms: Some(0),
            });
        });
        check(
            &refused,
            State::Error,
            "refused bbbbbbbbbbbb",
            Some("`lockgate deploy dev`"),
        );
    }

    #[test]
    fn a_token_that_ends_is_told_and_a_vpn_has_its_own_check() {
        let note = "its GATEWAY_TOKEN ends today; `lockgate deploy dev` gives it a new one";
        let told = gateway(&view(), Some(note), 0).remove(0);
        check(
            &told,
            State::Warning,
            "ends today",
            Some("`lockgate deploy dev`"),
        );
        let vpn =
            reported(|it| it.problem = Some(format!("{}: x", lockgate_model::vpn::NOT_KEPT_APART)));
        check(&vpn, State::Ok, "runs", None);
    }

    #[test]
    fn a_foreign_holder_is_named_with_what_makes_room() {
        let listener = |state, pid| Listener {
            what: Some("application".to_owned()),
            transport: Transport::Tcp,
            address: "127.0.0.1:8888".parse().unwrap(),
            state,
            processes: vec![Holder {
                pid,
                name: "nc".to_owned(),
                own: false,
            }],
        };
        let of = |view: &GatewayView, told: Option<Told>| ports(view, told.as_ref()).remove(0);
        let told = |state| Some(Ok(vec![listener(state, 9)]));
        check(
            &of(&view(), told(ListenerState::Held)),
            State::Ok,
            "1 of 1 held",
            None,
        );
        check(
            &of(&view(), told(ListenerState::Foreign)),
            State::Error,
            "is taken",
            Some("`kill 9`"),
        );
        check(
            &of(&view(), told(ListenerState::Missing)),
            State::Error,
            "nobody listens",
            Some("`lockgate restart dev 0`"),
        );
        check(&of(&view(), None), State::Skipped, "does not run", None);
        let silent = Some(Err("its agent does not answer".to_owned()));
        check(
            &of(&view(), silent),
            State::Warning,
            "does not answer",
            None,
        );
        let mut booting = view();
        booting.report.as_mut().unwrap().phase = Phase::Booting;
        check(
            &of(&booting, told(ListenerState::Missing)),
            State::Skipped,
            "not ready",
            None,
        );
    }
}
