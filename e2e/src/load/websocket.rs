//! A WebSocket that is kept open: says something about once a second, and comes back
//! when it is sent away.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::frames::{CLOSE, FrameError, PING, PONG, TEXT, decode, encode};
use super::loss::Kind;
use super::random::Random;
use super::speaks::Speaks;
use super::way::Stream;

/// How often something is said.
const SAY_EVERY: Duration = Duration::from_secs(1);

/// How long opening may take, and an echo.
const WITHIN: Duration = Duration::from_secs(30);

/// How long the server may take to end a connection after both have said goodbye.
const END_WITHIN: Duration = Duration::from_secs(2);

/// The pause after an attempt to open that failed.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Why a WebSocket did not open, or ended without a goodbye.
struct Broken {
    kind: Kind,
    said: String,
}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        Self {
            kind: Kind::of_io(&error),
            said: error.to_string(),
        }
    }
}

impl From<FrameError> for Broken {
    fn from(error: FrameError) -> Self {
        Self::wrong(error.to_string())
    }
}

impl Broken {
    fn wrong(said: String) -> Self {
        Self {
            kind: Kind::Wrong,
            said,
        }
    }

    fn end() -> Self {
        Self {
            kind: Kind::Reset,
            said: "the connection ended without a close frame".to_owned(),
        }
    }

    fn late(what: &str) -> Self {
        Self {
            kind: Kind::Late,
            said: format!("no {what} within {} s", WITHIN.as_secs()),
        }
    }
}

/// How a WebSocket ended in good order.
enum Goodbye {
    /// The server said it, with this code.
    Theirs(u16),
    /// The client was told to be silent.
    Ours,
}

/// Opens a WebSocket again and again, until `silence`.
pub(super) async fn keep_open(shared: Arc<Shared>, number: usize, silence: CancellationToken) {
    let mut random = Random::new(number as u64);
    // Not all at once, neither in opening nor in talking.
    let mut wait = Duration::from_millis(random.below(1000));
    loop {
        tokio::select! {
            () = sleep(wait) => {}
            () = silence.cancelled() => return,
        }
        wait = Duration::ZERO;
        let opened = tokio::select! {
            opened = timeout(WITHIN, open(&shared)) => opened,
            () = silence.cancelled() => return,
        };
        let mut websocket = match opened.unwrap_or_else(|_| Err(Broken::late("WebSocket"))) {
            Ok(websocket) => websocket,
            Err(Broken { kind, said }) => {
                let at = shared.started.elapsed();
                shared.outcome().websockets.not_opened(at, kind, said);
                wait = AGAIN_AFTER;
                continue;
            }
        };
        shared.outcome().websockets.opened();
        let ended = websocket.talk(&shared, &mut random, &silence).await;
        let at = shared.started.elapsed();
        match ended {
            Ok(Goodbye::Theirs(code)) => {
                shared.outcome().websockets.closed(at, code);
                websocket.end().await;
            }
            Ok(Goodbye::Ours) => {
                websocket.end().await;
                return;
            }
            Err(Broken { kind, said }) => shared.outcome().websockets.broken(at, kind, said),
        }
    }
}

/// An open WebSocket.
struct WebSocket {
    stream: Box<dyn Stream>,
    arrived: Vec<u8>,
}

/// Connects and asks for the upgrade. That the answer's `Sec-WebSocket-Accept` fits is
/// not looked at: no cache stands in between.
async fn open(shared: &Shared) -> Result<WebSocket, Broken> {
    let mut stream = shared.way.stream().await?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        Speaks::WEBSOCKET,
        shared.way.host()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut websocket = WebSocket {
        stream,
        arrived: Vec::new(),
    };
    let head = loop {
        let end = websocket
            .arrived
            .windows(4)
            .position(|at| at == b"\r\n\r\n");
        if let Some(end) = end {
            break websocket.arrived.drain(..end + 4).collect::<Vec<_>>();
        }
        websocket.read().await?;
    };
    let head = String::from_utf8_lossy(&head).into_owned();
    let line = head.lines().next().unwrap_or_default();
    match line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
    {
        Some(101_u16) => Ok(websocket),
        Some(status) => Err(Broken {
            kind: Kind::Status(status),
            said: head,
        }),
        None => Err(Broken::wrong(head)),
    }
}

impl WebSocket {
    /// Says something once a second and waits for its echo, until one side says goodbye.
    async fn talk(
        &mut self,
        shared: &Shared,
        random: &mut Random,
        silence: &CancellationToken,
    ) -> Result<Goodbye, Broken> {
        let first = Duration::from_millis(random.below(1000));
        let mut due = interval_at(Instant::now() + first, SAY_EVERY);
        let mut said: Option<(String, Instant)> = None;
        loop {
            while let Some(frame) = decode(&mut self.arrived)? {
                match (frame.opcode, said.take()) {
                    (CLOSE, _) => {
                        let code = frame.payload.get(..2).unwrap_or_default();
                        self.send(CLOSE, code).await.ok();
                        return Ok(Goodbye::Theirs(frame.close_code()));
                    }
                    (TEXT, Some((text, _))) if text.as_bytes() == frame.payload => {
                        shared.outcome().websockets.echoes += 1;
                    }
                    (PING, waiting) => {
                        said = waiting;
                        self.send(PONG, &frame.payload).await?;
                    }
                    (opcode, _) => {
                        return Err(Broken::wrong(format!("a frame with opcode {opcode}")));
                    }
                }
            }
            tokio::select! {
                read = self.read() => read?,
                _ = due.tick() => match &said {
                    None => {
                        let text = format!("{:x}", random.next());
                        self.send(TEXT, text.as_bytes()).await?;
                        said = Some((text, Instant::now()));
                    }
                    Some((_, at)) if at.elapsed() > WITHIN => return Err(Broken::late("echo")),
                    Some(_) => {}
                },
                () = silence.cancelled() => {
                    self.send(CLOSE, &1000_u16.to_be_bytes()).await.ok();
                    return Ok(Goodbye::Ours);
                }
            }
        }
    }

    /// Reads what there is.
    async fn read(&mut self) -> Result<(), Broken> {
        match self.stream.read_buf(&mut self.arrived).await? {
            0 => Err(Broken::end()),
            _ => Ok(()),
        }
    }

    /// Writes a frame. That the mask is always the same harms nobody here.
    async fn send(&mut self, opcode: u8, payload: &[u8]) -> Result<(), Broken> {
        let frame = encode(opcode, payload, [0x37, 0xfa, 0x21, 0x3d]);
        Ok(self.stream.write_all(&frame).await?)
    }

    /// Waits until the server has ended the connection, as it should after a goodbye.
    async fn end(mut self) {
        let ended = async { while self.read().await.is_ok() {} };
        // Both have said goodbye: how the connection ends is of no weight.
        let _ = timeout(END_WITHIN, ended).await;
    }
}
