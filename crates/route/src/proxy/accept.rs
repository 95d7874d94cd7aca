//! The accept loop, its limits, and the end of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::forward::Forwarder;
use super::serve::{Handshake, serve};

/// Connections served at the same time; more wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 4096;

/// How long requests in flight may finish after the stop.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// How long to wait when the process is out of descriptors, until some are closed.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Accepts until `stop`, then drains. The listener is closed before the drain. When
/// decisions change, idle connections that they do not lead to any more are dropped.
pub(super) async fn accept(
    listener: TcpListener,
    forwarder: Arc<Forwarder>,
    handshake: Option<Handshake>,
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
            Ok((_, peer)) if !forwarder.lets_in(peer.ip()) => {
                tracing::debug!(%peer, "a client of a VPN gets nothing here");
            }
            Ok((stream, peer)) => {
                let handshake = handshake.clone();
                let connection = serve(
                    stream,
                    peer,
                    handshake,
                    Arc::clone(&forwarder),
                    stop.clone(),
                );
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
