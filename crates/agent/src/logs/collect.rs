//! Reads a process's pipes line by line and remembers the last lines.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use lockgate_model::LogStream;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Log;
use super::line::now;

/// How many lines of each start are remembered.
const REMEMBERED: usize = 100;

/// A longer line is written as several.
const LONGEST_LINE: usize = 16 * 1024;

/// How much is read at once: what a pipe holds.
const CHUNK: usize = 64 * 1024;

/// How often a pipe that is given up is read: as much as it can be made to hold.
const LAST_CHUNKS: usize = 16;

type Last = Arc<Mutex<VecDeque<String>>>;

/// The readers of one process.
#[derive(Debug)]
pub(crate) struct Collector {
    last: Last,
    readers: JoinSet<()>,
    enough: CancellationToken,
}

impl Collector {
    /// Reads both pipes until their other ends are closed.
    pub(crate) fn start(stdout: OwnedFd, stderr: OwnedFd, log: &Log) -> io::Result<Self> {
        let last = Last::default();
        let enough = CancellationToken::new();
        let mut readers = JoinSet::new();
        for (pipe, stream) in [(stdout, LogStream::Out), (stderr, LogStream::Err)] {
            let reader = Reader {
                pipe: pipe::Receiver::from_owned_fd(pipe)?,
                stream,
                lines: Lines::default(),
                log: log.clone(),
                last: Arc::clone(&last),
            };
            readers.spawn(reader.read(enough.clone()));
        }
        Ok(Self {
            last,
            readers,
            enough,
        })
    }

    /// Waits until everything is read: the process and its children are gone. After a
    /// while takes what is there, for a child that got away holds the pipe open.
    pub(crate) async fn drained(&mut self, patience: Duration) {
        if timeout(patience, all(&mut self.readers)).await.is_err() {
            self.enough.cancel();
            all(&mut self.readers).await;
        }
    }

    /// The last lines, oldest first.
    pub(crate) fn last(&self, count: usize) -> Vec<String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter()
            .skip(last.len().saturating_sub(count))
            .cloned()
            .collect()
    }
}

async fn all(readers: &mut JoinSet<()>) {
    while readers.join_next().await.is_some() {}
}

/// Reads one pipe.
struct Reader {
    pipe: pipe::Receiver,
    stream: LogStream,
    lines: Lines,
    log: Log,
    last: Last,
}

impl Reader {
    async fn read(mut self, enough: CancellationToken) {
        let mut chunk = vec![0; CHUNK];
        // A pipe that cannot be read is as good as closed.
        while let Some(Ok(count @ 1..)) =
            enough.run_until_cancelled(self.pipe.read(&mut chunk)).await
        {
            let at = now();
            for line in self.lines.feed(chunk.get(..count).unwrap_or_default()) {
                if self.say(at, line) {
                    let _ = enough.run_until_cancelled(self.log.room()).await;
                }
            }
        }
        if enough.is_cancelled() {
            self.read_the_rest(&mut chunk);
        }
        if let Some(line) = std::mem::take(&mut self.lines).rest() {
            self.say(now(), line);
        }
    }

    fn read_the_rest(&mut self, chunk: &mut [u8]) {
        for _ in 0..LAST_CHUNKS {
            let Ok(count @ 1..) = self.pipe.try_read(chunk) else {
                break;
            };
            let at = now();
            for line in self.lines.feed(chunk.get(..count).unwrap_or_default()) {
                self.say(at, line);
            }
        }
    }

    /// Whether the log is getting full.
    fn say(&mut self, at: SystemTime, line: String) -> bool {
        let full = self.log.line(at, self.stream, &line);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == REMEMBERED {
            last.pop_front();
        }
        last.push_back(line);
        full
    }
}

/// Cuts bytes into lines.
#[derive(Debug, Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(piece);
            while self.begun.len() > LONGEST_LINE {
                let rest = self.begun.split_off(end_of_char(&self.begun, LONGEST_LINE));
                lines.push(text(&self.begun));
                self.begun = rest;
            }
            if self.begun.ends_with(b"\n") {
                lines.push(text(&self.begun));
                self.begun.clear();
            }
        }
        lines
    }

    fn rest(self) -> Option<String> {
        (!self.begun.is_empty()).then(|| text(&self.begun))
    }
}

/// The last place up to `at` that is not inside of a character.
fn end_of_char(bytes: &[u8], at: usize) -> usize {
    let inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    let ends = (at.saturating_sub(3)..=at).rev();
    ends.into_iter().find(|at| !inside(*at)).unwrap_or(at)
}

fn text(bytes: &[u8]) -> String {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8_lossy(line).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[&[u8]], expected: &[&str]) {
        let mut lines = Lines::default();
        let mut found: Vec<String> = chunks.iter().flat_map(|it| lines.feed(it)).collect();
        found.extend(lines.rest());
        assert_eq!(found, expected);
    }

    #[test]
    fn bytes_are_cut_into_lines() {
        check(&[b"one\ntwo\n"], &["one", "two"]);
        check(&[b"o", b"ne\r\n", b"\nlast"], &["one", "", "last"]);
        check(&["gr\u{fc}n".as_bytes()], &["gr\u{fc}n"]);
        check(&[b"bad \xff byte\n"], &["bad \u{fffd} byte"]);
        let long = "x".repeat(LONGEST_LINE);
        check(&[format!("{long}y\n").as_bytes()], &[&long, "y"]);
        check(&[format!("{long}\ny").as_bytes()], &[&long, "", "y"]);
        let odd = "x".repeat(LONGEST_LINE - 1);
        check(&[format!("{odd}\u{fc}y").as_bytes()], &[&odd, "\u{fc}y"]);
        let broken = [&vec![0x80; LONGEST_LINE + 1][..]];
        let all = "\u{fffd}".repeat(LONGEST_LINE);
        check(&broken, &[&all, "\u{fffd}"]);
    }
}
