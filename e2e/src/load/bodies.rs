//! What is sent in requests: made once, with the digest that the answer must name.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use sha2::{Digest as _, Sha256};

use super::random::Random;
use super::speaks::Speaks;
use tokio::time::{Sleep, sleep};

/// The largest body, just below what applications take by default.
const MOST_BYTES: u64 = 1_000_000;

/// In how many pieces a body is sent that is long in being sent.
const PIECES: u32 = 8;

/// How many different bodies there are.
const BODIES: u64 = 48;

/// A body, and what proves that it arrived.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) bytes: Bytes,
    pub(super) sha256: String,
}

/// All bodies, of sizes from one byte to the largest.
#[derive(Debug)]
pub(super) struct Bodies(Vec<Body>);

impl Bodies {
    pub(super) fn new(speaks: Speaks, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let sizes = (0..BODIES).map(|number| size(number, &mut random));
        let bodies = sizes.collect::<Vec<_>>().into_iter().map(|size| {
            let bytes = Bytes::from(speaks.body(&letters(size, &mut random)));
            let sha256 = hex(&Sha256::digest(&bytes));
            Body { bytes, sha256 }
        });
        Self(bodies.collect())
    }

    /// The body that a number chooses.
    pub(super) fn choose(&self, number: u64) -> Option<&Body> {
        let index = number.checked_rem(self.0.len() as u64)?;
        self.0.get(usize::try_from(index).ok()?)
    }
}

/// A body on its way: at once, or in pieces with pauses before them.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pieces: VecDeque<Bytes>,
    pause: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Sent {
    /// All of it at once.
    pub(super) fn at_once(bytes: Bytes) -> Self {
        Self {
            pieces: [bytes].into(),
            ..Self::default()
        }
    }

    /// Spread over this time.
    pub(super) fn spread(mut bytes: Bytes, over: Duration) -> Self {
        let size = bytes.len().div_ceil(PIECES as usize).max(1);
        let mut pieces = VecDeque::new();
        while !bytes.is_empty() {
            pieces.push_back(bytes.split_to(size.min(bytes.len())));
        }
        Self {
            pieces,
            pause: over / PIECES,
            waiting: None,
        }
    }
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.pieces.is_empty() {
            return Poll::Ready(None);
        }
        if !self.pause.is_zero() {
            let pause = self.pause;
            let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(pause)));
            ready!(waiting.as_mut().poll(cx));
            self.waiting = None;
        }
        let piece = self.pieces.pop_front();
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let left: usize = self.pieces.iter().map(Bytes::len).sum();
        SizeHint::with_exact(left as u64)
    }
}

/// A size: as many small bodies as large ones, each twice as large as the one before, or
/// somewhere in between.
fn size(number: u64, random: &mut Random) -> u64 {
    let doublings = u32::try_from(number % 20).unwrap_or(0);
    let least = 1_u64 << doublings;
    (least + random.below(least)).min(MOST_BYTES)
}

/// So many letters and digits.
fn letters(size: u64, random: &mut Random) -> String {
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    let letter = |_| {
        let index = usize::try_from(random.below(64)).unwrap_or(0);
        char::from(LETTERS.get(index).copied().unwrap_or(b'a'))
    };
    (0..size).map(letter).collect()
}

/// Bytes as they are written.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_small_and_large_and_never_too_large() {
        let bodies = Bodies::new(Speaks::LoadApplication, 1).0;
        let sizes: Vec<_> = bodies.iter().map(|it| it.bytes.len()).collect();
        assert!(sizes.iter().any(|size| *size < 10), "{sizes:?}");
        assert!(sizes.iter().any(|size| *size > 500_000), "{sizes:?}");
        assert!(sizes.iter().all(|size| *size as u64 <= MOST_BYTES));
    }

    #[test]
    fn a_body_that_is_spread_has_the_same_bytes() {
        let bytes = Bytes::from_static(b"0123456789");
        let sent = Sent::spread(bytes.clone(), Duration::from_secs(1));
        assert_eq!(sent.size_hint().exact(), Some(10));
        assert_eq!(sent.pieces.len(), 5);
        assert_eq!(
            sent.pieces.iter().flatten().copied().collect::<Bytes>(),
            bytes
        );
        assert!(Sent::spread(Bytes::new(), Duration::ZERO).is_end_stream());
    }

    #[test]
    fn a_digest_is_written_as_everybody_writes_it() {
        assert_eq!(
            hex(&Sha256::digest("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
