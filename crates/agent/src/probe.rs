//! Asks whether a started application is ready.
//!
//! Node is asked at a unix socket that only the agent knows, by the handler that
//! serves everybody: an answer there does not depend on how many wait at the door.
//! Another command is asked at its first socket. The agent holds that one, so a
//! connection can be made before anybody listens; it waits in the queue and is
//! answered as soon as somebody accepts.

mod ask;
mod queue;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use humantime::format_duration;
use lockgate_model::Readiness;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};

pub(crate) use ask::{AskError, is_well, status};

/// How often the socket's queue is looked at, where accepting is enough.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How often an application is asked whether it still is ready.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Where an application is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Where {
    /// At its first socket, as everybody does: a command that is not Node.
    Public {
        /// Where the socket listens.
        address: SocketAddr,
        /// Its number in `/proc/net/tcp`.
        inode: u64,
    },
    /// At the unix socket that only the agent knows: Node, once it listens.
    Private {
        /// The socket.
        path: PathBuf,
    },
}

/// What is asked, and where.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    /// Where it is asked.
    pub(crate) at: Where,
    /// The port the application believes to listen on, for the `Host` header.
    pub(crate) port: u16,
    /// What counts as ready.
    pub(crate) readiness: Readiness,
    /// Whether it is asked on once it was ready.
    pub(crate) goes_on: bool,
}

/// Why an application is not ready.
#[derive(Debug, thiserror::Error)]
enum NotReady {
    #[error("{}", nothing_listens(*.0))]
    NothingListens(u16),
    #[error("cannot connect to {0}: {1}")]
    Connect(SocketAddr, io::Error),
    #[error("cannot connect to `{0}`: {1}")]
    ConnectPrivate(PathBuf, io::Error),
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("`GET {0}` was not answered within {1}")]
    Late(String, humantime::FormattedDuration),
    #[error("`GET {0}` was answered {1}")]
    BadAnswer(String, http::StatusCode),
    #[error("cannot see how many connections wait for it: {0}")]
    Queue(io::Error),
}

/// Why an application is not ready that does not listen yet.
pub(crate) fn nothing_listens(port: u16) -> String {
    format!("nothing listens on port {port} yet")
}

/// Whether an application is asked at all; else it is ready when it accepts.
pub(crate) fn is_asked(readiness: &Readiness) -> bool {
    readiness.http.is_some() || !readiness.tcp
}

impl Probe {
    /// Returns when the application is ready. Says why it is not, each time that
    /// is something new.
    pub(crate) async fn ready(&self, mut not_ready: impl FnMut(String)) {
        let mut said = String::new();
        let mut say = |why: String| {
            if why != said {
                not_ready(why.clone());
                said = why;
            }
        };
        loop {
            let mut attempt = pin!(self.attempt());
            let asked = tokio::select! {
                biased;
                asked = &mut attempt => asked,
                () = self.unheard() => {
                    say(nothing_listens(self.port));
                    attempt.await
                }
            };
            match asked {
                Ok(()) => return,
                Err(error) => say(error.to_string()),
            }
            sleep(self.readiness.interval).await;
        }
    }

    /// Whether it is asked on once it was ready.
    pub(crate) fn goes_on(&self) -> bool {
        self.goes_on && is_asked(&self.readiness)
    }

    /// Asks an application on that was ready; returns when it is not, and where it was
    /// not the last time (`missed`) also when it is again.
    pub(crate) async fn ask_again(&self, missed: bool) -> Result<(), String> {
        loop {
            sleep(ASK_AGAIN).await;
            match self.attempt().await {
                Ok(()) if missed => return Ok(()),
                Ok(()) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    async fn attempt(&self) -> Result<(), NotReady> {
        if is_asked(&self.readiness) {
            let path = self.readiness.http.as_deref().unwrap_or("/");
            let within = self.readiness.timeout;
            return match timeout(within, self.ask(path)).await {
                Ok(asked) => asked,
                Err(_) if self.waiting().await => Err(NotReady::NothingListens(self.port)),
                Err(_) => Err(NotReady::Late(path.to_owned(), format_duration(within))),
            };
        }
        match &self.at {
            // Only what listens already is asked there.
            Where::Private { .. } => Ok(()),
            Where::Public { address, inode } => {
                let _waiting = connect(*address).await?;
                loop {
                    match queue::length(*address, *inode).await {
                        Ok(0) => return Ok(()),
                        Ok(_) => sleep(LOOK_AGAIN).await,
                        Err(error) => return Err(NotReady::Queue(error)),
                    }
                }
            }
        }
    }

    async fn ask(&self, path: &str) -> Result<(), NotReady> {
        match &self.at {
            Where::Public { address, .. } => self.exchange(connect(*address).await?, path).await,
            Where::Private { path: socket } => {
                let stream = UnixStream::connect(socket)
                    .await
                    .map_err(|error| NotReady::ConnectPrivate(socket.clone(), error))?;
                self.exchange(stream, path).await
            }
        }
    }

    /// One request; done with the head of its answer. The connection ends with it.
    async fn exchange<S>(&self, stream: S, path: &str) -> Result<(), NotReady>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let host = format!("localhost:{}", self.port);
        let status = status(stream, &host, path).await?;
        if is_good(status, self.readiness.http.is_some()) {
            Ok(())
        } else {
            Err(NotReady::BadAnswer(path.to_owned(), status))
        }
    }

    /// Returns when a connection to the application waits longer than an application
    /// takes that accepts; else never.
    async fn unheard(&self) {
        sleep(LOOK_AGAIN).await;
        if !self.waiting().await {
            std::future::pending::<()>().await;
        }
    }

    /// Whether connections wait at the first socket, so that nobody accepts there.
    async fn waiting(&self) -> bool {
        match &self.at {
            Where::Public { address, inode } => {
                let waiting = queue::length(*address, *inode).await;
                waiting.is_ok_and(|waiting| waiting > 0)
            }
            Where::Private { .. } => false,
        }
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, NotReady> {
    TcpStream::connect(address)
        .await
        .map_err(|error| NotReady::Connect(address, error))
}

fn is_good(status: http::StatusCode, path_was_set: bool) -> bool {
    if path_was_set {
        is_well(status)
    } else {
        status.as_u16() < 500
    }
}

#[cfg(test)]
mod tests;
