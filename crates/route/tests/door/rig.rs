//! A door, upstreams whose every byte a test decides, and a raw client.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lockgate_model::{BuildId, GatewayName};
use lockgate_route::{Decision, EmbeddedProxy, Lookup, Unavailable, Upstream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes on a loaded machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Waits for what must happen.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(SOON, future)
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen in {SOON:?}"))
}

pub(crate) fn to(addr: SocketAddr) -> Decision {
    built(addr, "0123456789ab")
}

pub(crate) fn built(addr: SocketAddr, build: &str) -> Decision {
    living(addr, build, 0)
}

pub(crate) fn living(addr: SocketAddr, build: &str, epoch: u64) -> Decision {
    Decision::To(Upstream {
        addr,
        epoch,
        leaves: false,
        gateway: Some(GatewayName::parse("gw-pool-dev-001-0").unwrap()),
        build: Some(BuildId::parse(build).unwrap()),
    })
}

pub(crate) fn stopped(why: &str) -> Decision {
    Decision::Unavailable(Unavailable {
        gateway: Some(GatewayName::parse("gw-pool-dev-001-0").unwrap()),
        build: None,
        why: why.to_owned(),
        retry_after: Duration::from_secs(3),
    })
}

/// An open door on a free port.
pub(crate) struct Door {
    pub(crate) addr: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<()>,
}

impl Door {
    pub(crate) async fn open(lookup: Lookup) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let proxy = EmbeddedProxy::new(lookup).serve(listener, stop.clone());
        let served = tokio::spawn(async move { proxy.await.unwrap() });
        Self { addr, stop, served }
    }

    pub(crate) async fn to(addr: SocketAddr) -> Self {
        Self::open(Lookup::fixed(to(addr))).await
    }

    pub(crate) async fn client(&self) -> Peer {
        Peer::new(TcpStream::connect(self.addr).await.unwrap())
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, method: &str, path: &str) -> Message {
        let mut client = self.client().await;
        client.ask(method, path).await;
        client.message().await
    }
}

/// An upstream that hands each connection to `serve`, with its number from 0.
pub(crate) struct Application {
    pub(crate) addr: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
}

impl Application {
    pub(crate) async fn start<F, S>(serve: S) -> Self
    where
        S: Fn(Peer, usize) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start_at("127.0.0.1", serve).await
    }

    async fn start_at<F, S>(ip: &str, serve: S) -> Self
    where
        S: Fn(Peer, usize) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(Peer::new(stream), number));
            }
        });
        Self { addr, connections }
    }

    /// Answers every request on every connection with what `answer` makes of its head.
    pub(crate) async fn answering(answer: fn(&str) -> String) -> Self {
        Self::answering_at("127.0.0.1", answer).await
    }

    /// As [`answering`](Self::answering), at another address of this machine.
    pub(crate) async fn answering_at(ip: &str, answer: fn(&str) -> String) -> Self {
        Self::start_at(ip, move |mut peer, _| async move {
            while let Some(head) = peer.head().await {
                peer.send(&answer(&head)).await;
            }
        })
        .await
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A whole answer with this body.
pub(crate) fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A connection, secured or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// One side of a connection, byte for byte.
pub(crate) struct Peer {
    pub(crate) stream: Box<dyn Stream>,
    /// Whom it asks for, as a client.
    pub(crate) host: String,
    buffer: Vec<u8>,
}

/// A head and the body that its `content-length` or chunks delimit.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Message {
    pub(crate) fn status(&self) -> u16 {
        self.head[9..12].parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

impl Peer {
    pub(crate) fn new(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            host: "door.test".to_owned(),
            buffer: Vec::new(),
        }
    }

    pub(crate) async fn ask(&mut self, method: &str, path: &str) {
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n\r\n",
            self.host
        ))
        .await;
    }

    pub(crate) async fn send(&mut self, text: &str) {
        // A peer that is gone shows in what is read next.
        let _ = self.stream.write_all(text.as_bytes()).await;
    }

    /// Reads more; false at the end or when the connection broke.
    async fn more(&mut self) -> bool {
        let read = soon("reading", self.stream.read_buf(&mut self.buffer)).await;
        read.is_ok_and(|bytes| bytes > 0)
    }

    fn take(&mut self, bytes: usize) -> String {
        let taken: Vec<u8> = self.buffer.drain(..bytes).collect();
        String::from_utf8(taken).unwrap()
    }

    /// What came with what was read last and was not asked for yet.
    pub(crate) fn early(&mut self) -> String {
        self.take(self.buffer.len())
    }

    /// Everything up to and with `mark`; `None` when the connection ends before.
    pub(crate) async fn until(&mut self, mark: &str) -> Option<String> {
        loop {
            let found = self
                .buffer
                .windows(mark.len())
                .position(|window| window == mark.as_bytes());
            if let Some(at) = found {
                return Some(self.take(at + mark.len()));
            }
            if !self.more().await {
                return None;
            }
        }
    }

    pub(crate) async fn head(&mut self) -> Option<String> {
        self.until("\r\n\r\n").await
    }

    pub(crate) async fn exactly(&mut self, bytes: usize) -> String {
        while self.buffer.len() < bytes {
            assert!(self.more().await, "the connection ended too early");
        }
        self.take(bytes)
    }

    pub(crate) async fn message(&mut self) -> Message {
        let head = self.head().await.expect("an answer's head");
        let mut body = String::new();
        if let Some(length) = header(&head, "content-length") {
            body = self.exactly(length.parse().unwrap()).await;
        } else if header(&head, "transfer-encoding").is_some() {
            while let Some(chunk) = self.chunk().await {
                body.push_str(&chunk);
            }
        }
        Message { head, body }
    }

    /// The next chunk of a chunked body; `None` after the last.
    pub(crate) async fn chunk(&mut self) -> Option<String> {
        let size = self.until("\r\n").await.expect("a chunk's size");
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let chunk = self.exactly(size).await;
        assert_eq!(self.exactly(2).await, "\r\n");
        (size > 0).then_some(chunk)
    }

    /// What comes until the connection ends, in whatever way.
    pub(crate) async fn rest(&mut self) -> String {
        while self.more().await {}
        self.early()
    }

    /// Returns when the other side has ended the connection.
    pub(crate) async fn ended(&mut self) {
        self.rest().await;
    }
}
