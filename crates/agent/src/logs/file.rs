//! The log's file: appended to by whole lines, put aside by size.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The log as it is open now.
pub(super) struct OpenFile {
    file: File,
    inode: (u64, u64),
    pub(super) size: u64,
    /// Whether its last line was cut by an error.
    torn: bool,
    /// Whether it is a regular file, and not `/dev/stdout` or a pipe.
    pub(super) rotates: bool,
}

impl OpenFile {
    /// Opens the file to append to it; what is in it stays.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .open(path)?;
        let meta = file.metadata()?;
        Ok(Self {
            file,
            inode: (meta.dev(), meta.ino()),
            size: meta.len(),
            torn: false,
            rotates: meta.is_file(),
        })
    }

    /// Whether somebody has removed or replaced the file.
    pub(super) fn is_elsewhere(&self, path: &Path) -> bool {
        self.rotates && !fs::metadata(path).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.inode)
    }

    /// Writes whole lines; those after a line that was cut begin on a line of their own.
    pub(super) fn append(&mut self, text: &str) -> io::Result<()> {
        if self.torn {
            self.write("\n")?;
            self.torn = false;
        }
        self.write(text)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.size += count as u64;
                    rest = rest.get(count..).unwrap_or_default();
                    self.torn = !rest.is_empty();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn empty(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.size = 0;
        Ok(())
    }
}

/// The name of a file put aside: 1 is the newest.
pub(super) fn aside(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

pub(super) fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    for number in (1..keep).rev() {
        let from = aside(path, number);
        if from.exists() {
            fs::rename(from, aside(path, number + 1))?;
        }
    }
    fs::rename(path, aside(path, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    /// A pipe takes a part and then refuses, as a disk does when it gets full.
    #[test]
    fn a_line_that_was_cut_does_not_swallow_the_next_one() {
        let (mut out, pipe) = io::pipe().unwrap();
        let flags = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK);
        nix::fcntl::fcntl(&pipe, flags).unwrap();
        let mut file = OpenFile {
            file: std::os::fd::OwnedFd::from(pipe).into(),
            inode: (0, 0),
            size: 0,
            torn: false,
            rotates: false,
        };
        let long = "x".repeat(1 << 20);
        file.append(&long).unwrap_err();
        let mut first = vec![0; usize::try_from(file.size).unwrap()];
        out.read_exact(&mut first).unwrap();
        file.append("next\n").unwrap();
        drop(file);
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "\nnext\n");
    }
}
