//! Bodies: what goes to an upstream, and what comes back with its connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Empty, Full};
use hyper::body::Incoming;
use tokio::fs::File;
use tokio_util::io::poll_read_buf;

use super::pool::Lease;

/// A request's body on its way to the upstream.
pub(super) type RequestBody = Either<Incoming, Empty<Bytes>>;

/// How much of a file is read at once.
const PIECE: usize = 64 * 1024;

/// An answer's body: the upstream's, streamed, or a page of our own.
#[derive(Debug)]
pub(super) enum AnswerBody {
    /// As it comes from the upstream.
    Upstream(Box<Streamed>),
    /// A file of a site.
    File(Pieces),
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

/// A file, piece by piece.
#[derive(Debug)]
pub(super) struct Pieces {
    file: File,
    left: u64,
}

/// Why a body breaks off.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// The upstream's did.
    #[error("the upstream's answer broke off")]
    Upstream(#[from] hyper::Error),
    /// A file cannot be read to its end.
    #[error("a file cannot be read to its end")]
    File(#[from] io::Error),
}

impl AnswerBody {
    pub(super) fn file(file: std::fs::File, length: u64) -> Self {
        Self::File(Pieces {
            file: File::from_std(file),
            left: length,
        })
    }

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

impl Pieces {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let most = usize::try_from(self.left).map_or(PIECE, |left| left.min(PIECE));
        let mut piece = BytesMut::with_capacity(most);
        let read = ready!(poll_read_buf(Pin::new(&mut self.file), cx, &mut piece));
        // What was promised is its length: of a file that grew, no more is sent.
        piece.truncate(most);
        self.left -= u64::try_from(piece.len()).unwrap_or(self.left);
        Poll::Ready(Some(match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(piece.freeze()),
            Err(error) => Err(error),
        }))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Upstream(streamed) => {
                let frame = Pin::new(&mut streamed.incoming).poll_frame(cx);
                if matches!(frame, Poll::Ready(None)) {
                    streamed.ended = true;
                }
                frame.map_err(BodyError::from)
            }
            Self::File(pieces) => pieces
                .poll_piece(cx)
                .map_ok(Frame::data)
                .map_err(BodyError::from),
            Self::Own(page) => Pin::new(page)
                .poll_frame(cx)
                .map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Upstream(streamed) => streamed.incoming.is_end_stream(),
            Self::File(pieces) => pieces.left == 0,
            Self::Own(page) => page.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Upstream(streamed) => streamed.incoming.size_hint(),
            Self::File(pieces) => SizeHint::with_exact(pieces.left),
            Self::Own(page) => page.size_hint(),
        }
    }
}
