//! Text on its way to a slow place: many put lines in, one thread takes them out.
//!
//! ```text
//!   push ──▶ text, at most `most` bytes ──take──▶ the thread's own text ──▶ file, pipe
//!    └─ full: counted, and said right behind the text that was there
//! ```
//!
//! Nobody who pushes ever waits. Who would rather wait than lose a line asks for
//! [`room`](Queue::room), and waits only as long as the other side gets on.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// How long a full queue may stand still before nobody waits for it: longer than a
/// busy machine leaves a thread without a turn, shorter than anybody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Memory that a quiet queue keeps.
const QUIET_BYTES: usize = 64 * 1024;

/// How a number of lost lines is told in the place where they are missing.
pub(super) type Confess = fn(lost: u64, why: Option<&str>) -> String;

pub(super) struct Queue {
    state: Mutex<State>,
    /// Something came, or the end.
    filled: Condvar,
    /// What was taken is written.
    emptied: Condvar,
    room: Notify,
    most: usize,
    confess: Confess,
}

#[derive(Default)]
struct State {
    text: String,
    lost: u64,
    /// Why nothing could be written when lines were lost.
    why: Option<String>,
    /// What stands in the way of writing now.
    trouble: Option<String>,
    /// Counts what is written, so that one who waits sees whether it gets on.
    written: u64,
    /// Whether somebody has waited in vain since then.
    stuck: bool,
    /// Whether the thread holds text that is not written yet.
    busy: bool,
    closed: bool,
}

impl Queue {
    pub(super) fn new(most: usize, confess: Confess) -> Self {
        Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            room: Notify::new(),
            most,
            confess,
        }
    }

    /// Puts whole lines in, or counts them as lost. Never waits. Whether half of the
    /// queue is full.
    pub(super) fn push(&self, lines: &str) -> bool {
        let mut guard = self.state();
        let state = &mut *guard;
        if state.text.len() + lines.len() <= self.most {
            state.text.push_str(lines);
        } else {
            state.lost += lines.bytes().filter(|byte| *byte == b'\n').count() as u64;
            state.why.clone_from(&state.trouble);
        }
        let full = state.text.len() > self.most / 2;
        let idle = !state.busy;
        drop(guard);
        if idle {
            self.filled.notify_one();
        }
        full
    }

    /// Waits until half of the queue is free. Gives up at once where writing fails,
    /// and soon where it stands still.
    pub(super) async fn room(&self) {
        loop {
            let more = self.room.notified();
            let before = {
                let state = self.state();
                let free = state.text.len() <= self.most / 2;
                if free || state.stuck || state.trouble.is_some() {
                    return;
                }
                state.written
            };
            if tokio::time::timeout(PATIENCE, more).await.is_err() {
                let mut state = self.state();
                state.stuck = state.written == before;
            }
        }
    }

    /// Waits for text and takes all of it; false at the end. What was taken before
    /// is written by now.
    pub(super) fn take(&self, text: &mut String) -> bool {
        text.clear();
        text.shrink_to(QUIET_BYTES);
        let mut state = self.state();
        state.busy = false;
        self.emptied.notify_all();
        while state.text.is_empty() && state.lost == 0 && !state.closed {
            state = wait(&self.filled, state);
        }
        std::mem::swap(&mut state.text, text);
        if state.lost > 0 {
            let why = state.why.take();
            *text += &(self.confess)(state.lost, why.as_deref());
            state.lost = 0;
        }
        state.busy = !text.is_empty();
        drop(state);
        self.room.notify_waiters();
        !text.is_empty()
    }

    /// Tells those who wait that writing gets on.
    pub(super) fn wrote(&self) {
        let mut state = self.state();
        state.written += 1;
        state.stuck = false;
        state.trouble = None;
        drop(state);
        self.room.notify_waiters();
    }

    /// Tells those who wait that nothing can be written; whether that is news.
    pub(super) fn fails(&self, why: String) -> bool {
        let mut state = self.state();
        let news = state.trouble.is_none();
        state.trouble = Some(why);
        drop(state);
        self.room.notify_waiters();
        news
    }

    /// Waits before something is tried again, or until the end.
    pub(super) fn pause(&self, time: Duration) {
        let state = self.state();
        let open = |state: &mut State| !state.closed;
        drop(self.filled.wait_timeout_while(state, time, open));
    }

    /// Nothing comes any more; what is there is still taken.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// How many lines are lost for good where the thread gives up with this text.
    pub(super) fn left(&self, text: &str) -> u64 {
        let mut state = self.state();
        let lines = |text: &str| text.bytes().filter(|byte| *byte == b'\n').count() as u64;
        let left = lines(text) + lines(&state.text) + state.lost;
        state.text.clear();
        state.lost = 0;
        left
    }

    /// Waits until everything is written, but not for ever.
    pub(super) fn flush(&self, time: Duration) {
        let state = self.state();
        let full = |state: &mut State| state.busy || !state.text.is_empty() || state.lost > 0;
        drop(self.emptied.wait_timeout_while(state, time, full));
    }

    /// The state is whole after every statement that changes it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait<'a>(condition: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    condition
        .wait(state)
        .unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn queue(most: usize) -> Queue {
        Queue::new(most, |lost, why| format!("lost {lost} {why:?}\n"))
    }

    fn taken(queue: &Queue) -> String {
        let mut text = "what was there before".to_owned();
        assert_eq!(queue.take(&mut text), !text.is_empty());
        text
    }

    #[test]
    fn what_is_lost_is_said_in_its_place() {
        let queue = queue(8);
        assert!(!queue.push("one\n"));
        assert!(queue.push("two\n"));
        assert!(queue.push("x\ny\n"));
        assert!(queue.push("z\n"));
        assert_eq!(taken(&queue), "one\ntwo\nlost 3 None\n");
        queue.push("next\n");
        queue.close();
        assert_eq!(taken(&queue), "next\n");
        assert_eq!(taken(&queue), "");
    }

    #[test]
    fn a_loss_is_said_also_when_nothing_comes_any_more() {
        let queue = queue(4);
        queue.push("one\n");
        assert_eq!(taken(&queue), "one\n");
        assert!(queue.fails("full".to_owned()), "this is news");
        assert!(!queue.fails("still full".to_owned()));
        queue.push("two\n");
        queue.push("lost\n");
        queue.wrote();
        assert_eq!(taken(&queue), "two\nlost 1 Some(\"still full\")\n");
        queue.push("longer than all\n");
        assert_eq!(taken(&queue), "lost 1 None\n");
        assert!(queue.fails("full".to_owned()), "this is news again");
        assert_eq!(queue.left("a\nb\n"), 2);
    }

    #[tokio::test]
    async fn room_is_waited_for_as_long_as_it_gets_on() {
        let queue = Arc::new(queue(4));
        queue.push("one\n");
        let waiting = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        assert_eq!(taken(&queue), "one\n");
        waiting.await.unwrap();
        assert!(!queue.state().stuck);
    }

    /// Ends only because nobody waits for what stands still or fails.
    #[tokio::test]
    async fn room_is_not_waited_for_where_nothing_is_written() {
        let queue = queue(4);
        queue.push("one\n");
        queue.room().await;
        assert!(queue.state().stuck);
        queue.wrote();
        assert!(!queue.state().stuck);
        queue.fails("full".to_owned());
        queue.room().await;
        assert!(!queue.state().stuck);
    }
}
