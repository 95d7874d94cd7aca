//! The agent's end of the channel to a process that it starts.
//!
//! ```text
//!   process ── at its gate, listening, drained ──▶ agent
//!           ◀── go, drain ────────────────────────
//!           ◀── is it ready? ───────────────────── (private socket)
//! ```
//!
//! The preload at the other end says one JSON object a line. It holds the process at
//! its first `listen` until it reads the one byte that means go; anything else, the
//! end of the channel included, ends the process. A program that is not Node never
//! says anything.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lockgate_model::Act;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// The byte that opens the gate.
const GO: u8 = b'G';

/// A longer line is no message: the preload tells half as much about what was done.
const LONGEST_MESSAGE: u64 = 1024 * 1024;

/// What the process says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum Message {
    /// It is held; before, it did this.
    Gate {
        /// What it did.
        seen: Vec<Act>,
        /// What it was about to listen on: `port 8888`.
        at: String,
    },
    /// A server listens on the first socket.
    Listening {
        /// What it speaks.
        speaks: Speaks,
    },
    /// It has heard that it is to drain, and still accepts.
    Lingering,
    /// It accepts nothing more.
    Draining,
    /// Nothing is left in flight.
    Drained {
        /// Requests that were cut.
        cut: u64,
        /// WebSockets that were closed.
        websockets: u64,
    },
}

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Speaks {
    /// HTTP/1.1, also behind TLS.
    Http,
    /// HTTP/2 only.
    Http2,
    /// Anything else.
    Raw,
}

/// What the process is told after its gate.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Order {
    Drain {
        linger_ms: u64,
        drain_ms: u64,
        code: u16,
    },
}

/// WebSocket close codes (RFC 6455 and the IANA registry).
const SERVICE_RESTART: u16 = 1012;
const GOING_AWAY: u16 = 1001;

/// The descriptors that the process gets.
#[derive(Debug)]
pub(crate) struct Handover {
    /// Its end of the channel.
    pub(crate) channel: OwnedFd,
    /// Where it is asked whether it is ready.
    pub(crate) private: OwnedFd,
}

/// The agent's end. When it is dropped, a process that is held ends.
#[derive(Debug)]
pub(crate) struct Gate {
    orders: OwnedWriteHalf,
    private: Private,
}

/// A listening socket in the file system, for as long as its process lives.
#[derive(Debug)]
struct Private {
    /// By way of the open folder: the length of a socket's path is limited.
    path: PathBuf,
    _folder: Arc<File>,
}

impl Drop for Private {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Reads what the process says.
#[derive(Debug)]
pub(crate) struct Messages {
    lines: BufReader<OwnedReadHalf>,
}

impl Gate {
    /// Makes a channel, and the private socket `app-NUMBER.sock` in this folder.
    pub(crate) fn new(folder: &Path, number: u64) -> io::Result<(Self, Messages, Handover)> {
        let private = Private::new(folder, number)?;
        let listener = UnixListener::bind(&private.path)?;
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (messages, orders) = tokio::net::UnixStream::from_std(ours)?.into_split();
        let gate = Self { orders, private };
        let messages = Messages {
            lines: BufReader::new(messages),
        };
        let handover = Handover {
            channel: theirs.into(),
            private: listener.into(),
        };
        Ok((gate, messages, handover))
    }

    /// Where the process is asked whether it is ready.
    pub(crate) fn private(&self) -> &Path {
        &self.private.path
    }

    /// Lets the process pass.
    pub(crate) fn open(&self) -> io::Result<()> {
        self.write(&[GO])
    }

    /// Asks the process to finish what it serves. `comes_back`: another process will
    /// take new connections.
    pub(crate) fn drain(
        &self,
        linger: Duration,
        limit: Duration,
        comes_back: bool,
    ) -> io::Result<()> {
        let order = Order::Drain {
            linger_ms: millis(linger),
            drain_ms: millis(limit),
            code: if comes_back {
                SERVICE_RESTART
            } else {
                GOING_AWAY
            },
        };
        let mut line = serde_json::to_vec(&order)?;
        line.push(b'\n');
        self.write(&line)
    }

    /// The channel holds far more than is ever said; one that is full has no reader.
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let count = self.orders.try_write(bytes)?;
        if count == bytes.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }
}

impl Private {
    fn new(folder: &Path, number: u64) -> io::Result<Self> {
        let folder = Arc::new(File::open(folder)?);
        let name = format!("app-{number}.sock");
        let path = PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()));
        // An agent that was killed has left its own behind.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        Ok(Self {
            path,
            _folder: folder,
        })
    }
}

impl Messages {
    /// The next message; `None` at the channel's end, or when something else than a
    /// message comes.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        let mut line = Vec::new();
        let mut limited = (&mut self.lines).take(LONGEST_MESSAGE);
        let read = limited.read_until(b'\n', &mut line).await;
        if !matches!(read, Ok(1..)) || line.last() != Some(&b'\n') {
            return None;
        }
        serde_json::from_slice(&line)
            .inspect_err(|error| tracing::warn!(%error, "the preload says what is not understood"))
            .ok()
    }
}

/// Whole milliseconds that a timer of Node can count: a day at most.
fn millis(time: Duration) -> u64 {
    let time = time.min(Duration::from_hours(24));
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::ActKind;
    use std::io::{Read as _, Write as _};

    #[tokio::test]
    async fn both_ends_understand_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let (gate, mut messages, handover) = Gate::new(folder.path(), 7).unwrap();
        let mut theirs = UnixStream::from(handover.channel);
        theirs
            .write_all(
                b"{\"type\":\"gate\",\"seen\":[{\"kind\":\"read\",\"what\":\"/a\"}],\"at\":\"port 1\"}\n\
                  {\"type\":\"listening\",\"port\":1,\"speaks\":\"http2\"}\n{\"type\":\"draining\"}\n\
                  {\"type\":\"drained\",\"cut\":1,\"websockets\":2}\nno message\n",
            )
            .unwrap();
        let seen = vec![Act {
            kind: ActKind::Read,
            what: "/a".to_owned(),
        }];
        let at = "port 1".to_owned();
        assert_eq!(messages.next().await, Some(Message::Gate { seen, at }));
        let speaks = Speaks::Http2;
        assert_eq!(messages.next().await, Some(Message::Listening { speaks }));
        assert_eq!(messages.next().await, Some(Message::Draining));
        let (cut, websockets) = (1, 2);
        assert_eq!(
            messages.next().await,
            Some(Message::Drained { cut, websockets })
        );
        assert_eq!(messages.next().await, None);
        gate.open().unwrap();
        gate.drain(Duration::from_secs(1), Duration::from_millis(5), false)
            .unwrap();
        drop((gate, messages));
        let mut said = String::new();
        theirs.read_to_string(&mut said).unwrap();
        assert_eq!(
            said,
            "G{\"type\":\"drain\",\"linger_ms\":1000,\"drain_ms\":5,\"code\":1001}\n"
        );
    }

    #[tokio::test]
    async fn the_private_socket_is_reached_by_its_path_and_goes_with_the_gate() {
        let long = tempfile::tempdir().unwrap();
        let folder = long.path().join("d".repeat(200));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("app-7.sock"), "left behind").unwrap();
        let (gate, _messages, handover) = Gate::new(&folder, 7).unwrap();
        let listener = UnixListener::from(handover.private);
        let _connected = UnixStream::connect(gate.private()).unwrap();
        listener.accept().unwrap();
        drop(gate);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }
}
