//! Requests that wait for a gateway which is being restarted.
//!
//! What waits is a head and the place where its body will be read: nothing of the body
//! is read before there is somebody to send it to. The number of those that wait is
//! bounded, and so is each one's time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use super::page::Page;
use crate::lookup::Unavailable;

/// How often a door is tried again that refused, where nothing is heard of it.
const KNOCK_EVERY: Duration = Duration::from_millis(100);

/// For how long requests wait, and how many may at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The longest that a request waits, over all its tries.
    pub longest: Duration,
    /// The most requests that wait at the same time.
    pub most: usize,
}

impl Default for Patience {
    /// 30 seconds, as long as a browser's user would; 1,000 requests.
    fn default() -> Self {
        Self {
            longest: Duration::from_secs(30),
            most: 1000,
        }
    }
}

/// Where requests wait. Clones are the same room.
#[derive(Debug, Clone)]
pub(crate) struct WaitingRoom {
    seats: Arc<Semaphore>,
    patience: Patience,
}

impl WaitingRoom {
    pub(crate) fn new(patience: Patience) -> Self {
        let most = patience.most.min(Semaphore::MAX_PERMITS);
        Self {
            seats: Arc::new(Semaphore::new(most)),
            patience,
        }
    }
}

/// One request's waiting.
#[derive(Debug)]
pub(super) struct Wait {
    room: Option<WaitingRoom>,
    seat: Option<OwnedSemaphorePermit>,
    /// Set when it waits for the first time.
    until: Option<Instant>,
}

/// Why a request waits no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// At this door nobody waits.
    NoRoom,
    /// So many others wait already.
    Full(usize),
    /// It waited as long as it may.
    Late(Duration),
}

impl Wait {
    pub(super) fn new(room: Option<&WaitingRoom>) -> Self {
        Self {
            room: room.cloned(),
            seat: None,
            until: None,
        }
    }

    /// Whether there is a room to wait in.
    pub(super) fn may(&self) -> bool {
        self.room.is_some()
    }

    /// Waits until something changes.
    pub(super) async fn for_change<F: Future<Output = ()>>(
        &mut self,
        change: F,
    ) -> Result<(), Over> {
        let Some(room) = &self.room else {
            return Err(Over::NoRoom);
        };
        let patience = room.patience;
        if self.seat.is_none() {
            let seat = Arc::clone(&room.seats).try_acquire_owned();
            self.seat = Some(seat.map_err(|_| Over::Full(patience.most))?);
        }
        let until = *self
            .until
            .get_or_insert_with(|| Instant::now() + patience.longest);
        timeout_at(until, change)
            .await
            .map_err(|_| Over::Late(patience.longest))
    }

    /// Waits until something changes, or for a moment.
    pub(super) async fn for_change_or_a_moment(
        &mut self,
        change: Pin<&mut (dyn Future<Output = ()> + Send)>,
    ) -> Result<(), Over> {
        self.for_change(async {
            tokio::select! {
                () = change => {}
                () = sleep(KNOCK_EVERY) => {}
            }
        })
        .await
    }

    /// Gives the seat to the next one. The time that was waited still counts.
    pub(super) fn ends(&mut self) {
        self.seat = None;
    }
}

impl Over {
    /// The page that says so, and what was waited for.
    pub(super) fn page(self, mut waited_for: Unavailable) -> Page {
        match self {
            Self::NoRoom => {}
            Self::Full(most) => {
                waited_for.why = format!("{}; {most} requests wait for it already", waited_for.why);
            }
            Self::Late(longest) => {
                waited_for.why = format!(
                    "{}; this request waited for {} s",
                    waited_for.why,
                    longest.as_secs_f64()
                );
            }
        }
        Page::unavailable(waited_for)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn room(seconds: u64, most: usize) -> WaitingRoom {
        WaitingRoom::new(Patience {
            longest: Duration::from_secs(seconds),
            most,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_all_waits_together_is_bounded() {
        let room = room(30, 1);
        let mut wait = Wait::new(Some(&room));
        let began = Instant::now();
        assert_eq!(
            wait.for_change(sleep(Duration::from_secs(20))).await,
            Ok(())
        );
        wait.ends();
        let longest = Duration::from_secs(30);
        assert_eq!(wait.for_change(pending()).await, Err(Over::Late(longest)));
        assert_eq!(began.elapsed(), longest);
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_those_who_wait_is_bounded_and_a_seat_comes_back() {
        let room = room(30, 1);
        let mut first = Wait::new(Some(&room));
        let mut second = Wait::new(Some(&room));
        assert_eq!(first.for_change(ready(())).await, Ok(()));
        assert_eq!(second.for_change(ready(())).await, Err(Over::Full(1)));
        first.ends();
        assert_eq!(second.for_change(ready(())).await, Ok(()));
        drop(second);
        assert_eq!(first.for_change(ready(())).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_hears_nothing_tries_again_after_a_moment() {
        let mut wait = Wait::new(Some(&room(30, 1)));
        let mut never = Box::pin(pending());
        let began = Instant::now();
        let waited = wait.for_change_or_a_moment(never.as_mut()).await;
        assert_eq!((waited, began.elapsed()), (Ok(()), KNOCK_EVERY));
        let mut at_once = Box::pin(ready(()));
        assert_eq!(wait.for_change_or_a_moment(at_once.as_mut()).await, Ok(()));
        assert_eq!(began.elapsed(), KNOCK_EVERY);
    }

    #[tokio::test]
    async fn where_there_is_no_room_nobody_waits() {
        let mut wait = Wait::new(None);
        assert!(!wait.may());
        assert_eq!(wait.for_change(ready(())).await, Err(Over::NoRoom));
    }
}
