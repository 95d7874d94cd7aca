//! The files of one log as a reader meets them, while they are being put aside.
//!
//! A file is known by its inode, which stays its own as long as it is held open. Names
//! are looked through from the newest to the oldest: a file that is renamed meanwhile
//! moves the same way, so that it may be met twice and is never missed.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::LogError;
use super::file::aside;
use super::line::{STAMP, stamp_of};

/// More files than are ever put aside.
const MOST_ASIDE: u32 = 100;

/// How much is read at once.
const CHUNK: usize = 64 * 1024;

/// By how many bytes a place in a file is known again in its copy.
const KNOWN_AGAIN: usize = 64;

/// What is done with each whole line, its end included.
pub(super) type Each<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), LogError>;

/// One file, and how far it is read.
pub(super) struct Tail {
    path: PathBuf,
    file: File,
    inode: (u64, u64),
    at: u64,
}

/// All files of a log that are there, newest first.
pub(super) fn files(path: &Path) -> Result<Vec<Tail>, LogError> {
    let mut files: Vec<Tail> = Vec::new();
    let names = (1..=MOST_ASIDE).map(|number| aside(path, number));
    for name in std::iter::once(path.to_owned()).chain(names) {
        if let Some(file) = Tail::open(&name)?
            && files.iter().all(|it| it.inode != file.inode)
        {
            files.push(file);
        }
    }
    Ok(files)
}

impl Tail {
    /// `None` where there is no such file.
    fn open(path: &Path) -> Result<Option<Self>, LogError> {
        let failed = failed(path);
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        match opened {
            Ok((meta, file)) => Ok(Some(Self {
                path: path.to_owned(),
                file,
                inode: (meta.dev(), meta.ino()),
                at: 0,
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Whether this is the file of that name.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.inode)
    }

    /// Whether nothing was written to it since then.
    pub(super) fn is_older_than(&self, time: SystemTime) -> bool {
        let modified = self.file.metadata().and_then(|meta| meta.modified());
        modified.is_ok_and(|modified| modified < time)
    }

    /// Reads on to the end.
    pub(super) fn read(&mut self, lines: &mut Lines, each: Each<'_>) -> Result<(), LogError> {
        let failed = failed(&self.path);
        let size = self.file.metadata().map_err(failed)?.len();
        if size < self.at {
            self.begin_again(lines, each)?;
        }
        self.read_on(lines, each)
    }

    fn read_on(&mut self, lines: &mut Lines, each: Each<'_>) -> Result<(), LogError> {
        let mut chunk = vec![0; CHUNK];
        loop {
            let count = match self.file.read_at(&mut chunk, self.at) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(&self.path)(error)),
            };
            self.at += count as u64;
            lines.feed(chunk.get(..count).unwrap_or_default(), each)?;
        }
    }

    /// The file was emptied. Where it was copied before, the copy holds what is missing.
    fn begin_again(&mut self, lines: &mut Lines, each: Each<'_>) -> Result<(), LogError> {
        if let Some(mut copy) = Self::open(&aside(&self.path, 1))? {
            let mut known = vec![0; lines.known.len()];
            let before = self.at.saturating_sub(known.len() as u64);
            let read = copy.file.read_exact_at(&mut known, before);
            if read.is_ok() && known == lines.known {
                copy.at = self.at;
                copy.read_on(lines, each)?;
            }
        }
        self.at = 0;
        lines.next_file();
        Ok(())
    }

    /// The time of its first line.
    fn begins(&self) -> Option<Vec<u8>> {
        let mut start = [0; STAMP + 1];
        self.file.read_exact_at(&mut start, 0).ok()?;
        stamp_of(&start).map(<[u8]>::to_vec)
    }

    /// The file that goes on where this one ends, once there is one; and whether some
    /// between them may be gone already.
    pub(super) fn next(
        &self,
        path: &Path,
        lines: &Lines,
    ) -> Result<Option<(Self, bool)>, LogError> {
        if self.is_at(path) {
            return Ok(None);
        }
        let mut files = files(path)?;
        if let Some(place) = files.iter().position(|it| it.inode == self.inode) {
            let newer = place.checked_sub(1).map(|newer| files.swap_remove(newer));
            return Ok(newer.map(|newer| (newer, false)));
        }
        // It was removed. The next one begins no earlier than this one has ended.
        let follows = |it: &Self| it.begins().is_some_and(|begins| begins >= lines.last);
        let oldest = files.iter().rposition(follows).unwrap_or(0);
        if files.is_empty() {
            return Ok(None);
        }
        Ok(Some((files.swap_remove(oldest), oldest > 0)))
    }
}

/// Puts lines together that are read in pieces, also over the end of a file.
#[derive(Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
    /// Whether the next piece is the first of a file.
    fresh: bool,
    /// The time of the last line that had one.
    last: Vec<u8>,
    /// The last bytes that were read.
    known: Vec<u8>,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8], each: Each<'_>) -> Result<(), LogError> {
        if std::mem::take(&mut self.fresh) && stamp_of(bytes).is_some() {
            // The file before ended inside of a line.
            self.end(each)?;
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !piece.ends_with(b"\n") {
                self.begun.extend_from_slice(piece);
            } else if self.begun.is_empty() {
                self.pass(piece, each)?;
            } else {
                self.begun.extend_from_slice(piece);
                self.end(each)?;
            }
        }
        let from = bytes.len().saturating_sub(KNOWN_AGAIN);
        self.known = bytes.get(from..).unwrap_or_default().to_vec();
        Ok(())
    }

    fn pass(&mut self, line: &[u8], each: Each<'_>) -> Result<(), LogError> {
        if let Some(stamp) = stamp_of(line) {
            self.last.clear();
            self.last.extend_from_slice(stamp);
        }
        each(line)
    }

    /// What comes now is of another file.
    pub(super) fn next_file(&mut self) {
        self.fresh = true;
        self.known.clear();
    }

    /// Passes on the last line although it has no end.
    pub(super) fn end(&mut self, each: Each<'_>) -> Result<(), LogError> {
        let mut line = std::mem::take(&mut self.begun);
        if line.is_empty() {
            return Ok(());
        }
        if !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        self.pass(&line, each)
    }
}

/// Names the file in an error.
pub(super) fn failed(path: &Path) -> impl FnOnce(io::Error) -> LogError + use<> {
    let path = path.to_owned();
    move |source| LogError::Read { path, source }
}
