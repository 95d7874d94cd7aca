//! One client's connection: TLS where that is asked for, then HTTP/2 or HTTP/1.1.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, UPGRADE};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, rustls};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::attend::{Attendance, Attended};
use super::client::Client;
use super::connection;
use super::forward::Forwarder;
use super::strict::{Strict, Verdict};
use crate::tls::{HTTP_2, Tls};

/// How long a client may take for TLS.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// The largest request head, as large as Node's own limit times four.
const MAX_HEAD_BYTES: u32 = 64 * 1024;

/// How long a client may take to send a head, and may stay idle between two.
const HEAD_WITHIN: Duration = Duration::from_secs(30);

/// How long a connection by HTTP/2 may be silent: nginx's `keepalive_timeout`.
const SILENT_FOR: Duration = Duration::from_secs(75);

/// How long a client that was told to leave may take for that.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// Requests at the same time on a connection by HTTP/2, as in nginx.
const MOST_STREAMS: u32 = 128;

/// Bytes of a body by HTTP/2 that a client may send before they are taken. One mebibyte
/// goes through in two round trips, and that is what a waiting request may hold.
const STREAM_WINDOW: u32 = 512 * 1024;

/// The same for all bodies of a connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Requests that were taken back before they were looked at, after which a client is told
/// to calm down.
const MOST_TAKEN_BACK: usize = 20;

/// Broken streams after which a connection is closed.
const MOST_BROKEN: usize = 128;

/// After how much silence a client by HTTP/2 is asked whether it lives.
const ALIVE_AFTER: Duration = Duration::from_mins(1);

/// How long it may take to say so.
const ALIVE_WITHIN: Duration = Duration::from_secs(20);

/// The TLS side of a door.
#[derive(Clone)]
pub(super) struct Handshake {
    tls: Tls,
    acceptor: TlsAcceptor,
}

impl Handshake {
    pub(super) fn new(tls: Tls) -> Result<Self, rustls::Error> {
        let acceptor = tls.acceptor()?;
        Ok(Self { tls, acceptor })
    }

    /// The secured stream, and what is known of its client. `None` where that failed.
    async fn shake(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Option<(TlsStream<TcpStream>, Client)> {
        let stream = match timeout(HANDSHAKE_WITHIN, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%peer, %error, "no TLS with a client");
                return None;
            }
            Err(_) => {
                tracing::debug!(%peer, "a client takes too long for TLS");
                return None;
            }
        };
        let (_, session) = stream.get_ref();
        let certificate = self.tls.shown(session.server_name()?)?;
        let client = Client {
            peer,
            certificate: Some(certificate),
        };
        Some((stream, client))
    }
}

/// Serves one client's connection until it ends.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    handshake: Option<Handshake>,
    forwarder: Arc<Forwarder>,
    stop: CancellationToken,
) {
    connection::prepare_client(&stream);
    let Some(handshake) = handshake else {
        let client = Client {
            peer,
            certificate: None,
        };
        return by_http_1(stream, client, forwarder, stop).await;
    };
    let shaken = tokio::select! {
        shaken = handshake.shake(stream, peer) => shaken,
        () = stop.cancelled() => None,
    };
    let Some((stream, client)) = shaken else {
        return;
    };
    if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) {
        by_http_2(stream, client, forwarder, stop).await;
    } else {
        by_http_1(stream, client, forwarder, stop).await;
    }
}

async fn by_http_1<S>(stream: S, client: Client, forwarder: Arc<Forwarder>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (peer, cut) = (client.peer, forwarder.cut.clone());
    let client = Arc::new(client);
    let verdict = Verdict::default();
    let stream = Strict::new(stream, verdict.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let (forwarder, client) = (Arc::clone(&forwarder), Arc::clone(&client));
        let verdict = request
            .headers()
            .contains_key(UPGRADE)
            .then(|| verdict.clone());
        async move {
            let answer = forwarder.forward(&client, request).await;
            if let Some(verdict) = verdict {
                verdict.say(answer.status() == StatusCode::SWITCHING_PROTOCOLS);
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let max_head_bytes = MAX_HEAD_BYTES as usize;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_header_size(max_head_bytes)
        .max_buf_size(2 * max_head_bytes);
    let connection = http
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = cut.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "client connection ended early");
    }
}

async fn by_http_2<S>(stream: S, client: Client, forwarder: Arc<Forwarder>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (peer, cut) = (client.peer, forwarder.cut.clone());
    let tasks = Tasks {
        tasks: forwarder.tasks.clone(),
        cut: cut.clone(),
    };
    let attendance = Attendance::default();
    let begins = attendance.clone();
    let client = Arc::new(client);
    let service = service_fn(move |request: Request<Incoming>| {
        let (forwarder, client) = (Arc::clone(&forwarder), Arc::clone(&client));
        let present = begins.begin();
        async move {
            let answer = forwarder.forward(&client, request).await;
            let mut answer: Response<_> = answer.map(|body| Attended::new(body, present));
            // There is no such header in HTTP/2: only the stream ends.
            answer.headers_mut().remove(CONNECTION);
            Ok::<_, Infallible>(answer)
        }
    });
    let mut http = http2::Builder::new(tasks);
    http.timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEAD_BYTES)
        .max_pending_accept_reset_streams(MOST_TAKEN_BACK)
        .max_local_error_reset_streams(MOST_BROKEN)
        .keep_alive_interval(ALIVE_AFTER)
        .keep_alive_timeout(ALIVE_WITHIN);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = cut.cancelled() => return,
            }
        }
        () = leaves(&attendance) => {
            connection.as_mut().graceful_shutdown();
            match timeout(LEAVE_WITHIN, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "client connection ended early");
    }
}

/// Returns when a client is to be told to leave.
async fn leaves(attendance: &Attendance) {
    tokio::select! {
        () = attendance.silent_for(SILENT_FOR) => {}
        () = attendance.most_are_taken_back() => {}
    }
}

/// Has the streams of a connection end with the door's other tasks.
#[derive(Clone)]
struct Tasks {
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl<F> Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                _ = stream => {}
                () = cut.cancelled() => {}
            }
        });
    }
}
