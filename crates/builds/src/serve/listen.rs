//! One listener: accepts within bounds, serves each connection, drains at the end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::patience::{Patient, Stage};
use super::{BuildServer, Reach, ServeError};

/// Connections of one listener. Further ones wait in the kernel's queue.
const CONNECTIONS: usize = 512;
/// The largest head of a request: 16 KiB.
const HEAD_BYTES: usize = 16 << 10;
/// How long a stopping server waits for answers that are under way.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);
/// Before accepting is tried again after the system refused, such as for want of
/// descriptors: long enough that a connection may end meanwhile.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What every connection of a listener needs.
#[derive(Clone)]
struct House {
    server: Arc<BuildServer>,
    reach: Reach,
    stop: CancellationToken,
}

/// Serves until the token is cancelled. Returns the address that was served.
pub(super) async fn listen(
    server: Arc<BuildServer>,
    listener: TcpListener,
    reach: Reach,
    stop: CancellationToken,
) -> Result<SocketAddr, ServeError> {
    let address = listener.local_addr().map_err(ServeError::Listener)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let house = House {
        server,
        reach,
        stop,
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = house.stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            (stream, peer, place) = accept(&listener, &places, address) => {
                let house = house.clone();
                connections.spawn(async move {
                    converse(&house, stream, peer).await;
                    drop(place);
                });
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(DRAIN_WITHIN, drained).await.is_err() {
        tracing::warn!(%address, left = connections.len(), "answers were cut: they took too long to end");
        connections.shutdown().await;
    }
    Ok(address)
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    address: SocketAddr,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
            Err(error) => {
                tracing::warn!(%address, %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

async fn converse(house: &House, stream: TcpStream, peer: SocketAddr) {
    // Without it a small answer's last packet may wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let stage = Stage::default();
    let stream = TokioIo::new(Patient::new(stream, stage.clone()));
    let service = service_fn(|request| {
        let (house, stage) = (house.clone(), stage.clone());
        async move {
            let House {
                server,
                reach,
                stop,
            } = house;
            let answer = server.answer(reach, peer, stage, &stop, request).await;
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_header_size(HEAD_BYTES)
        .serve_connection(stream, service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = house.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}
