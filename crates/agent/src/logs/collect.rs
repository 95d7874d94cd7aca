//! Reads a process's pipes line by line and remembers the last lines.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Log, Stream};

/// How many lines of each start are remembered.
const REMEMBERED: usize = 100;

/// A longer line is written as several.
const LONGEST_LINE: usize = 16 * 1024;

/// How much is read at once: what a pipe holds.
const CHUNK: usize = 64 * 1024;

type Last = Arc<Mutex<VecDeque<String>>>;

/// The readers of one process.
#[derive(Debug)]
pub(crate) struct Collector {
    last: Last,
    readers: JoinSet<()>,
}

impl Collector {
    /// Reads both pipes until their other ends are closed.
    pub(crate) fn start(stdout: OwnedFd, stderr: OwnedFd, log: &Log) -> io::Result<Self> {
        let last = Last::default();
        let mut readers = JoinSet::new();
        for (pipe, stream) in [(stdout, Stream::Out), (stderr, Stream::Err)] {
            let pipe = pipe::Receiver::from_owned_fd(pipe)?;
            readers.spawn(collect(pipe, stream, log.clone(), Arc::clone(&last)));
        }
        Ok(Self { last, readers })
    }

    /// Waits until everything is read: the process and its children are gone. Gives
    /// up after a while, for a child that got away holds the pipe open.
    pub(crate) async fn drained(&mut self, patience: Duration) {
        let all = async { while self.readers.join_next().await.is_some() {} };
        // What comes later is not among the last lines.
        let _ = timeout(patience, all).await;
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

async fn collect(mut pipe: pipe::Receiver, stream: Stream, log: Log, last: Last) {
    let mut lines = Lines::default();
    let mut chunk = vec![0; CHUNK];
    // A pipe that cannot be read is as good as closed.
    while let Ok(count @ 1..) = pipe.read(&mut chunk).await {
        let at = now();
        for line in lines.feed(chunk.get(..count).unwrap_or_default()) {
            remember(&last, &line);
            log.line(at, stream, line);
        }
    }
    if let Some(line) = lines.rest() {
        remember(&last, &line);
        log.line(now(), stream, line);
    }
}

fn remember(last: &Last, line: &str) {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    if last.len() == REMEMBERED {
        last.pop_front();
    }
    last.push_back(line.to_owned());
}

#[expect(
    clippy::disallowed_methods,
    reason = "a line's time is when it is read"
)]
fn now() -> SystemTime {
    SystemTime::now()
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
                let rest = self.begun.split_off(LONGEST_LINE);
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
    }
}
