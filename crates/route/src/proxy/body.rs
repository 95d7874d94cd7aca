//! Bodies: what goes to an upstream, and what comes back with its connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Empty, Full};
use hyper::body::Incoming;

use super::pool::Lease;

/// A request's body on its way to the upstream.
pub(super) type RequestBody = Either<Incoming, Empty<Bytes>>;

/// An answer's body: the upstream's, streamed, or a page of our own.
#[derive(Debug)]
pub(super) enum AnswerBody {
    /// As it comes from the upstream.
    Upstream(Box<Streamed>),
    /// A page of our own, or nothing.
    Own(Full<Bytes>),
}

/// An upstream's body, and the connection it comes from.
///
/// When the body was read to its end the connection goes back to the pool. When it is
/// dropped before, the connection is closed: nobody is left to read the rest.
#[derive(Debug)]
pub(super) struct Streamed {
    incoming: Incoming,
    ended: bool,
    lease: Option<Lease>,
}

impl AnswerBody {
    pub(super) fn streamed(incoming: Incoming, lease: Option<Lease>) -> Self {
        Self::Upstream(Box::new(Streamed {
            incoming,
            ended: false,
            lease,
        }))
    }

    pub(super) fn empty() -> Self {
        Self::Own(Full::default())
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        if (self.ended || self.incoming.is_end_stream())
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Upstream(streamed) => {
                let frame = Pin::new(&mut streamed.incoming).poll_frame(cx);
                if matches!(frame, Poll::Ready(None)) {
                    streamed.ended = true;
                }
                frame
            }
            Self::Own(page) => Pin::new(page)
                .poll_frame(cx)
                .map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Upstream(streamed) => streamed.incoming.is_end_stream(),
            Self::Own(page) => page.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Upstream(streamed) => streamed.incoming.size_hint(),
            Self::Own(page) => page.size_hint(),
        }
    }
}
