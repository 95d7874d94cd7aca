//! Carries an answer's body from the network to the thread that unpacks it.
//!
//! A few pieces at most lie between the two, so an archive is never in memory as a
//! whole, and a slow disk slows the network down.

use std::io::{self, Read};

use bytes::{Buf as _, Bytes};
use tokio::sync::mpsc;

/// Pieces on their way at once. hyper reads at most about 400 KB at a time.
const PIECES: usize = 8;

/// What a frame may take beyond its content: far more than its head and checksum.
const ZSTD_FRAME_BYTES: u64 = 64 << 10;
/// The most memory that a frame may ask for: 8 MiB, which every decoder must have
/// (RFC 8878, section 3.1.1.1.2). The server's level needs 2 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How the pieces are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Zstd,
}

enum Piece {
    Data(Bytes),
    /// The body's end, as opposed to a sender that is gone.
    End,
}

/// The network's end.
pub(super) struct Sender(mpsc::Sender<Piece>);

impl Sender {
    /// Passes data on. `false` when nobody wants more.
    pub(super) async fn data(&self, data: Bytes) -> bool {
        self.0.send(Piece::Data(data)).await.is_ok()
    }

    /// Says that this was all.
    pub(super) async fn end(self) {
        // Whoever wants no more needs no end.
        let _ = self.0.send(Piece::End).await;
    }
}

/// The reader's end. Blocks, so it belongs on a thread for that.
pub(super) struct Pieces {
    receiver: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

pub(super) fn channel() -> (Sender, Pieces) {
    let (sender, receiver) = mpsc::channel(PIECES);
    let pieces = Pieces {
        receiver,
        current: Bytes::new(),
        ended: false,
    };
    (Sender(sender), pieces)
}

impl Pieces {
    /// The decoded bytes, of which `expected_bytes` are wanted: what cannot be theirs is
    /// not read, since compressed data can go on for ever and expand to nothing.
    pub(super) fn decode(
        self,
        encoding: Encoding,
        expected_bytes: u64,
    ) -> io::Result<Box<dyn Read>> {
        match encoding {
            Encoding::Identity => Ok(Box::new(self)),
            Encoding::Zstd => {
                let more = expected_bytes / 128 + ZSTD_FRAME_BYTES;
                let most = expected_bytes.saturating_add(more);
                let mut decoder = zstd::Decoder::new(self.take(most))?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Ok(Box::new(decoder))
            }
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Piece::Data(data)) => self.current = data,
                Some(Piece::End) => self.ended = true,
                None => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the download was cut",
                    ));
                }
            }
        }
        let count = buffer.len().min(self.current.len());
        if let Some(target) = buffer.get_mut(..count) {
            self.current.copy_to_slice(target);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: Pieces, encoding: Encoding) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        pieces.decode(encoding, 1000)?.read_to_end(&mut all)?;
        Ok(all)
    }

    async fn check(sent: &[u8], end: bool, encoding: Encoding) -> io::Result<Vec<u8>> {
        let (sender, pieces) = channel();
        let reading = tokio::task::spawn_blocking(move || read(pieces, encoding));
        for piece in sent.chunks(3) {
            sender.data(Bytes::copy_from_slice(piece)).await;
        }
        if end {
            sender.end().await;
        } else {
            drop(sender);
        }
        reading.await.unwrap()
    }

    #[tokio::test]
    async fn what_is_sent_is_read_and_decoded() {
        let text = b"a longer text, sent in many small pieces";
        let plain = check(text, true, Encoding::Identity).await.unwrap();
        assert_eq!(plain, text);
        let packed = zstd::encode_all(&text[..], 3).unwrap();
        let unpacked = check(&packed, true, Encoding::Zstd).await.unwrap();
        assert_eq!(unpacked, text);
        let cut = &packed[..packed.len() - 1];
        assert!(check(cut, true, Encoding::Zstd).await.is_err());
    }

    #[tokio::test]
    async fn a_sender_that_is_gone_is_not_the_end() {
        let error = check(b"text", false, Encoding::Identity).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn compressed_nothing_without_end_is_not_read_for_ever() {
        let (sender, pieces) = channel();
        let reading = tokio::task::spawn_blocking(move || read(pieces, Encoding::Zstd));
        // A frame to be skipped, with 1,000 bytes in it.
        let mut skipped = vec![0x50, 0x2a, 0x4d, 0x18, 0xe8, 3, 0, 0];
        skipped.resize(8 + 1000, 0);
        let skipped = Bytes::from(skipped);
        let mut sent = 0;
        while sent < 10_000 && sender.data(skipped.clone()).await {
            sent += 1;
        }
        assert!(sent < 1000, "{sent}");
        drop(sender);
        reading.await.unwrap().unwrap_err();
    }

    #[tokio::test]
    async fn a_frame_that_wants_much_memory_is_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(25).unwrap();
        io::Write::write_all(&mut encoder, &[0; 500]).unwrap();
        let packed = encoder.finish().unwrap();
        assert!(check(&packed, true, Encoding::Zstd).await.is_err());
    }
}
