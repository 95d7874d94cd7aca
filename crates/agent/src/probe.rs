//! Asks whether a started application is ready.
//!
//! The agent holds the listening socket, so a connection can be made before the
//! application listens; it waits in the queue and is answered as soon as somebody
//! accepts. Nothing is polled to see an application become ready.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use lockgate_model::Readiness;
use tokio::net::TcpStream;
use tokio::time::sleep;

/// The pause before an application that gave a bad answer is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// How often the socket's queue is looked at, where accepting is enough.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What is asked, and where.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    /// Where the application's first socket listens.
    pub(crate) address: SocketAddr,
    /// The port the application believes to listen on, for the `Host` header.
    pub(crate) port: u16,
    /// The socket's number in `/proc/net/tcp`.
    pub(crate) inode: u64,
    /// What counts as ready.
    pub(crate) readiness: Readiness,
}

/// Why an application is not ready.
#[derive(Debug, thiserror::Error)]
enum NotReady {
    #[error("cannot connect to {0}: {1}")]
    Connect(SocketAddr, io::Error),
    #[error("`GET {0}` was not answered: {1}")]
    NoAnswer(String, hyper::Error),
    #[error("`GET {0}` was answered {1}")]
    BadAnswer(String, http::StatusCode),
    #[error("`{0}` is not a path: {1}")]
    Path(String, http::Error),
    #[error("cannot read /proc/net/tcp: {0}")]
    Queue(io::Error),
}

impl Probe {
    /// Returns when the application is ready. Says why it is not, each time that
    /// is something new.
    pub(crate) async fn ready(&self, mut not_ready: impl FnMut(String)) {
        let mut said = String::new();
        loop {
            let asked = if self.readiness.tcp && self.readiness.http.is_none() {
                self.accepted().await
            } else {
                self.ask().await
            };
            let Err(error) = asked else {
                return;
            };
            let why = error.to_string();
            if why != said {
                not_ready(why.clone());
                said = why;
            }
            sleep(ASK_AGAIN).await;
        }
    }

    async fn connect(&self) -> Result<TcpStream, NotReady> {
        TcpStream::connect(self.address)
            .await
            .map_err(|error| NotReady::Connect(self.address, error))
    }

    async fn ask(&self) -> Result<(), NotReady> {
        let path = self.readiness.http.as_deref().unwrap_or("/");
        let request = http::Request::get(path)
            .header("host", format!("localhost:{}", self.port))
            .header("user-agent", "lockgate-agent")
            .header("connection", "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| NotReady::Path(path.to_owned(), error))?;
        let stream = self.connect().await?;
        let no_answer = |error| NotReady::NoAnswer(path.to_owned(), error);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(no_answer)?;
        let mut exchange = pin!(sender.send_request(request));
        let answer = tokio::select! {
            biased;
            answer = &mut exchange => answer,
            // An answer that came last thing on the connection is there already.
            ended = connection => match ended {
                Ok(()) => exchange.await,
                Err(error) => Err(error),
            },
        };
        let status = answer.map_err(no_answer)?.status();
        if is_good(status, self.readiness.http.is_some()) {
            Ok(())
        } else {
            Err(NotReady::BadAnswer(path.to_owned(), status))
        }
    }

    /// Connects and waits until the queue is empty: somebody has accepted.
    async fn accepted(&self) -> Result<(), NotReady> {
        let _waiting = self.connect().await?;
        let table = match self.address {
            SocketAddr::V4(_) => "/proc/net/tcp",
            SocketAddr::V6(_) => "/proc/net/tcp6",
        };
        loop {
            let text = tokio::fs::read_to_string(table)
                .await
                .map_err(NotReady::Queue)?;
            if queue_length(&text, self.inode) == Some(0) {
                return Ok(());
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

fn is_good(status: http::StatusCode, path_was_set: bool) -> bool {
    if path_was_set {
        status.is_success() || status.is_redirection()
    } else {
        status.as_u16() < 500
    }
}

/// How many connections wait at a listening socket: `rx_queue` of its line.
fn queue_length(table: &str, inode: u64) -> Option<u64> {
    const LISTENING: &str = "0A";
    table.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let state = fields.nth(3)?;
        let queues = fields.next()?;
        let number = fields.nth(4)?;
        if state != LISTENING || number.parse() != Ok(inode) {
            return None;
        }
        let (_, waiting) = queues.split_once(':')?;
        u64::from_str_radix(waiting, 16).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::Sockets;
    use http::StatusCode;
    use lockgate_model::AppSocket;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use tokio::time::timeout;

    #[test]
    fn a_set_path_is_asked_for_more() {
        for (status, default, set) in [
            (StatusCode::OK, true, true),
            (StatusCode::FOUND, true, true),
            (StatusCode::NOT_FOUND, true, false),
            (StatusCode::SERVICE_UNAVAILABLE, false, false),
        ] {
            assert_eq!(is_good(status, false), default, "{status}");
            assert_eq!(is_good(status, true), set, "{status}");
        }
    }

    #[test]
    fn the_queue_of_a_listening_socket_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:22B8 00000000:0000 0A 00000000:00000002 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0\n";
        assert_eq!(queue_length(table, 4711), Some(2));
        assert_eq!(queue_length(table, 4712), None);
    }

    fn probe(address: SocketAddr, inode: u64, tcp: bool) -> Probe {
        Probe {
            address,
            port: 8888,
            inode,
            readiness: Readiness {
                tcp,
                ..Readiness::default()
            },
        }
    }

    #[tokio::test]
    async fn a_bad_answer_is_said_and_a_good_one_ends_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            for answer in ["503 Busy", "200 OK"] {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 1024]).unwrap();
                write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n").unwrap();
            }
        });
        let mut said = Vec::new();
        probe(address, 0, false).ready(|why| said.push(why)).await;
        assert_eq!(said, ["`GET /` was answered 503 Service Unavailable"]);
        server.join().unwrap();
    }

    #[tokio::test]
    async fn accepting_is_enough_where_nothing_is_asked() {
        let mut sockets = Sockets::default();
        let any = Some("127.0.0.1:0".parse().unwrap());
        sockets.hold(&[AppSocket { port: 1 }], any).unwrap();
        let held = sockets.first().unwrap();
        let probe = probe(held.address, held.inode().unwrap(), true);
        let early = timeout(Duration::from_millis(100), probe.ready(|_| {})).await;
        assert!(early.is_err(), "ready before anybody accepted");
        let listener = TcpListener::from(sockets.duplicates().unwrap().remove(0));
        let accepting = std::thread::spawn(move || {
            let first = listener.accept().unwrap();
            let second = listener.accept().unwrap();
            (first, second)
        });
        probe.ready(|_| {}).await;
        accepting.join().unwrap();
    }
}
