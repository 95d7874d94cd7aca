//! What a reader must know of a gateway beyond its row.

use lockgate_model::Phase;

use super::older;
use crate::environment::Pin;
use crate::server::control::GatewayView;
use crate::views::outcome::unavailable;
use crate::views::text;

pub(super) fn problem(view: &GatewayView) -> Option<&String> {
    let report = view.report.as_ref();
    view.agent_problem
        .as_ref()
        .or_else(|| report?.problem.as_ref())
}

/// A gateway that has a build of its own, and how that ends.
pub(super) fn pinned(view: &GatewayView, pin: &Pin, now: u64) -> String {
    let (env, number) = (view.name.env(), view.name.number());
    format!(
        "{} is pinned to {} ({}); `lockgate deploy {env} --gateway {number} --unpin` ends that",
        view.name,
        pin.build,
        text::ago(pin.since, now)
    )
}

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// A build that the agent gave up on.
    Refused,
    /// What keeps it from running, or what went wrong last.
    Problem,
    /// An agent of an earlier release.
    Older,
    /// A door that the server does not find.
    Unreached,
    /// Nothing was heard of it for long.
    Silent,
}

/// What a reader must know beyond the row.
pub(crate) fn notes(view: &GatewayView, now: u64) -> Vec<(About, String)> {
    let mut notes = Vec::new();
    let report = view.report.as_ref();
    let runs = report.and_then(|report| report.running.as_ref());
    if let Some(refused) = report.and_then(|report| report.refused.as_ref()) {
        let (build, reason) = (&refused.build, &refused.reason);
        let told = match runs.map(|running| &running.build) {
            Some(runs) if runs == build => format!(
                "refused new settings of {build} because it {reason}, runs it with those before"
            ),
            Some(runs) => format!("refused {build} because it {reason}, runs {runs}"),
            None => format!("refused {build} because it {reason}, runs nothing"),
        };
        notes.push((About::Refused, told + &unavailable(refused.unavailable_ms)));
    }
    notes.extend(problem(view).map(|problem| (About::Problem, problem.clone())));
    notes.extend(older::note(view).map(|note| (About::Older, note)));
    // While it boots nobody answers, and nobody has to.
    let ready = report.is_some_and(|report| report.phase == Phase::Ready);
    let unreached = view.reach.problem.clone().filter(|_| ready);
    notes.extend(unreached.map(|problem| (About::Unreached, problem)));
    // An agent asks at least once a minute; twice that without a word is worth saying.
    let silent = view
        .last_contact
        .filter(|last| view.enabled && now.saturating_sub(*last) > 120_000);
    notes.extend(silent.map(|last| {
        let note = format!("last heard of {}", text::ago(last, now));
        (About::Silent, note)
    }));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::status::tests::view;
    use lockgate_model::BuildId;

    fn texts(view: &GatewayView, now: u64) -> Vec<String> {
        notes(view, now).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn a_refused_build_is_explained() {
        assert_eq!(
            texts(&view(), 60_000),
            [
                "refused bbbbbbbbbbbb because it exited with code 1, runs aaaaaaaaaaaa; nothing answered for 640 ms"
            ]
        );
    }

    #[test]
    fn a_ready_gateway_that_is_not_reached_is_told_and_one_that_boots_is_not() {
        let mut view = view();
        view.reach.problem = Some("not reached".to_owned());
        assert!(texts(&view, 0).contains(&"not reached".to_owned()));
        view.report.as_mut().unwrap().phase = Phase::Booting;
        assert!(!texts(&view, 0).contains(&"not reached".to_owned()));
    }

    #[test]
    fn a_silent_agent_and_one_that_does_not_run_are_told() {
        assert_eq!(
            texts(&view(), 300_000).last().unwrap(),
            "last heard of 5 min ago"
        );
        let dead = GatewayView {
            report: None,
            agent_problem: Some("exited with code 78".to_owned()),
            ..view()
        };
        assert_eq!(texts(&dead, 0), ["exited with code 78"]);
    }

    #[test]
    fn a_pin_is_told_with_the_way_out_of_it() {
        let pin = Pin {
            build: BuildId::parse(&"a".repeat(12)).unwrap(),
            since: 0,
        };
        assert_eq!(
            pinned(&view(), &pin, 120_000),
            "gw-pool-dev-0 is pinned to aaaaaaaaaaaa (2 min ago); `lockgate deploy dev --gateway 0 --unpin` ends that"
        );
    }
}
