//! The parts of the log together.

mod following;
mod reading;
mod restarts;
mod writing;

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{LogError, ReadOptions, read};

/// A reader that passes on what it reads.
struct Out(Sender<String>);

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let sent = self.0.send(text);
        sent.map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log that is being followed by a thread.
struct Follower {
    lines: Receiver<String>,
    seen: String,
    thread: JoinHandle<Result<(), LogError>>,
}

impl Follower {
    fn start(options: ReadOptions) -> Self {
        let (out, lines) = channel();
        let thread = std::thread::spawn(move || read(&options, &mut Out(out), None));
        Self {
            lines,
            seen: String::new(),
            thread,
        }
    }

    /// Waits until this was read; gives all that was.
    fn until(&mut self, text: &str) -> &str {
        let mut looked = 0;
        while !self
            .seen
            .get(looked..)
            .is_some_and(|new| new.contains(text))
        {
            looked = self
                .seen
                .floor_char_boundary(self.seen.len().saturating_sub(text.len()));
            let more = self.lines.recv_timeout(Duration::from_secs(20));
            self.seen += &more.unwrap_or_else(|_| panic!("no `{text}` after\n{}", self.seen));
        }
        &self.seen
    }
}
