//! How long a connection may be silent, and in which state.
//!
//! ```text
//!   accepted ─▶ Head ──request──▶ Busy ──answer sent──▶ Idle
//!               5 s    reads wait as long as the answer   │ 75 s
//!                ▲       takes; a stalled write 30 s      │
//!                └─────────────first byte─────────────────┘
//! ```
//!
//! hyper's own limit for a head also counts the time between two requests, which may
//! be much longer; so the connection's stream keeps the time itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// From the first byte of a request's head to its last: five seconds. Heads of this
/// protocol fit into one packet.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// Between two requests: 75 seconds, as nginx keeps connections.
const IDLE_WITHIN: Duration = Duration::from_secs(75);
/// Without a byte being taken by the peer: thirty seconds.
const WRITE_WITHIN: Duration = Duration::from_secs(30);

/// What a connection is at, and for the how manieth request; shared between its
/// stream and its requests.
#[derive(Debug, Clone, Default)]
pub(super) struct Stage(Arc<AtomicU32>);

const HEAD: u32 = 0;
const BUSY: u32 = 1;
const IDLE: u32 = 2;
/// The low bits say the stage, the others count requests.
const STAGE_BITS: u32 = 0b11;

impl Stage {
    /// A request's head is there.
    pub(super) fn busy(&self) {
        let next = (self.now() | STAGE_BITS).wrapping_add(1);
        self.0.store(next | BUSY, Ordering::Release);
    }

    /// A request's answer is handed over.
    pub(super) fn idle(&self) {
        let same = self.now() & !STAGE_BITS;
        self.0.store(same | IDLE, Ordering::Release);
    }

    fn now(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// A byte came. Between two requests that is the next head's first.
    fn heard(&self) {
        let now = self.now();
        if now & STAGE_BITS == IDLE {
            self.0.store((now & !STAGE_BITS) | HEAD, Ordering::Release);
        }
    }
}

/// A stream whose silence ends it.
#[derive(Debug)]
pub(super) struct Patient<S> {
    stream: S,
    stage: Stage,
    /// What is waited for, and until when.
    reading: Option<(u32, Pin<Box<Sleep>>)>,
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, stage: Stage) -> Self {
        Self {
            stream,
            stage,
            reading: None,
            writing: None,
        }
    }

    /// Waits for the end of patience with a peer that sends nothing.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stage = self.stage.now();
        let within = match stage & STAGE_BITS {
            HEAD => HEAD_WITHIN,
            IDLE => IDLE_WITHIN,
            _ => {
                self.reading = None;
                return Poll::Pending;
            }
        };
        let timer = match self.reading.take() {
            Some((since, timer)) if since == stage => timer,
            _ => Box::pin(tokio::time::sleep(within)),
        };
        let (_, timer) = self.reading.insert((stage, timer));
        while timer.as_mut().poll(cx).is_ready() {
            if self.writing.is_none() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            // The peer still takes the end of an answer: how long that may stall is
            // what the write is judged by.
            timer.as_mut().reset(Instant::now() + within);
        }
        Poll::Pending
    }

    /// Passes on how a write went; one that waits too long fails.
    fn judge_write(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.writing = None;
            return written;
        }
        let timer = self
            .writing
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_WITHIN)));
        timer
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(read) => {
                self.stage.heard();
                Poll::Ready(read)
            }
            Poll::Pending => self.poll_silence(cx),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge_write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.judge_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// How long a stream in this stage waits for a silent peer.
    async fn check(prepare: impl FnOnce(&Stage), expected: Option<Duration>) {
        let (near, _far) = tokio::io::duplex(16);
        let stage = Stage::default();
        prepare(&stage);
        let mut stream = Patient::new(near, stage);
        let start = Instant::now();
        let read = tokio::time::timeout(Duration::from_mins(10), stream.read_u8()).await;
        let waited = read.ok().map(|read| {
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
            start.elapsed()
        });
        let whole = waited.map(|waited| Duration::from_secs(waited.as_secs()));
        assert_eq!(whole, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_left_after_its_stages_time() {
        check(|_| {}, Some(HEAD_WITHIN)).await;
        check(Stage::idle, Some(IDLE_WITHIN)).await;
        check(Stage::busy, None).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_sent_byte_by_byte_gets_no_more_time() {
        let (near, mut far) = tokio::io::duplex(16);
        let stage = Stage::default();
        stage.idle();
        let mut stream = Patient::new(near, stage);
        let start = Instant::now();
        let trickle = tokio::spawn(async move {
            while far.write_u8(b'x').await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let error = loop {
            if let Err(error) = stream.read_u8().await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() <= HEAD_WITHIN + Duration::from_secs(1));
        drop(stream);
        trickle.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn each_head_has_its_own_time() {
        let (near, mut far) = tokio::io::duplex(16);
        let stage = Stage::default();
        let mut stream = Patient::new(near, stage.clone());
        for _ in 0..3 {
            let reading = tokio::spawn(async move {
                let first = stream.read_u8().await;
                (first.and(stream.read_u8().await), stream)
            });
            far.write_u8(b'a').await.unwrap();
            tokio::time::sleep(HEAD_WITHIN * 3 / 4).await;
            far.write_u8(b'b').await.unwrap();
            let (read, back) = reading.await.unwrap();
            assert_eq!(read.unwrap(), b'b');
            stream = back;
            // The next head comes before anybody waited for it.
            stage.busy();
            stage.idle();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_left() {
        let (near, _far) = tokio::io::duplex(16);
        let mut stream = Patient::new(near, Stage::default());
        let start = Instant::now();
        let error = stream.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), WRITE_WITHIN.as_secs());
    }

    /// The end of an answer may take a slow peer longer than an idle connection is kept.
    #[tokio::test(start_paused = true)]
    async fn a_peer_that_still_takes_the_answer_is_not_idle() {
        let (near, mut far) = tokio::io::duplex(1);
        let stage = Stage::default();
        stage.idle();
        let (mut reader, mut writer) = tokio::io::split(Patient::new(near, stage));
        let sent = u8::try_from(IDLE_WITHIN.as_secs() / 10 * 3).unwrap();
        let writing = tokio::spawn(async move {
            writer.write_all(&vec![b'x'; sent.into()]).await?;
            io::Result::Ok(Instant::now())
        });
        let reading = tokio::spawn(async move {
            let read = reader.read_u8().await;
            (read.unwrap_err().kind(), Instant::now())
        });
        for _ in 0..sent {
            tokio::time::sleep(Duration::from_secs(10)).await;
            far.read_u8().await.unwrap();
        }
        let written = writing.await.unwrap().unwrap();
        let (error, ended) = reading.await.unwrap();
        assert_eq!(error, io::ErrorKind::TimedOut);
        assert!(ended > written, "given up while it took the answer");
        let idle = ended - written;
        assert!(idle <= IDLE_WITHIN + Duration::from_secs(1), "{idle:?}");
    }
}
