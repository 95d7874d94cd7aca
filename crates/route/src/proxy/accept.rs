//! The accept loop, its limits, and the end of it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::connection;
use super::forward::Forwarder;

/// Connections served at the same time; more wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 4096;

/// The largest request head, as large as Node's own limit times four.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// How long a client may take to send a head, and may stay idle between two.
const HEAD_WITHIN: Duration = Duration::from_secs(30);

/// How long requests in flight may finish after the stop.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// How long to wait when the process is out of descriptors, until some are closed.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Accepts until `stop`, then drains. The listener is closed before the drain. When
/// decisions change, idle connections that they do not lead to any more are dropped.
pub(super) async fn accept(
    listener: TcpListener,
    forwarder: Arc<Forwarder>,
    stop: &CancellationToken,
) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut changed = forwarder.changed();
    loop {
        let next = async {
            // The semaphore is never closed, so a permit always comes.
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = changed.as_mut() => {
                changed = forwarder.changed();
                forwarder.pool.drop_outdated();
                continue;
            }
            next = next => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = serve(stream, peer, Arc::clone(&forwarder), stop.clone());
                forwarder.tasks.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) if is_of_one_connection(&error) => {
                tracing::debug!(%error, "a client left before it was accepted");
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
    drop(listener);
    drain(&forwarder).await;
}

/// Lets what is in flight finish, then cuts the rest.
async fn drain(forwarder: &Forwarder) {
    forwarder.tasks.close();
    forwarder.pool.close();
    if tokio::time::timeout(DRAIN_WITHIN, forwarder.tasks.wait())
        .await
        .is_err()
    {
        let left = forwarder.tasks.len();
        tracing::warn!(left, "cutting what did not finish in time");
        forwarder.cut.cancel();
        forwarder.tasks.wait().await;
    }
}

/// Errors of `accept` that say nothing about the listener.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

/// Serves one client's connection until it ends.
async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    forwarder: Arc<Forwarder>,
    stop: CancellationToken,
) {
    connection::prepare_client(&stream);
    let cut = forwarder.cut.clone();
    let service = service_fn(move |request| {
        let forwarder = Arc::clone(&forwarder);
        async move { Ok::<_, Infallible>(forwarder.forward(peer, request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_header_size(MAX_HEAD_BYTES)
        .max_buf_size(2 * MAX_HEAD_BYTES);
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
