//! Clients that fetch as fast as they can.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::error::BenchError;
use crate::http::Connection;

/// What clients got.
#[derive(Debug, Default)]
pub(super) struct Load {
    bytes: u64,
    lasted: Duration,
    /// How long each fetch took.
    pub(super) times: Vec<Duration>,
}

impl Load {
    /// The rate of all clients together.
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    pub(super) fn bytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.lasted.as_secs_f64()
    }
}

/// Lets `clients` fetch `path` again and again, each on one connection where the server
/// keeps it, for about `lasting`. Only whole fetches count.
pub(super) fn load(
    addr: SocketAddr,
    path: &str,
    clients: usize,
    lasting: Duration,
) -> Result<Load, BenchError> {
    let clock = Stopwatch::start();
    let fetched = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|_| scope.spawn(|| client(addr, path, lasting)))
            .collect();
        clients
            .into_iter()
            .map(|client| {
                client
                    .join()
                    .unwrap_or_else(|_| Err(std::io::Error::other("a client panicked")))
            })
            .collect::<std::io::Result<Vec<_>>>()
    })
    .map_err(BenchError::io("fetch from", Path::new(&addr.to_string())))?;
    let mut load = Load {
        lasted: clock.elapsed(),
        ..Load::default()
    };
    for (bytes, mut times) in fetched {
        load.bytes += bytes;
        load.times.append(&mut times);
    }
    Ok(load)
}

fn client(
    addr: SocketAddr,
    path: &str,
    lasting: Duration,
) -> std::io::Result<(u64, Vec<Duration>)> {
    let clock = Stopwatch::start();
    let mut piece = Vec::new();
    let (mut bytes, mut times) = (0, Vec::new());
    let mut connection = None;
    while clock.elapsed() < lasting {
        let fetch = Stopwatch::start();
        let mut asked = match connection.take() {
            Some(kept) => kept,
            None => Connection::open(addr)?,
        };
        let (size, again) = asked.fetch(path, &mut piece)?;
        bytes += size;
        times.push(fetch.elapsed());
        connection = again.then_some(asked);
    }
    Ok((bytes, times))
}
