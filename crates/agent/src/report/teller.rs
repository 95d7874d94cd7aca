//! Puts the report to the build server: at every change, and every 30 seconds.

use std::time::Duration;

use lockgate_builds::fetch::put_report;
use lockgate_model::Report;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::compose::Reporting;
use crate::converge::Asker;
use crate::error::in_one_line;

/// At most 20 reports a second: a deploy's phases follow each other faster than
/// anybody reads them.
const APART: Duration = Duration::from_millis(50);
/// So often even when nothing changes, as a sign of life.
const AT_LEAST: Duration = Duration::from_secs(30);
/// After a failure; contact made anew reports at once.
const AFTER_FAILURE: Duration = Duration::from_secs(2);
/// How long a report may take.
const WITHIN: Duration = Duration::from_secs(5);
/// How long the last one may take, when the agent ends.
const LAST_WITHIN: Duration = Duration::from_secs(1);

/// Reports until `stop` is cancelled, then once more. A report that does not arrive
/// harms nobody: the next one says everything again.
pub(crate) async fn tell(mut reporting: Reporting, asker: Asker, stop: CancellationToken) {
    let mut told: Option<(Report, u64)> = None;
    let mut due = Instant::now() + AT_LEAST;
    loop {
        let report = reporting.now();
        let contacts = reporting.view().contacts;
        let news = told
            .as_ref()
            .is_none_or(|(last, at)| *last != report || *at != contacts);
        if news || Instant::now() >= due {
            let arrived = put(&reporting, &asker, &report, WITHIN).await;
            due = Instant::now() + if arrived { AT_LEAST } else { AFTER_FAILURE };
            told = Some((report, contacts));
            tokio::select! {
                () = sleep(APART) => {}
                () = stop.cancelled() => break,
            }
        }
        tokio::select! {
            changed = reporting.changed() => if !changed { break },
            () = sleep_until(due) => {}
            () = stop.cancelled() => break,
        }
    }
    let last = reporting.now();
    if told.is_none_or(|(told, _)| told != last) {
        put(&reporting, &asker, &last, LAST_WITHIN).await;
    }
}

async fn put(reporting: &Reporting, asker: &Asker, report: &Report, within: Duration) -> bool {
    let Some(server) = reporting.view().server.or_else(|| asker.servers.first()) else {
        return false;
    };
    match timeout(within, put_report(&asker.client(server), report)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            debug!(why = in_one_line(&error), "report did not arrive");
            false
        }
        Err(_) => {
            debug!("report did not arrive in time");
            false
        }
    }
}
