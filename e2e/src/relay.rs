//! A way to the engine that can be closed and opened: to the programs, the engine goes away and comes back.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// A socket that leads to the engine's.
#[derive(Debug)]
pub struct Relay {
    socket: PathBuf,
    engine: PathBuf,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    ends: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<UnixStream>>>,
    accepting: JoinHandle<()>,
}

#[expect(clippy::expect_used, reason = "a test ends by panic")]
impl Relay {
    /// A closed way at `socket` to the engine at `engine`.
    pub(crate) fn new(socket: &Path, engine: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
            engine: engine.to_owned(),
            open: None,
        }
    }

    /// What `DOCKER_HOST` has to be.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// The engine is there.
    pub fn open(&mut self) {
        let listener = UnixListener::bind(&self.socket).expect("a socket");
        let (ends, streams) = (
            Arc::<AtomicBool>::default(),
            Arc::<Mutex<Vec<_>>>::default(),
        );
        let (stop, all, engine) = (ends.clone(), streams.clone(), self.engine.clone());
        let accepting = std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                // An engine that is away for real is none for the client either.
                let _ = connect(client, &engine, &all);
            }
        });
        self.open = Some(Open {
            ends,
            streams,
            accepting,
        });
    }

    /// The engine goes away: its socket, and everything that is under way on it.
    pub fn close(&mut self) {
        let Some(open) = self.open.take() else {
            return;
        };
        open.ends.store(true, Ordering::SeqCst);
        // Wakes who accepts.
        let _ = UnixStream::connect(&self.socket);
        open.accepting.join().expect("the relay ends");
        std::fs::remove_file(&self.socket).expect("the socket is there");
        let streams = open.streams.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in streams.iter() {
            // It may have ended by itself.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.close();
    }
}

fn connect(client: UnixStream, engine: &Path, all: &Mutex<Vec<UnixStream>>) -> io::Result<()> {
    let engine = UnixStream::connect(engine)?;
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.extend([client.try_clone()?, engine.try_clone()?]);
    let pass = |mut from: UnixStream, mut to: UnixStream| {
        std::thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            // The other side hears that this one is done.
            let _ = to.shutdown(std::net::Shutdown::Write);
        });
    };
    pass(client.try_clone()?, engine.try_clone()?);
    pass(engine, client);
    Ok(())
}
