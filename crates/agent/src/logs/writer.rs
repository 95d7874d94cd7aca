//! The log as those see it who have something to say: they never wait for a disk, nor
//! for whoever reads the agent's stdout.
//!
//! Each place has a thread and a bounded queue of its own. What does not fit is lost
//! and counted, and the count is written in its place as soon as there is room.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lockgate_model::LogStream;
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::file::LogFile;
use super::line;
use super::pipe::pour;
use super::queue::Queue;

/// How much may wait to be written; the thread may hold as much again.
const QUEUE_BYTES: usize = 2 * 1024 * 1024;

/// How much may wait for whoever reads the agent's stdout.
const COPY_BYTES: usize = 512 * 1024;

/// How soon a write that failed is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// Where the log goes.
#[derive(Debug, Clone)]
pub(crate) struct WriterOptions {
    /// The file.
    pub(crate) file: PathBuf,
    /// Whether lines are also copied to the agent's stdout.
    pub(crate) copy_to_stdout: bool,
    /// The most bytes of one file.
    pub(crate) rotate_bytes: u64,
    /// How many files put aside are kept.
    pub(crate) keep: u32,
}

/// Takes lines. Cheap to clone; the log ends when all are gone.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    queues: Arc<Queues>,
}

struct Queues {
    file: Arc<Queue>,
    copy: Option<Arc<Queue>>,
}

impl Log {
    /// Opens the log. The second half resolves (to an error, which means nothing)
    /// when the last `Log` is dropped and everything is written. A file that cannot
    /// be opened is no error: it is tried again, and meanwhile the application runs.
    pub(crate) fn open(options: WriterOptions) -> io::Result<(Self, oneshot::Receiver<()>)> {
        let copy = if options.copy_to_stdout {
            Some(io::stdout().as_fd().try_clone_to_owned()?)
        } else {
            None
        };
        Self::start(options, QUEUE_BYTES, copy)
    }

    pub(super) fn start(
        options: WriterOptions,
        bytes: usize,
        copy: Option<OwnedFd>,
    ) -> io::Result<(Self, oneshot::Receiver<()>)> {
        let (done, written) = oneshot::channel();
        let done = Arc::new(done);
        let thread = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let done = Arc::clone(&done);
            let work = move || {
                work();
                drop(done);
            };
            let thread = std::thread::Builder::new().name(name.to_owned());
            thread.spawn(work).map(drop)
        };

        let file = Arc::new(Queue::new(bytes, missing_in_file));
        let queue = Arc::clone(&file);
        let log = LogFile::new(options.file, options.rotate_bytes, options.keep);
        thread("log", Box::new(move || keep(log, &queue)))?;

        let copy = match copy {
            None => None,
            Some(pipe) => {
                let queue = Arc::new(Queue::new(COPY_BYTES, missing_in_copy));
                let copy = Arc::clone(&queue);
                let pipe = File::from(pipe);
                thread("log-copy", Box::new(move || pour(&queue, &pipe)))?;
                Some(copy)
            }
        };
        let queues = Arc::new(Queues { file, copy });
        Ok((Self { queues }, written))
    }

    /// Writes a line, or counts it as lost when too much is waiting. Never waits.
    /// Whether half of what may wait does.
    pub(crate) fn line<'a>(
        &self,
        at: SystemTime,
        stream: LogStream,
        text: impl Into<Cow<'a, str>>,
    ) -> bool {
        let text = text.into();
        let mut lines = String::with_capacity(text.len() + 32);
        line::write(&mut lines, at, stream, &text);
        let full = self.queues.file.push(&lines);
        if let Some(copy) = &self.queues.copy {
            lines.clear();
            lines += &text;
            lines.push('\n');
            copy.push(&lines);
        }
        full
    }

    /// Waits until there is room again, as long as the file gets on: who writes more
    /// than the disk takes is slowed down and loses nothing.
    pub(super) async fn room(&self) {
        self.queues.file.room().await;
    }
}

impl Drop for Queues {
    fn drop(&mut self) {
        self.file.close();
        if let Some(copy) = &self.copy {
            copy.close();
        }
    }
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queues").finish_non_exhaustive()
    }
}

/// Writes what comes to the file until the log ends. What cannot be written is tried
/// again: a disk that was full for a moment costs nothing.
fn keep(mut log: LogFile, queue: &Queue) {
    let mut lines = String::new();
    let mut failing = false;
    while queue.take(&mut lines) {
        let mut done = 0;
        loop {
            // The end may come while it is tried: then this was the last time.
            let last = queue.is_closed();
            let Err(error) = log.append(&lines, &mut done, &|| queue.wrote()) else {
                break;
            };
            let path = log.path().display();
            if queue.fails(error.to_string()) {
                failing = true;
                warn!(%path, %error, "the application's log cannot be written; trying on");
            }
            if last {
                let lost = queue.left(lines.get(done..).unwrap_or_default());
                warn!(%path, %error, lost, "the end of the application's log is lost");
                return;
            }
            queue.pause(TRY_AGAIN);
        }
        if std::mem::take(&mut failing) {
            info!(path = %log.path().display(), "the application's log is written again");
        }
    }
}

fn missing_in_file(lost: u64, why: Option<&str>) -> String {
    let why = why.unwrap_or("they came faster than they could be written");
    line::note(&format!("{} lost here: {why}", lines_are(lost)))
}

fn missing_in_copy(lost: u64, _why: Option<&str>) -> String {
    format!(
        "--- {} missing here, where nobody read them; the log's file has them\n",
        lines_are(lost)
    )
}

/// `1 line is`, `2 lines are`.
pub(super) fn lines_are(count: u64) -> String {
    if count == 1 {
        "1 line is".to_owned()
    } else {
        format!("{count} lines are")
    }
}
