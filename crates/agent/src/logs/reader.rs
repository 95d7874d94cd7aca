//! Reads a log: all of it, its end, or as it grows, across rotation.

use std::collections::VecDeque;
use std::io::{self, BufWriter, Write};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::poll::PollTimeout;

use super::line::{note, stamp, stamp_of};
use super::pipe::is_left;
use super::print::Printer;
use super::tail::{Lines, Tail, failed, files};
use super::{LogError, ReadOptions, Source, crash};

/// How often a followed log is looked at, in milliseconds.
const LOOK_AGAIN: u16 = 100;

/// By how much a file's own time may be behind that of its last line.
const COARSE: Duration = Duration::from_secs(1);

/// Writes log lines to `out`. With `follow` it returns on an error, or when whoever
/// reads has gone: a closed `out` is no error, and `pipe` tells of it also while there
/// is nothing to write.
pub(crate) fn read(
    options: &ReadOptions,
    out: &mut dyn Write,
    pipe: Option<BorrowedFd<'_>>,
) -> Result<(), LogError> {
    let mut out = BufWriter::new(out);
    let mut printer = Printer::new(&mut out, options.json);
    let done = match &options.source {
        Source::File(path) => read_file(path, options, &mut printer, pipe),
        Source::Crash(folder, which) => crash::read(folder, *which, options, &mut printer),
    };
    match done.and_then(|()| printer.flush()) {
        Err(LogError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

fn read_file(
    path: &Path,
    options: &ReadOptions,
    printer: &mut Printer<'_>,
    pipe: Option<BorrowedFd<'_>>,
) -> Result<(), LogError> {
    let mut end = End::new(options.lines, options.since);
    let mut lines = Lines::default();
    let mut files = files(path)?;
    if files.is_empty() && !options.follow {
        return Err(failed(path)(io::ErrorKind::NotFound.into()));
    }
    let since = options.since.and_then(|since| since.checked_sub(COARSE));
    for file in files.iter_mut().rev() {
        if !since.is_some_and(|since| file.is_older_than(since)) {
            lines.next_file();
            file.read(&mut lines, &mut |line| end.take(line, printer))?;
        }
    }
    if !options.follow {
        lines.end(&mut |line| end.take(line, printer))?;
    }
    end.flush(printer)?;
    if options.follow {
        printer.caught_up()?;
        let newest = files.into_iter().next();
        follow(path, newest, lines, printer, pipe)?;
    }
    Ok(())
}

/// Passes on what comes, until nobody reads it.
fn follow(
    path: &Path,
    mut file: Option<Tail>,
    mut lines: Lines,
    printer: &mut Printer<'_>,
    pipe: Option<BorrowedFd<'_>>,
) -> Result<(), LogError> {
    loop {
        if let Some(tail) = &mut file {
            tail.read(&mut lines, &mut |line| printer.line(line))?;
            if let Some((next, gap)) = tail.next(path, &lines)? {
                // What was written between the last look and the next file.
                tail.read(&mut lines, &mut |line| printer.line(line))?;
                if gap {
                    printer.line(
                        note("lines may be missing here: they were removed before they were read")
                            .as_bytes(),
                    )?;
                }
                lines.next_file();
                file = Some(next);
                continue;
            }
        } else {
            // The log begins, or begins again.
            file = files(path)?.pop();
            if file.is_some() {
                continue;
            }
        }
        printer.flush()?;
        wait(pipe)?;
    }
}

/// Waits before the next look; an error when nobody reads any more.
fn wait(pipe: Option<BorrowedFd<'_>>) -> Result<(), LogError> {
    match pipe {
        Some(pipe) if is_left(pipe, PollTimeout::from(LOOK_AGAIN)) => {
            Err(LogError::Write(io::ErrorKind::BrokenPipe.into()))
        }
        Some(_) => Ok(()),
        None => {
            std::thread::sleep(Duration::from_millis(LOOK_AGAIN.into()));
            Ok(())
        }
    }
}

/// Passes lines on, or keeps only the last ones of them.
pub(super) struct End {
    count: Option<usize>,
    since: Option<String>,
    /// Whether lines without a time are to be passed on.
    inside: bool,
    kept: VecDeque<Vec<u8>>,
}

impl End {
    pub(super) fn new(count: Option<usize>, since: Option<SystemTime>) -> Self {
        Self {
            count,
            inside: since.is_none(),
            since: since.map(stamp),
            kept: VecDeque::new(),
        }
    }

    pub(super) fn take(&mut self, line: &[u8], printer: &mut Printer<'_>) -> Result<(), LogError> {
        if !self.is_young_enough(line) {
            return Ok(());
        }
        let Some(count) = self.count else {
            return printer.line(line);
        };
        self.kept.push_back(line.to_owned());
        if self.kept.len() > count {
            self.kept.pop_front();
        }
        Ok(())
    }

    /// Times are compared as text, which their form allows.
    fn is_young_enough(&mut self, line: &[u8]) -> bool {
        if let Some(since) = &self.since
            && let Some(stamp) = stamp_of(line)
        {
            self.inside = stamp >= since.as_bytes();
        }
        self.inside
    }

    pub(super) fn flush(&mut self, printer: &mut Printer<'_>) -> Result<(), LogError> {
        for line in self.kept.drain(..) {
            printer.line(&line)?;
        }
        printer.flush()
    }
}
