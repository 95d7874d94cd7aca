//! Writes the log on a thread of its own, so that a slow disk holds up nobody.
//!
//! The queue is bounded. What does not fit, or cannot be written, is lost and
//! counted, and the count is written as soon as there is room again.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::SystemTime;

use tokio::sync::oneshot;

use super::file::{OpenFile, aside, rotate};

/// Lines that may wait to be written, and how long they may be together.
const QUEUE: usize = 8192;
const QUEUE_BYTES: usize = 4 * 1024 * 1024;

/// How much is written at once.
const BATCH_BYTES: usize = 256 * 1024;

/// Where a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// The application's stdout.
    Out,
    /// The application's stderr.
    Err,
    /// The agent itself.
    Agent,
}

impl Stream {
    fn mark(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Err => "err",
            Self::Agent => "---",
        }
    }
}

/// Where the log goes.
#[derive(Debug, Clone)]
pub(crate) struct WriterOptions {
    /// The file.
    pub(crate) file: PathBuf,
    /// Whether lines are also copied to the agent's stdout.
    pub(crate) copy_to_stdout: bool,
    /// The size at which the file is put aside.
    pub(crate) rotate_bytes: u64,
    /// How many files put aside are kept.
    pub(crate) keep: u32,
}

struct Line {
    at: SystemTime,
    stream: Stream,
    text: String,
}

/// Takes lines. Cheap to clone; the log ends when all are gone.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    lines: SyncSender<Line>,
    /// How many bytes wait to be written.
    waiting: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
}

impl Log {
    /// Opens the log. The second half resolves (to an error, which means nothing)
    /// when the last `Log` is dropped and everything is written.
    pub(crate) fn open(options: WriterOptions) -> io::Result<(Self, oneshot::Receiver<()>)> {
        let (lines, queue) = sync_channel(QUEUE);
        let (waiting, lost) = (Arc::default(), Arc::default());
        let mut writer = Writer {
            file: OpenFile::open(&options.file)?,
            options,
            waiting: Arc::clone(&waiting),
            lost: Arc::clone(&lost),
            why: None,
        };
        let (done, written) = oneshot::channel();
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || {
                writer.write_all(&queue);
                drop(done);
            })?;
        let log = Self {
            lines,
            waiting,
            lost,
        };
        Ok((log, written))
    }

    /// Writes a line, or counts it as lost when the queue is full. Never waits.
    pub(crate) fn line(&self, at: SystemTime, stream: Stream, text: String) {
        let bytes = text.len();
        let fits = self.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes <= QUEUE_BYTES;
        if !fits || self.lines.try_send(Line { at, stream, text }).is_err() {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Writer {
    options: WriterOptions,
    file: OpenFile,
    waiting: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
    /// Why lines were lost.
    why: Option<io::Error>,
}

impl Writer {
    fn write_all(&mut self, queue: &Receiver<Line>) {
        let mut stamped = String::new();
        let mut plain = String::new();
        while let Ok(first) = queue.recv() {
            stamped.clear();
            plain.clear();
            self.confess(first.at, &mut stamped);
            let mut count = 0;
            for line in std::iter::once(first).chain(queue.try_iter()) {
                self.waiting.fetch_sub(line.text.len(), Ordering::Relaxed);
                stamp(&line, &mut stamped);
                if self.options.copy_to_stdout {
                    plain.push_str(&line.text);
                    plain.push('\n');
                }
                count += 1;
                if stamped.len() >= BATCH_BYTES {
                    break;
                }
            }
            if let Err(error) = self.append(&stamped) {
                self.lost.fetch_add(count, Ordering::Relaxed);
                self.why = Some(error);
            }
            if self.options.copy_to_stdout {
                // Whoever reads it may have gone; the file has the lines.
                let mut stdout = io::stdout().lock();
                let _ = stdout.write_all(plain.as_bytes());
                let _ = stdout.flush();
            }
        }
    }

    /// Says how many lines were lost before this one.
    fn confess(&mut self, at: SystemTime, stamped: &mut String) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let why = match self.why.take() {
                Some(error) => error.to_string(),
                None => "they came faster than they could be written".to_owned(),
            };
            let text = format!("{lost} lines are lost: {why}");
            let stream = Stream::Agent;
            stamp(&Line { at, stream, text }, stamped);
        }
    }

    fn append(&mut self, text: &str) -> io::Result<()> {
        if self.file.is_elsewhere(&self.options.file) {
            self.file = OpenFile::open(&self.options.file)?;
        }
        self.file.append(text)?;
        if self.file.rotates && self.file.size >= self.options.rotate_bytes {
            self.put_aside()?;
        }
        Ok(())
    }

    /// Begins the log anew. A file that cannot be renamed, such as a mount point, is
    /// copied, and emptied in any case: it never grows without end.
    fn put_aside(&mut self) -> io::Result<()> {
        let path = &self.options.file;
        if rotate(path, self.options.keep).is_ok() {
            self.file = OpenFile::open(path)?;
            return Ok(());
        }
        let copied = fs::copy(path, aside(path, 1));
        self.file.empty()?;
        if let Err(error) = copied {
            let text = format!("the log was emptied: it cannot be put aside: {error}");
            let (at, stream) = (now(), Stream::Agent);
            let mut stamped = String::new();
            stamp(&Line { at, stream, text }, &mut stamped);
            self.file.append(&stamped)?;
        }
        Ok(())
    }
}

fn stamp(line: &Line, to: &mut String) {
    use std::fmt::Write as _;
    let at = humantime::format_rfc3339_millis(line.at);
    // Writing to a String cannot fail.
    let _ = writeln!(to, "{at} {} {}", line.stream.mark(), line.text);
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time at which the log was emptied"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn options(file: PathBuf) -> WriterOptions {
        WriterOptions {
            file,
            copy_to_stdout: false,
            rotate_bytes: 200,
            keep: 2,
        }
    }

    fn write(options: WriterOptions, texts: &[String]) {
        let (log, written) = Log::open(options).unwrap();
        for text in texts {
            log.line(SystemTime::UNIX_EPOCH, Stream::Out, text.clone());
        }
        drop(log);
        written.blocking_recv().unwrap_err();
    }

    #[test]
    fn a_log_is_appended_to_and_stamped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/gateway.log");
        write(options(path.clone()), &["one".to_owned()]);
        write(options(path.clone()), &["two".to_owned()]);
        assert_eq!(
            fs::read_to_string(path).unwrap(),
            "1970-01-01T00:00:00.000Z out one\n1970-01-01T00:00:00.000Z out two\n"
        );
    }

    #[test]
    fn a_log_is_put_aside_by_size_and_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.log");
        for round in 0..4 {
            write(
                options(path.clone()),
                &[format!("{round} {}", "x".repeat(200))],
            );
        }
        let first = |path: &Path| fs::read_to_string(path).unwrap().as_bytes()[29];
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        assert_eq!(first(&aside(&path, 1)), b'3');
        assert_eq!(first(&aside(&path, 2)), b'2');
        assert!(!aside(&path, 3).exists());
    }

    #[test]
    fn a_removed_log_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.log");
        let (log, written) = Log::open(options(path.clone())).unwrap();
        fs::remove_file(&path).unwrap();
        log.line(SystemTime::UNIX_EPOCH, Stream::Err, "after".to_owned());
        drop(log);
        written.blocking_recv().unwrap_err();
        assert!(fs::read_to_string(path).unwrap().ends_with("err after\n"));
    }

    /// A folder in the way stands for a mount point, which cannot be renamed.
    #[test]
    fn a_log_that_cannot_be_put_aside_is_emptied_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.log");
        fs::create_dir_all(aside(&path, 1).join("in the way")).unwrap();
        fs::create_dir_all(aside(&path, 2).join("in the way")).unwrap();
        for _ in 0..9 {
            write(options(path.clone()), &["x".repeat(150)]);
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.len() < 500, "{} bytes", text.len());
        assert!(text.contains("--- the log was emptied: "), "{text}");
        assert!(!text.contains("lost"), "{text}");
    }

    #[test]
    fn many_long_lines_do_not_wait_in_memory() {
        let (lines, queue) = sync_channel(QUEUE);
        let (waiting, lost) = (Arc::default(), Arc::default());
        let log = Log {
            lines,
            waiting,
            lost,
        };
        for _ in 0..1000 {
            log.line(SystemTime::UNIX_EPOCH, Stream::Out, "x".repeat(16 * 1024));
        }
        let bytes: usize = queue.try_iter().map(|line| line.text.len()).sum();
        assert_eq!(bytes, QUEUE_BYTES);
        let lost = log.lost.load(Ordering::Relaxed);
        assert_eq!(lost, 1000 - (QUEUE_BYTES / (16 * 1024)) as u64);
    }

    #[test]
    fn a_full_disk_loses_lines_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.log");
        let mut writer = Writer {
            file: OpenFile::open(Path::new("/dev/full")).unwrap(),
            options: options(path.clone()),
            waiting: Arc::default(),
            lost: Arc::default(),
            why: None,
        };
        let play = |writer: &mut Writer| {
            let (lines, queue) = sync_channel(4);
            let text = "a line".to_owned();
            let (at, stream) = (SystemTime::UNIX_EPOCH, Stream::Out);
            writer.waiting.fetch_add(text.len(), Ordering::Relaxed);
            lines.send(Line { at, stream, text }).unwrap();
            drop(lines);
            writer.write_all(&queue);
        };
        play(&mut writer);
        writer.file = OpenFile::open(&path).unwrap();
        play(&mut writer);
        let text = fs::read_to_string(path).unwrap();
        assert!(
            text.contains("--- 1 lines are lost: No space left"),
            "{text}"
        );
        assert!(text.ends_with("out a line\n"), "{text}");
    }
}
