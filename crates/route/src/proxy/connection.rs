//! Connections: options of a client's, and opening one to an upstream.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::RequestBody;

/// Seconds of silence before the kernel asks whether a peer still lives.
const KEEPALIVE_IDLE_SECS: u32 = 60;
/// Seconds between two such questions.
const KEEPALIVE_INTERVAL_SECS: u32 = 15;
/// Unanswered questions after which the peer is gone.
const KEEPALIVE_PROBES: u32 = 4;

/// Milliseconds for which a client may take nothing of what is sent to it, as in nginx.
const STALL_MS: u32 = 60_000;

/// The largest piece that is read from an upstream at once.
const MAX_READ_BYTES: usize = 256 * 1024;

/// Why an upstream did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpstreamError {
    /// Nobody listens, or the host cannot be reached.
    #[error("cannot connect to {addr}")]
    Connect {
        /// The upstream.
        addr: SocketAddr,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The connection ended, or what came is not HTTP.
    #[error("no answer from {addr}")]
    Exchange {
        /// The upstream.
        addr: SocketAddr,
        /// What happened on the connection.
        #[source]
        source: hyper::Error,
    },
}

impl UpstreamError {
    /// Whether nobody took the connection, so that nothing was sent.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Connect { .. })
    }

    /// Whether it was the request's own body that broke off or was not well-formed.
    pub(super) fn is_of_the_request(&self) -> bool {
        match self {
            Self::Connect { .. } => false,
            Self::Exchange { source, .. } => {
                let cause = source.source();
                let body = cause.and_then(|cause| cause.downcast_ref::<hyper::Error>());
                source.is_user() && body.is_some()
            }
        }
    }

    /// Whether the connection ended before an answer began, so that the request may
    /// never have been seen. What is not HTTP was an answer.
    pub(super) fn is_early_end(&self) -> bool {
        match self {
            Self::Connect { .. } => false,
            Self::Exchange { source, .. } => !source.is_parse() && !source.is_user(),
        }
    }

    /// The error with its causes, in one line for people.
    pub(super) fn sentence(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// Sets what an accepted connection needs: no delay, and an end when the peer is
/// gone or takes nothing any more.
pub(super) fn prepare_client(stream: &TcpStream) {
    let set = stream.set_nodelay(true).and_then(|()| {
        setsockopt(stream, sockopt::KeepAlive, &true)?;
        setsockopt(stream, sockopt::TcpKeepIdle, &KEEPALIVE_IDLE_SECS)?;
        setsockopt(stream, sockopt::TcpKeepInterval, &KEEPALIVE_INTERVAL_SECS)?;
        setsockopt(stream, sockopt::TcpKeepCount, &KEEPALIVE_PROBES)?;
        setsockopt(stream, sockopt::TcpUserTimeout, &STALL_MS)?;
        Ok(())
    });
    if let Err(error) = set {
        // The peer may be gone already; the next read says so.
        tracing::debug!(%error, "cannot set options of a client connection");
    }
}

/// A connection to an upstream that takes requests.
#[derive(Debug)]
pub(super) struct Sender {
    requests: SendRequest<RequestBody>,
    /// Cancelled once the connection's task has ended.
    ended: CancellationToken,
}

impl Sender {
    /// Whether it takes a request at once.
    pub(super) fn is_ready(&self) -> bool {
        self.requests.is_ready() && !self.requests.is_closed()
    }

    /// Whether it takes none any more.
    pub(super) fn is_closed(&self) -> bool {
        self.requests.is_closed()
    }

    /// Waits until it takes a request; whether it does.
    pub(super) async fn becomes_ready(&mut self) -> bool {
        self.requests.ready().await.is_ok()
    }
}

/// Opens a connection to an upstream. Its own task belongs to `tasks` and ends by `cut`.
///
/// There is no timeout: a socket that is held while its application restarts takes
/// the connection at once, and the answer comes when the application does.
pub(super) async fn open(
    addr: SocketAddr,
    tasks: &TaskTracker,
    cut: &CancellationToken,
) -> Result<Sender, UpstreamError> {
    let connect_error = |source| UpstreamError::Connect { addr, source };
    let stream = TcpStream::connect(addr).await.map_err(connect_error)?;
    stream.set_nodelay(true).map_err(connect_error)?;
    let (requests, connection) = http1::Builder::new()
        .max_buf_size(MAX_READ_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|source| UpstreamError::Exchange { addr, source })?;
    let cut = cut.clone();
    let ended = CancellationToken::new();
    let ends = ended.clone().drop_guard();
    tasks.spawn(async move {
        // Dropped after the connection and all that waits for it.
        let _ends = ends;
        tokio::select! {
            ended = connection.with_upgrades() => {
                if let Err(error) = ended {
                    tracing::debug!(%addr, %error, "upstream connection ended early");
                }
            }
            () = cut.cancelled() => {}
        }
    });
    Ok(Sender { requests, ended })
}

/// One request and its answer, with the connection where that still lives. Where it failed before anything was sent, the
/// request comes back with the reason.
///
/// A request that is handed over in the moment in which the connection ends may stay between the
/// two: whoever has ended looks no more, and what lies there goes back only when both ends are
/// gone. So this end goes, too, as soon as the other one is known to be.
pub(super) async fn exchange(
    sender: Sender,
    request: Request<RequestBody>,
) -> Result<(Response<Incoming>, Option<Sender>), (hyper::Error, Option<Request<RequestBody>>)> {
    let Sender {
        mut requests,
        ended,
    } = sender;
    let mut answering = pin!(requests.try_send_request(request));
    let (answered, requests) = tokio::select! {
        biased;
        answered = answering.as_mut() => (answered, Some(requests)),
        () = ended.cancelled() => {
            drop(requests);
            (answering.await, None)
        }
    };
    let sender = requests.map(|requests| Sender { requests, ended });
    match answered {
        Ok(response) => Ok((response, sender)),
        Err(mut failed) => {
            let unsent = failed.take_message();
            Err((failed.into_error(), unsent))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Either, Empty};
    use tokio::io::{AsyncReadExt as _, duplex};

    fn request() -> Request<RequestBody> {
        let body = Either::Right(Empty::new());
        let request = Request::post("/order").header("host", "a").body(body);
        request.unwrap()
    }

    fn sender(requests: SendRequest<RequestBody>) -> Sender {
        Sender {
            requests,
            ended: CancellationToken::new(),
        }
    }

    #[tokio::test]
    async fn a_request_comes_back_whose_connection_ended_before_it() {
        let (ours, theirs) = duplex(1024);
        let (requests, connection) = http1::handshake(TokioIo::new(ours)).await.unwrap();
        drop(theirs);
        let sent = exchange(sender(requests), request());
        let (sent, _) = tokio::join!(sent, connection);
        let (_, unsent) = sent.unwrap_err();
        assert_eq!(unsent.unwrap().uri(), "/order");
    }

    #[tokio::test]
    async fn a_request_that_was_read_does_not_come_back() {
        let (ours, mut theirs) = duplex(1024);
        let (requests, connection) = http1::handshake(TokioIo::new(ours)).await.unwrap();
        let reading = async move { theirs.read(&mut [0; 1024]).await.unwrap() };
        let sent = exchange(sender(requests), request());
        let (sent, _, read) = tokio::join!(sent, connection, reading);
        assert!(read > 0);
        let (error, unsent) = sent.unwrap_err();
        assert!(unsent.is_none());
        assert!(error.is_incomplete_message(), "{error}");
    }
}
