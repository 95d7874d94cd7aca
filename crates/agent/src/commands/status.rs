//! `lockgate-agent status`

use std::time::Duration;

use clap::Args;
use http::Method;
use lockgate_model::{Phase, Report};

use super::{asking, view};
use crate::cli::{Format, SocketArgs};
use crate::control;
use crate::error::CommandError;

/// Show what this gateway runs and what it should run
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// For whom the output is
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// Exit with 1 unless the application answers or was stopped on purpose: for a
    /// container's health
    #[arg(long)]
    check: bool,
}

/// The agent answers from memory.
const WITHIN: Duration = Duration::from_secs(5);

pub(crate) fn status(args: &StatusArgs) -> Result<(), CommandError> {
    let report = asking::ask(&args.socket.socket, Method::GET, control::STATUS, WITHIN)?;
    view::show(&report, args.format)?;
    if args.check && !is_well(&report) {
        return Err(CommandError::failed(format!(
            "gateway `{}` does not answer: {}",
            report.gateway,
            report.phase.as_str()
        )));
    }
    Ok(())
}

/// Whether the gateway does what it should: its application answers, or shall not run.
/// While a change is made the old process answers, so that is well, too; the moment
/// between two processes is not, and is over before anybody asks again.
fn is_well(report: &Report) -> bool {
    match report.phase {
        Phase::Ready | Phase::Booting | Phase::Draining => true,
        Phase::Fetching | Phase::Verifying => report.running.is_some(),
        // Without a build that is wanted: a build that was given up stops here, too.
        Phase::Stopped => report.seq > 0 && report.desired_build.is_none(),
        Phase::Waiting | Phase::Stopping | Phase::Starting | Phase::Backoff => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::{BuildId, GatewayName, Running};

    #[test]
    fn a_gateway_is_well_when_it_answers_or_shall_not_run() {
        let build = BuildId::parse("0123456789ab").unwrap();
        let check = |phase, wanted: bool, runs: bool, expected: bool| {
            let gateway = GatewayName::parse("gw-pool-dev-001-0").unwrap();
            let report = Report {
                phase,
                seq: 7,
                desired_build: wanted.then(|| build.clone()),
                running: runs.then(|| Running {
                    build: build.clone(),
                    pid: 9,
                    since: 0,
                }),
                ..Report::of_new_agent(gateway, "0", 1)
            };
            assert_eq!(is_well(&report), expected, "{phase:?} {wanted} {runs}");
        };
        check(Phase::Ready, true, true, true);
        check(Phase::Booting, true, true, true);
        check(Phase::Draining, true, true, true);
        check(Phase::Fetching, true, true, true);
        check(Phase::Fetching, true, false, false);
        check(Phase::Stopped, false, false, true);
        check(Phase::Stopped, true, false, false);
        check(Phase::Backoff, true, false, false);
        check(Phase::Starting, true, true, false);
        check(Phase::Waiting, false, false, false);
    }

    #[test]
    fn an_agent_that_was_told_nothing_is_not_well() {
        let gateway = GatewayName::parse("gw-pool-dev-001-0").unwrap();
        let report = Report {
            phase: Phase::Stopped,
            ..Report::of_new_agent(gateway, "0", 1)
        };
        assert!(!is_well(&report));
    }
}
