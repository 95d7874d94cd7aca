//! Whether anything goes on at a connection, and whether it makes sense.
//!
//! HTTP/1.1 has a time for the next head. HTTP/2 has none: its client may open a
//! connection and keep it for ever, and may take back each request once it was begun,
//! which costs it nothing and us a connection to an upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::body::{AnswerBody, BodyError};

/// So many requests may be taken back in any case: whoever leaves a page takes back what
/// it was loading.
const MAY_BE_TAKEN_BACK: u64 = 500;

/// Counts what a connection serves. Clones count the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Attendance {
    tally: Arc<Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    begun: AtomicU64,
    present: AtomicU64,
    taken_back: AtomicU64,
    too_many: Notify,
}

/// Kept as long as a request is being answered, its body too.
#[derive(Debug)]
pub(super) struct Present {
    tally: Arc<Tally>,
    answered: bool,
}

impl Drop for Present {
    fn drop(&mut self) {
        self.tally.present.fetch_sub(1, Ordering::Relaxed);
        if self.answered {
            return;
        }
        let taken_back = self.tally.taken_back.fetch_add(1, Ordering::Relaxed) + 1;
        let begun = self.tally.begun.load(Ordering::Relaxed);
        if taken_back > MAY_BE_TAKEN_BACK && taken_back > begun / 2 {
            self.tally.too_many.notify_one();
        }
    }
}

impl Attendance {
    /// A request begins.
    pub(super) fn begin(&self) -> Present {
        self.tally.begun.fetch_add(1, Ordering::Relaxed);
        self.tally.present.fetch_add(1, Ordering::Relaxed);
        Present {
            tally: Arc::clone(&self.tally),
            answered: false,
        }
    }

    /// Returns when so many requests were taken back before they were answered, and more
    /// than half of all, that this is what they are sent for.
    pub(super) async fn most_are_taken_back(&self) {
        self.tally.too_many.notified().await;
    }

    /// Returns when nothing was asked for and nothing was being answered for this long,
    /// or up to twice as long.
    pub(super) async fn silent_for(&self, longest: Duration) {
        let mut before = self.tally.begun.load(Ordering::Relaxed);
        loop {
            sleep(longest).await;
            let begun = self.tally.begun.load(Ordering::Relaxed);
            let present = self.tally.present.load(Ordering::Relaxed);
            if begun == before && present == 0 {
                return;
            }
            before = begun;
        }
    }
}

/// A body that is being sent.
#[derive(Debug)]
pub(super) struct Attended {
    body: AnswerBody,
    _present: Present,
}

impl Attended {
    pub(super) fn new(body: AnswerBody, mut present: Present) -> Self {
        present.answered = true;
        Self {
            body,
            _present: present,
        }
    }
}

impl Body for Attended {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    const LONGEST: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_silent_when_nothing_is_answered_any_more() {
        let attendance = Attendance::default();
        let present = attendance.begin();
        let long = 5 * LONGEST;
        assert!(timeout(long, attendance.silent_for(LONGEST)).await.is_err());
        drop(present);
        let began = Instant::now();
        attendance.silent_for(LONGEST).await;
        assert_eq!(began.elapsed(), LONGEST);
    }

    #[tokio::test(start_paused = true)]
    async fn short_requests_one_after_the_other_are_no_silence() {
        let attendance = Attendance::default();
        let asking = async {
            for _ in 0..10 {
                sleep(LONGEST / 2).await;
                drop(attendance.begin());
            }
        };
        tokio::select! {
            () = asking => {}
            () = attendance.silent_for(LONGEST) => panic!("requests were made"),
        }
    }

    #[tokio::test]
    async fn who_takes_most_requests_back_is_found_out_and_who_takes_some_is_not() {
        let attendance = Attendance::default();
        let answered = |attendance: &Attendance| {
            drop(Attended::new(AnswerBody::empty(), attendance.begin()));
        };
        for _ in 0..=MAY_BE_TAKEN_BACK {
            answered(&attendance);
            answered(&attendance);
            drop(attendance.begin());
        }
        let moment = Duration::from_millis(10);
        let found_out = timeout(moment, attendance.most_are_taken_back()).await;
        assert!(found_out.is_err());
        for _ in 0..=2 * MAY_BE_TAKEN_BACK {
            drop(attendance.begin());
        }
        let found_out = timeout(LONGEST, attendance.most_are_taken_back()).await;
        assert!(found_out.is_ok());
    }
}
