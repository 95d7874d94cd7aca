//! A client's connection whose bytes are read strictly before hyper reads them.
//!
//! Where they have two readings, hyper is given what stands nowhere in HTTP, and then the
//! end: it answers with 400 and closes, as for everything it cannot read.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::wire::{Seen, Wire};

/// A byte that stands nowhere in HTTP, and the end of a head: hyper looks at one when it
/// has all of it.
const NOWHERE: &[u8] = b"\0\r\n\r\n";

/// How much is read ahead of a client that asked for an upgrade, to see whether it leaves.
const AHEAD: usize = 4096;

/// The connection.
#[derive(Debug)]
pub(super) struct Strict<S> {
    inner: S,
    wire: Wire,
    verdict: Verdict,
    /// What came behind a request for an upgrade.
    held: Vec<u8>,
    /// What is still to be given in the place of what was refused.
    refused: Option<&'static [u8]>,
}

/// What became of an upgrade, from who answers requests to who reads them.
#[derive(Debug, Clone, Default)]
pub(super) struct Verdict(Arc<Mutex<Said>>);

#[derive(Debug, Default)]
struct Said {
    tunnel: Option<bool>,
    waker: Option<Waker>,
}

impl Verdict {
    /// Says whether it became a tunnel.
    pub(super) fn say(&self, tunnel: bool) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.tunnel = Some(tunnel);
        if let Some(waker) = said.waker.take() {
            waker.wake();
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tunnel) = said.tunnel.take() {
            return Poll::Ready(tunnel);
        }
        said.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<S> Strict<S> {
    pub(super) fn new(inner: S, verdict: Verdict) -> Self {
        Self {
            inner,
            wire: Wire::default(),
            verdict,
            held: Vec::new(),
            refused: None,
        }
    }

    /// Keeps of what was read behind `before` only what may go on.
    fn sift(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let read = buf.filled().get(before..).unwrap_or_default();
        match self.wire.read(read) {
            Seen::All => {}
            Seen::Gate(passed) => {
                let rest = read.get(passed..).unwrap_or_default();
                self.held.splice(0..0, rest.iter().copied());
                buf.set_filled(before + passed);
            }
            Seen::Refused(passed) => {
                buf.set_filled(before + passed);
                self.refuse(NOWHERE, buf);
            }
        }
    }

    fn refuse(&mut self, text: &'static [u8], buf: &mut ReadBuf<'_>) {
        let (now, later) = text.split_at(text.len().min(buf.remaining()));
        buf.put_slice(now);
        self.refused = Some(later);
    }
}

impl<S: AsyncRead + Unpin> Strict<S> {
    /// Reads ahead; ready when the client is gone or the connection broke.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; 512];
        while self.held.len() < AHEAD {
            let mut piece = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut piece))?;
            if piece.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.held.extend_from_slice(piece.filled());
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        if let Some(rest) = me.refused {
            me.refuse(rest, buf);
            return Poll::Ready(Ok(()));
        }
        if me.wire.is_at_gate() {
            match me.verdict.poll(cx) {
                Poll::Ready(tunnel) => me.wire.open_gate(tunnel),
                Poll::Pending => return me.poll_gone(cx),
            }
        }
        let before = buf.filled().len();
        if me.held.is_empty() {
            ready!(Pin::new(&mut me.inner).poll_read(cx, buf))?;
        } else {
            let fits = me.held.len().min(buf.remaining());
            buf.put_slice(me.held.get(..fits).unwrap_or_default());
            me.held.drain(..fits);
        }
        me.sift(buf, before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
