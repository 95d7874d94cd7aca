//! The access log: one line a request, written when its answer is handed over.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::{Frame, SizeHint};
use lockgate_model::GatewayName;
use tokio::time::Instant;

use super::body::Content;
use super::patience::Stage;

/// What is noted of a path, at most, in bytes. Longer paths name nothing anyway.
const PATH_BYTES: usize = 256;

/// One request, from its head to the end of its answer. Dropping it writes the line,
/// so a request whose client left is noted too. Never notes a token.
#[derive(Debug)]
pub(super) struct Visit {
    peer: SocketAddr,
    method: Method,
    path: String,
    since: Instant,
    stage: Stage,
    /// The gateway whose token was shown.
    pub(super) gateway: Option<GatewayName>,
    /// `None` while there is no answer.
    pub(super) status: Option<StatusCode>,
    sent_bytes: u64,
}

impl Visit {
    pub(super) fn begin(peer: SocketAddr, method: &Method, path: &str, stage: Stage) -> Self {
        stage.busy();
        Self {
            peer,
            method: method.clone(),
            // The parser of URIs lets only visible ASCII through.
            path: path.chars().take(PATH_BYTES).collect(),
            since: Instant::now(),
            stage,
            gateway: None,
            status: None,
            sent_bytes: 0,
        }
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.stage.idle();
        tracing::info!(
            target: "access",
            peer = %self.peer,
            method = %self.method,
            path = self.path,
            status = self.status.map(|status| status.as_u16()),
            bytes = self.sent_bytes,
            ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            gateway = self.gateway.as_ref().map(tracing::field::display),
            "{}",
            if self.status.is_some() { "answered" } else { "client left" },
        );
    }
}

/// An answer's body that notes what was handed over.
#[derive(Debug)]
pub(super) struct Noted {
    content: Content,
    visit: Visit,
}

impl Noted {
    pub(super) fn new(content: Content, visit: Visit) -> Self {
        Self { content, visit }
    }
}

impl http_body::Body for Noted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = ready!(self.content.poll_piece(cx));
        if let Some(Ok(piece)) = &piece {
            self.visit.sent_bytes += piece.len() as u64;
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.content.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.left())
    }
}
