//! A gateway's row in the table.

use lockgate_model::Phase;

use crate::environment::Pin;
use crate::server::control::GatewayView;
use crate::views::paint::Tone;
use crate::views::table::{Cell, Column};
use crate::views::text;

/// With `--wide`.
pub(super) const MORE: [Column; 2] = [
    Column::expendable("ADDRESS", 2),
    Column::expendable("SERVER", 3),
];

pub(super) const COLUMNS: [Column; 8] = [
    Column::name("GATEWAY"),
    Column::expendable("PORT", 4),
    Column::kept("RUNNING"),
    Column::expendable("DESIRED", 1),
    Column::kept("STATE"),
    Column::expendable("PID", 6),
    Column::expendable("RESTARTS", 5),
    Column::expendable("SINCE", 7),
];

/// One word for where a gateway is.
pub(crate) fn state(view: &GatewayView) -> (&'static str, Tone) {
    let Some(report) = &view.report else {
        return match (view.enabled, &view.agent_problem, view.agent_pid) {
            (false, ..) => ("stopped", Tone::Dim),
            (true, Some(_), _) => ("no agent", Tone::Bad),
            // The agent runs and has not said anything yet.
            (true, None, Some(_)) => ("silent", Tone::Busy),
            (true, None, None) if view.container.is_some() => ("silent", Tone::Busy),
            (true, None, None) => ("unknown", Tone::Dim),
        };
    };
    if !view.enabled {
        return ("stopped", Tone::Dim);
    }
    if report.refused.is_some() {
        return ("refused", Tone::Bad);
    }
    let tone = match report.phase {
        Phase::Ready => Tone::Good,
        Phase::Backoff => Tone::Bad,
        Phase::Waiting | Phase::Stopped => Tone::Dim,
        Phase::Fetching
        | Phase::Verifying
        | Phase::Booting
        | Phase::Draining
        | Phase::Stopping
        | Phase::Starting => Tone::Busy,
    };
    (report.phase.as_str(), tone)
}

pub(super) fn row(view: &GatewayView, pin: Option<&Pin>, now: u64) -> [Cell; 8] {
    let report = view.report.as_ref();
    let running = report.and_then(|report| report.running.as_ref());
    let desired = report.and_then(|report| report.desired_build.as_ref());
    let behind = running.map(|running| &running.build) != desired;
    let (word, tone) = state(view);
    let on_trial = report.is_some_and(|it| it.phase == Phase::Ready && it.on_trial);
    let trial = if on_trial { ", on trial" } else { "" };
    let pinned = pin.map_or("", |_| ", pinned");
    [
        view.name.as_str().into(),
        view.http_port.to_string().into(),
        Cell::maybe(running.map(|running| &running.build)).in_tone(if behind {
            Tone::Busy
        } else {
            Tone::Plain
        }),
        Cell::maybe(desired),
        Cell::new(
            format!("{word}{trial}{pinned}"),
            if on_trial { Tone::Busy } else { tone },
        ),
        Cell::maybe(running.map(|running| running.pid)),
        Cell::maybe(report.map(|report| report.restarts)),
        Cell::maybe(running.map(|running| text::ago(running.since, now))),
    ]
}

/// What `--wide` shows of a gateway.
pub(super) fn more(view: &GatewayView) -> [Cell; 2] {
    let report = view.report.as_ref();
    [
        Cell::maybe(view.reach.address),
        Cell::maybe(report.and_then(|report| report.server.as_ref())),
    ]
}

pub(super) fn beside<T>(row: [T; 8], [address, server]: [T; 2]) -> [T; 10] {
    let [gateway, port, running, desired, state, pid, restarts, since] = row;
    [
        gateway, port, running, desired, state, pid, restarts, since, address, server,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::status::tests::view;
    use lockgate_model::BuildId;

    #[test]
    fn a_row_tells_a_trial_and_a_pin_beside_the_state() {
        let mut view = view();
        let report = view.report.as_mut().unwrap();
        report.refused = None;
        report.on_trial = true;
        let pin = Pin {
            build: BuildId::parse(&"a".repeat(12)).unwrap(),
            since: 0,
        };
        let row = row(&view, Some(&pin), 120_000);
        assert_eq!(row[4], Cell::new("ready, on trial, pinned", Tone::Busy));
    }

    #[test]
    fn one_word_says_where_a_gateway_is() {
        assert_eq!(state(&view()).0, "refused");
        let dead = GatewayView {
            report: None,
            agent_problem: Some("exited with code 78".to_owned()),
            ..view()
        };
        assert_eq!(state(&dead).0, "no agent");
        let stopped = GatewayView {
            enabled: false,
            ..view()
        };
        assert_eq!(state(&stopped).0, "stopped");
    }
}
