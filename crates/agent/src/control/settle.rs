//! Waits until a reload or a restart has come to its end.

use std::time::Duration;

use lockgate_model::Phase;
use tokio::time::{Instant, timeout_at};

use super::{Control, Part};
use crate::error::in_one_line;
use crate::supervisor::Snapshot;

/// Why it did not come to a good end. A refused build is an end: the report says it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsettled {
    /// No server answered; the gateway keeps what it runs.
    #[error("the build server did not answer: {0}")]
    NoServer(String),
    /// The build is not here; it is tried again.
    #[error("the build could not be fetched, it will be tried again: {0}")]
    Fetch(String),
    /// The application crashed instead of becoming ready.
    #[error("the application did not become ready: {0}")]
    Crashed(String),
    /// The door's driver.
    #[error("the door cannot be reset: {0}")]
    Door(String),
    /// There is nothing to restart.
    #[error("no application is wanted to run in this gateway")]
    NotWanted,
    /// The caller's patience is over; the work goes on.
    #[error("not settled within {} s, the work goes on: {doing}", within.as_secs())]
    TooSlow {
        /// The caller's patience.
        within: Duration,
        /// What is being done.
        doing: &'static str,
    },
    /// The agent is being stopped.
    #[error("the agent is ending")]
    Ending,
}

/// Asks the server now, then waits until its statement is done with.
pub(super) async fn reload(control: &mut Control, within: Duration) -> Result<(), Unsettled> {
    let deadline = Instant::now() + within;
    let failed_before = control.reporting.view().failed_fetches;
    let seq = match timeout_at(deadline, control.converging.reload()).await {
        Ok(answer) => answer.map_err(Unsettled::NoServer)?,
        Err(_) => return Err(too_slow(control, within)),
    };
    loop {
        let report = control.reporting.now();
        if report.settled >= seq {
            return Ok(());
        }
        let view = control.reporting.view();
        if view.failed_fetches > failed_before
            && let Some(why) = view.fetch_problem
        {
            return Err(Unsettled::Fetch(why));
        }
        wait(control, deadline, within).await?;
    }
}

/// Starts the application again, then waits until the new process is ready.
pub(super) async fn restart(control: &mut Control, within: Duration) -> Result<(), Unsettled> {
    let deadline = Instant::now() + within;
    let before = control.reporting.snapshot();
    if before.wanted.is_none() {
        return Err(Unsettled::NotWanted);
    }
    control.supervisor.restart().await;
    loop {
        control.reporting.now();
        if let Some(end) = restarted(&before, &control.reporting.snapshot()) {
            return end;
        }
        wait(control, deadline, within).await?;
    }
}

/// Begins afresh, in the order of a start: the VPN, where it does not run and should (one that
/// runs keeps its tunnels), then the door, then the application, which may read at its load
/// what the VPN has left.
pub(super) async fn reset(
    control: &mut Control,
    part: Option<Part>,
    within: Duration,
) -> Result<(), Unsettled> {
    if part.is_none() {
        control.vpn.try_again().await;
    }
    if part != Some(Part::Application) {
        let reset = control.routes.reset().await;
        reset.map_err(|error| Unsettled::Door(in_one_line(&error)))?;
    }
    if part == Some(Part::Door) {
        return Ok(());
    }
    let stopped_by_hand = control.reporting.snapshot().wanted.is_none();
    if stopped_by_hand {
        start(control, within).await
    } else {
        restart(control, within).await
    }
}

/// Ends the application and waits until it is gone.
pub(super) async fn stop(control: &mut Control, within: Duration) -> Result<(), Unsettled> {
    let deadline = Instant::now() + within;
    if !control.converging.stop().await {
        // Nothing was told to run, so nothing does.
        return Ok(());
    }
    loop {
        control.reporting.now();
        let snapshot = control.reporting.snapshot();
        if snapshot.wanted.is_none() && snapshot.running.is_none() {
            return Ok(());
        }
        wait(control, deadline, within).await?;
    }
}

/// Runs the application that was stopped by hand, and waits until it is ready.
pub(super) async fn start(control: &mut Control, within: Duration) -> Result<(), Unsettled> {
    let deadline = Instant::now() + within;
    let before = control.reporting.snapshot();
    if !control.converging.start().await {
        return Err(Unsettled::NotWanted);
    }
    loop {
        control.reporting.now();
        let now = control.reporting.snapshot();
        // What ran already was left alone.
        if now.phase == Phase::Ready {
            return Ok(());
        }
        if now.wanted.is_some()
            && let Some(end) = restarted(&before, &now)
        {
            return end;
        }
        wait(control, deadline, within).await?;
    }
}

/// Whether a restart has ended, and how.
fn restarted(before: &Snapshot, now: &Snapshot) -> Option<Result<(), Unsettled>> {
    let pid = |snapshot: &Snapshot| snapshot.running.as_ref().map(|running| running.pid);
    let crashed = |why: &str| Some(Err(Unsettled::Crashed(why.to_owned())));
    match (now.phase, &now.refused) {
        (Phase::Ready, Some(refused)) if now.refused != before.refused => crashed(&refused.reason),
        (Phase::Ready, _) if pid(now) != pid(before) => Some(Ok(())),
        // The old process serves on; the new one is tried again.
        (Phase::Booting, _) if now.problem.is_some() && now.problem != before.problem => {
            crashed(now.problem.as_deref().unwrap_or_default())
        }
        (Phase::Backoff, _) if now.restarts > before.restarts && !now.on_trial => {
            crashed(now.problem.as_deref().unwrap_or_default())
        }
        (Phase::Stopped, _) if now.wanted.is_none() => Some(Err(Unsettled::NotWanted)),
        (Phase::Stopped, Some(refused)) => crashed(&refused.reason),
        _ => None,
    }
}

async fn wait(control: &mut Control, deadline: Instant, within: Duration) -> Result<(), Unsettled> {
    match timeout_at(deadline, control.reporting.changed()).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Unsettled::Ending),
        Err(_) => Err(too_slow(control, within)),
    }
}

fn too_slow(control: &mut Control, within: Duration) -> Unsettled {
    Unsettled::TooSlow {
        within,
        doing: control.reporting.now().phase.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::Target;
    use lockgate_model::{AppSettings, BuildId, Refusal, Running};

    #[test]
    fn a_restart_that_ends_in_a_refusal_says_so() {
        let build = BuildId::parse("0123456789ab").unwrap();
        let wanted = Target {
            build: build.clone(),
            release: "/releases/0123456789ab".into(),
            settings: AppSettings::default(),
            seq: 1,
            restart: 0,
        };
        let before = Snapshot {
            phase: Phase::Stopped,
            wanted: Some(wanted),
            refused: Some(Refusal {
                unavailable_ms: None,
                build: build.clone(),
                seq: 1,
                reason: "threw".to_owned(),
                log: Vec::new(),
            }),
            ..Snapshot::initial()
        };
        let threw = |end| matches!(end, Some(Err(Unsettled::Crashed(why))) if why == "threw");
        // There is no other one: nothing will come of it.
        assert!(threw(restarted(&before, &before)));
        // It was refused meanwhile, and the good one runs.
        let rolled_back = Snapshot {
            phase: Phase::Ready,
            running: Some(Running {
                build,
                pid: 7,
                since: 0,
            }),
            ..before.clone()
        };
        let on_trial = Snapshot {
            refused: None,
            ..before.clone()
        };
        assert!(threw(restarted(&on_trial, &rolled_back)));
        // It had been refused before, and the good one is what was started again.
        assert!(matches!(restarted(&before, &rolled_back), Some(Ok(()))));
    }
}
