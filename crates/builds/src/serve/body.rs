//! The body of an answer: nothing, bytes in memory, or a stretch of an open file.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::task::JoinHandle;

/// How much is handed to the connection at once: 512 KiB, large enough that the
/// cost of a step vanishes beside copying, small enough for 512 connections.
const CHUNK_BYTES: usize = 512 << 10;

/// What is sent after an answer's head.
#[derive(Debug)]
pub(super) enum Content {
    /// What is left to send, all in memory. Handing on a piece copies nothing.
    Memory(Bytes),
    /// What is left to send of a file that is too large to keep in memory.
    Stretch {
        /// Opened once: a rename under it changes nothing.
        file: Arc<File>,
        /// What is left to read.
        left: Range<u64>,
        /// The read under way. A file is read on a thread that may block.
        reading: Option<JoinHandle<io::Result<Bytes>>>,
    },
}

impl Content {
    pub(super) fn empty() -> Self {
        Self::Memory(Bytes::new())
    }

    pub(super) fn stretch(file: Arc<File>, left: Range<u64>) -> Self {
        Self::Stretch {
            file,
            left,
            reading: None,
        }
    }

    /// How many bytes are left to send.
    pub(super) fn left(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Stretch { left, .. } => left.end - left.start,
        }
    }

    /// The next piece; `None` after the last.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match self {
            Self::Memory(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Memory(bytes) => {
                let size = CHUNK_BYTES.min(bytes.len());
                Poll::Ready(Some(Ok(bytes.split_to(size))))
            }
            Self::Stretch { left, .. } if left.is_empty() => Poll::Ready(None),
            Self::Stretch {
                file,
                left,
                reading,
            } => {
                let task = reading.get_or_insert_with(|| {
                    let (file, left) = (Arc::clone(file), left.clone());
                    tokio::task::spawn_blocking(move || read_piece(&file, left))
                });
                let piece = ready!(Pin::new(task).poll(cx)).map_err(io::Error::other);
                *reading = None;
                let piece = piece.flatten();
                match &piece {
                    Ok(piece) => left.start += piece.len() as u64,
                    Err(_) => left.start = left.end,
                }
                Poll::Ready(Some(piece))
            }
        }
    }
}

/// Reads the beginning of a stretch. A file that became shorter is an error, so that
/// the connection ends and nobody takes the part for the whole.
fn read_piece(file: &File, left: Range<u64>) -> io::Result<Bytes> {
    let size = usize::try_from(left.end - left.start).map_or(CHUNK_BYTES, |s| s.min(CHUNK_BYTES));
    let mut piece = vec![0; size];
    file.read_exact_at(&mut piece, left.start)?;
    Ok(Bytes::from(piece))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::io::Write as _;

    async fn sent(mut content: Content) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(piece) = poll_fn(|cx| content.poll_piece(cx)).await {
            all.extend(piece?);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn a_stretch_of_a_file_is_sent_in_pieces() {
        let mut file = tempfile::tempfile().unwrap();
        let text: Vec<u8> = (0..=250).cycle().take(CHUNK_BYTES * 2 + 5).collect();
        file.write_all(&text).unwrap();
        let end = text.len() as u64;
        let body = Content::stretch(Arc::new(file), 3..end);
        assert_eq!(body.left(), end - 3);
        assert!(sent(body).await.unwrap() == text[3..]);
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_ends_the_answer_with_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"short").unwrap();
        let body = Content::stretch(Arc::new(file), 0..10);
        let error = sent(body).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
