//! The agent's own log, on its way to stderr: a stderr that nobody reads, or a disk
//! behind it that hangs, holds up nobody.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::poll::PollTimeout;
use tracing_subscriber::fmt::MakeWriter;

use super::pipe::{is_writable, pour};
use super::queue::Queue;
use super::writer::lines_are;

/// How much may wait for whoever reads stderr.
const OWN_BYTES: usize = 256 * 1024;

/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How much a pipe takes as a whole.
const PIECE: usize = 4096;

/// Takes the agent's own lines. Cheap to clone.
#[derive(Clone)]
pub(crate) struct OwnLog {
    queue: Arc<Queue>,
}

impl OwnLog {
    /// Writes to stderr from now on.
    pub(crate) fn open() -> io::Result<Self> {
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let queue = Arc::new(Queue::new(OWN_BYTES, missing));
        let taken = Arc::clone(&queue);
        std::thread::Builder::new()
            .name("own-log".to_owned())
            .spawn(move || pour(&taken, &stderr))?;
        Ok(Self { queue })
    }

    /// Waits until everything is written, as long as somebody reads.
    pub(crate) fn flush(&self) {
        self.queue.flush(LAST_WORDS);
    }
}

impl<'a> MakeWriter<'a> for OwnLog {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(&self.queue)
    }
}

/// One event, which comes as whole lines in one piece.
pub(crate) struct Line<'a>(&'a Queue);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn missing(lost: u64, _why: Option<&str>) -> String {
    format!("{} missing here: nobody read them\n", lines_are(lost))
}

/// Writes a line to stderr as the last thing that is done; where nobody reads,
/// nothing is said.
pub(crate) fn say(text: &str) {
    say_to(io::stderr().as_fd(), &format!("{text}\n"));
}

fn say_to(stderr: BorrowedFd<'_>, text: &str) {
    let patience = PollTimeout::try_from(LAST_WORDS).unwrap_or(PollTimeout::ZERO);
    for piece in text.as_bytes().chunks(PIECE) {
        let ready = is_writable(stderr, patience).unwrap_or_default();
        if !ready || nix::unistd::write(stderr, piece).is_err() {
            return;
        }
    }
}
