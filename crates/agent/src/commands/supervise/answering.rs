//! Whether a service that was ready still answers its check: asked now and then, told of, nothing else.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lockgate_model::{NotAnswering, Phase};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::check::Check;
use crate::supervisor::Snapshot;

/// How often a service is asked that answers.
const EVERY: Duration = Duration::from_secs(10);
/// When it is asked again that has not answered.
const AGAIN: Duration = Duration::from_secs(1);
/// A service that is busy for a moment is not told of: it has missed so many in a row.
const MISSES: u32 = 3;

/// What was heard of one process.
#[derive(Debug, Default)]
struct Heard {
    misses: u32,
    /// The first of them.
    first: Option<NotAnswering>,
}

impl Heard {
    /// Takes in an answer; when to ask again.
    fn take(&mut self, answer: Result<(), String>, now: u64) -> Duration {
        match answer {
            Ok(()) => *self = Self::default(),
            Err(why) => {
                self.misses = self.misses.saturating_add(1);
                self.first.get_or_insert(NotAnswering { since: now, why });
            }
        }
        if self.misses == 0 || self.misses >= MISSES {
            EVERY
        } else {
            AGAIN
        }
    }

    /// Whether it has stopped answering.
    fn silence(&self) -> Option<NotAnswering> {
        self.first.clone().filter(|_| self.misses >= MISSES)
    }
}

/// Asks as long as the service is ready, until its supervisor ends. A service without a check is not
/// asked.
pub(super) async fn ask(
    check: Check,
    mut snapshots: watch::Receiver<Snapshot>,
    told: watch::Sender<Option<NotAnswering>>,
) {
    if !check.asks() {
        // Whoever listens waits for the supervisor then.
        return;
    }
    loop {
        let pid = ready(&snapshots.borrow_and_update());
        if let Some(pid) = pid {
            let past = |snapshot: &Snapshot| ready(snapshot) != Some(pid);
            let past = async { snapshots.wait_for(past).await.is_ok() };
            tokio::select! {
                never = attend(&check, pid, &told) => match never {},
                another = past => if !another { return },
            }
            told.send_replace(None);
        } else if snapshots.changed().await.is_err() {
            return;
        }
    }
}

/// The process, where it is ready.
fn ready(snapshot: &Snapshot) -> Option<u32> {
    let running = snapshot.running.as_ref()?;
    (snapshot.phase == Phase::Ready).then_some(running.pid)
}

/// Asks one process for as long as it is waited for.
async fn attend(
    check: &Check,
    pid: u32,
    told: &watch::Sender<Option<NotAnswering>>,
) -> std::convert::Infallible {
    let (mut heard, mut pause) = (Heard::default(), EVERY);
    loop {
        sleep(pause).await;
        pause = heard.take(check.answers().await, now());
        let silence = heard.silence();
        let changed = told.send_if_modified(|told| {
            let changed = *told != silence;
            told.clone_from(&silence);
            changed
        });
        match silence {
            Some(silence) if changed => warn!(pid, why = silence.why, "does not answer any more"),
            None if changed => info!(pid, "answers again"),
            Some(_) | None => {}
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "since when a service does not answer is told as a moment of the day"
)]
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_silent_after_three_misses_and_since_the_first() {
        let mut heard = Heard::default();
        let mut take = |answer: Result<(), &str>, now| {
            let pause = heard.take(answer.map_err(str::to_owned), now);
            let silence = heard.silence();
            (pause, silence.map(|it| (it.since, it.why)))
        };
        assert_eq!(take(Ok(()), 0), (EVERY, None));
        assert_eq!(take(Err("late"), 1), (AGAIN, None));
        assert_eq!(take(Err("late"), 2), (AGAIN, None));
        let silent = Some((1, "late".to_owned()));
        assert_eq!(take(Err("503"), 3), (EVERY, silent.clone()));
        assert_eq!(take(Err("late"), 13), (EVERY, silent));
        assert_eq!(take(Ok(()), 23), (EVERY, None));
        // A single miss counts from the beginning.
        assert_eq!(take(Err("late"), 33), (AGAIN, None));
        assert_eq!(take(Ok(()), 34), (EVERY, None));
    }
}
