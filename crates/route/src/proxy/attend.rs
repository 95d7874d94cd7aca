//! Whether anything goes on at a connection, so that a silent one can be closed.
//!
//! HTTP/1.1 has a time for the next head. HTTP/2 has none: its client may open a
//! connection and keep it for ever.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::sleep;

use super::body::{AnswerBody, BodyError};

/// Counts what a connection serves.
#[derive(Debug, Clone, Default)]
pub(super) struct Attendance {
    /// One more reference for each request that is being answered.
    present: Arc<()>,
    begun: Arc<AtomicU64>,
}

/// Kept as long as a request is being answered, its body too.
#[derive(Debug)]
pub(super) struct Present(#[expect(dead_code, reason = "its being there is what counts")] Arc<()>);

impl Attendance {
    /// A request begins.
    pub(super) fn begin(&self) -> Present {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Present(Arc::clone(&self.present))
    }

    /// Returns when nothing was asked for and nothing was being answered for this long,
    /// or up to twice as long.
    pub(super) async fn silent_for(&self, longest: Duration) {
        let mut before = self.begun.load(Ordering::Relaxed);
        loop {
            sleep(longest).await;
            let begun = self.begun.load(Ordering::Relaxed);
            // One reference is its own.
            if begun == before && Arc::strong_count(&self.present) == 1 {
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
    pub(super) fn new(body: AnswerBody, present: Present) -> Self {
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
}
