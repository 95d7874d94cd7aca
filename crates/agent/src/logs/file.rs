//! The log's file: appended to by whole lines, put aside before it gets too long.
//!
//! No file gets longer than `most` bytes and at most `keep` are put aside, so that
//! all of them together never hold more than `most × (keep + 1)` bytes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::line;

/// How much is written at once, so that one who waits sees that it gets on.
const PIECE: usize = 64 * 1024;

/// The log's file, and those put aside.
pub(super) struct LogFile {
    path: PathBuf,
    /// The most bytes of one file.
    most: u64,
    /// How many files put aside are kept.
    keep: u32,
    open: Option<OpenFile>,
}

impl LogFile {
    pub(super) fn new(path: PathBuf, most: u64, keep: u32) -> Self {
        Self {
            path,
            most,
            keep,
            open: None,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes lines from `done` on. That grows by what is written, and says after an
    /// error where to go on. Calls `wrote` whenever something is.
    pub(super) fn append(
        &mut self,
        lines: &str,
        done: &mut usize,
        wrote: &dyn Fn(),
    ) -> io::Result<()> {
        let lines = lines.as_bytes();
        if self.look()? {
            // Another file than before is begun with a whole line.
            *done = line_start(lines, *done);
        }
        while *done < lines.len() {
            let file = self.opened()?;
            let rest = lines.get(*done..).unwrap_or_default();
            match file.next(rest, line_start(lines, *done) < *done) {
                Next::PutAside => self.put_aside()?,
                Next::EndLine => drop(file.write(b"\n")?),
                Next::Write(count) => {
                    *done += file.write(rest.get(..count).unwrap_or(rest))?;
                    wrote();
                }
            }
        }
        Ok(())
    }

    /// Looks after the file; somebody may have removed or replaced it. Whether it is
    /// another one than before.
    fn look(&mut self) -> io::Result<bool> {
        if let Some(file) = &mut self.open
            && file.is_still_at(&self.path)
        {
            return Ok(false);
        }
        self.open = None;
        self.opened().map(|_| true)
    }

    fn opened(&mut self) -> io::Result<&mut OpenFile> {
        let file = match self.open.take() {
            Some(file) => file,
            None => OpenFile::open(&self.path, self.most)?,
        };
        Ok(self.open.insert(file))
    }

    /// Makes the log begin anew. A file that cannot be renamed, such as a mount point,
    /// is copied, and emptied in any case: it never grows without end.
    fn put_aside(&mut self) -> io::Result<()> {
        let Some(mut file) = self.open.take() else {
            return Ok(());
        };
        // What cannot even be emptied fails before anything is moved.
        file.cut_to(file.size)?;
        let fits = file.size <= self.most * u64::from(self.keep);
        if !fits {
            file.empty("it was longer than all that is kept")?;
        } else if self.make_way(file.size).is_err()
            || fs::rename(&self.path, aside(&self.path, 1)).is_err()
        {
            match fs::copy(&self.path, aside(&self.path, 1)) {
                Ok(_) => file.cut_to(0)?,
                Err(error) => file.empty(&format!("it cannot be put aside: {error}"))?,
            }
        } else {
            return Ok(());
        }
        self.open = Some(file);
        Ok(())
    }

    /// Frees the first name aside for a file of this size; the oldest ones go.
    fn make_way(&self, size: u64) -> io::Result<()> {
        let mut sum = size;
        for number in 1..=self.keep {
            let old = aside(&self.path, number);
            sum += fs::metadata(&old).map_or(0, |meta| meta.len());
            if number == self.keep || sum > self.most * u64::from(self.keep) {
                // It may not be there at all; what stays fails below.
                let _ = fs::remove_file(&old);
            }
        }
        for number in (1..self.keep).rev() {
            match fs::rename(aside(&self.path, number), aside(&self.path, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The name of a file put aside: 1 is the newest.
pub(super) fn aside(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

struct OpenFile {
    file: File,
    inode: (u64, u64),
    size: u64,
    /// The most bytes; no limit where it is no regular file but `/dev/stdout` or a pipe.
    most: Option<u64>,
    /// Whether it ends inside of a line.
    torn: bool,
    /// Whether it holds no lines but what the log says of itself.
    fresh: bool,
}

/// What has to be done next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Begin a new file.
    PutAside,
    /// End a line that somebody has left cut.
    EndLine,
    /// Write so many bytes.
    Write(usize),
}

impl OpenFile {
    /// Opens the file to append to it; what is in it stays.
    fn open(path: &Path, most: u64) -> io::Result<Self> {
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
            most: meta.is_file().then_some(most),
            // An agent was killed, or the machine ended, in the middle of a line.
            torn: meta.is_file() && ends_inside_of_a_line(path).unwrap_or_default(),
            fresh: meta.len() == 0,
        })
    }

    /// Whether nobody has removed or replaced the file.
    fn is_still_at(&mut self, path: &Path) -> bool {
        if self.most.is_none() {
            return true;
        }
        match fs::metadata(path) {
            Ok(meta) => {
                self.size = meta.len();
                self.torn &= self.size > 0;
                self.fresh |= self.size == 0;
                (meta.dev(), meta.ino()) == self.inode
            }
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// What to do with these lines; `inside`: the first one is begun already.
    fn next(&self, lines: &[u8], inside: bool) -> Next {
        let room = self.most.map_or(usize::MAX, |most| {
            usize::try_from(most.saturating_sub(self.size)).unwrap_or(usize::MAX)
        });
        if self.torn && !inside && room > 0 {
            return Next::EndLine;
        }
        let whole = match whole_lines(lines, room.min(PIECE)) {
            0 => whole_lines(lines, room),
            whole => whole,
        };
        if whole > 0 {
            return Next::Write(whole);
        }
        // A line longer than a whole file is cut, and goes on in the next one.
        match room.min(lines.len()) {
            0 => Next::PutAside,
            part if inside || self.fresh => Next::Write(part),
            _ => Next::PutAside,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = loop {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => break done?,
            }
        };
        self.size += count as u64;
        self.fresh = false;
        self.torn = !bytes.get(..count).is_some_and(|it| it.ends_with(b"\n"));
        Ok(count)
    }

    fn cut_to(&mut self, size: u64) -> io::Result<()> {
        self.file.set_len(size)?;
        self.size = size;
        self.torn &= size > 0;
        self.fresh |= size == 0;
        Ok(())
    }

    /// Empties the file and says in it that it did.
    fn empty(&mut self, why: &str) -> io::Result<()> {
        self.cut_to(0)?;
        let note = line::note(&format!("the log was emptied: {why}"));
        let most = self.most.unwrap_or(u64::MAX);
        if (note.len() as u64) < most {
            // Where this cannot be written, the next line cannot either, and says so.
            let _ = self.write(note.as_bytes());
            self.fresh = true;
        }
        Ok(())
    }
}

fn ends_inside_of_a_line(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// The length of all whole lines that fit.
fn whole_lines(lines: &[u8], room: usize) -> usize {
    if lines.len() <= room {
        return lines.len();
    }
    line_start(lines, room)
}

/// Where the line begins that the byte at `at` belongs to.
fn line_start(lines: &[u8], at: usize) -> usize {
    let before = lines.get(..at).unwrap_or(lines);
    let end = before.iter().rposition(|byte| *byte == b'\n');
    end.map_or(0, |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn append(log: &mut LogFile, lines: &str) {
        log.append(lines, &mut 0, &|| {}).unwrap();
    }

    /// All files, oldest first, with what is in them.
    fn all(path: &Path) -> Vec<String> {
        let names = (1..=9).rev().map(|number| aside(path, number));
        let names = names.chain([path.to_owned()]);
        names
            .filter_map(|name| fs::read_to_string(name).ok())
            .collect()
    }

    fn check(most: u64, keep: u32, lines: &[&str], expected: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/gateway.log");
        let mut log = LogFile::new(path.clone(), most, keep);
        for lines in lines {
            append(&mut log, lines);
        }
        assert_eq!(all(&path), expected);
    }

    #[test]
    fn a_line_that_does_not_fit_begins_the_next_file() {
        check(8, 2, &["one\n", "two\n"], &["one\ntwo\n"]);
        check(8, 2, &["one\n", "four\n"], &["one\n", "four\n"]);
        check(
            4,
            2,
            &["one\ntwo\nsix\nten\n"],
            &["two\n", "six\n", "ten\n"],
        );
        check(4, 1, &["one\n", "too long\n", "x\n"], &["long", "\nx\n"]);
        check(
            9,
            2,
            &["a\n", "too long\n", "x\n"],
            &["a\n", "too long\n", "x\n"],
        );
    }

    #[test]
    fn a_line_that_was_cut_does_not_swallow_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.log");
        fs::write(&path, "killed in the mid").unwrap();
        append(&mut LogFile::new(path.clone(), 99, 1), "next\n");
        assert_eq!(all(&path), ["killed in the mid\nnext\n"]);
        fs::write(&path, "no room for an end").unwrap();
        append(&mut LogFile::new(path.clone(), 18, 1), "next\n");
        assert_eq!(all(&path), ["no room for an end", "next\n"]);
    }

    #[test]
    fn what_somebody_removes_or_empties_begins_anew_with_a_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.log");
        let mut log = LogFile::new(path.clone(), 99, 1);
        append(&mut log, "one\n");
        fs::remove_file(&path).unwrap();
        let mut done = 5;
        log.append("one\ntwo\n", &mut done, &|| {}).unwrap();
        assert_eq!((all(&path), done), (vec!["two\n".to_owned()], 8));
        File::create(&path).unwrap();
        append(&mut log, "three\n");
        assert_eq!(all(&path), ["three\n"]);
    }

    /// A folder in the way stands for a mount point, which cannot be renamed.
    #[test]
    fn a_log_that_cannot_be_put_aside_is_emptied_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.log");
        fs::create_dir_all(aside(&path, 1).join("in the way")).unwrap();
        fs::create_dir_all(aside(&path, 2).join("in the way")).unwrap();
        for most in [400, 200] {
            let mut log = LogFile::new(path.clone(), most, 2);
            for number in 0..9 {
                append(&mut log, &format!("{number}{}\n", "x".repeat(98)));
                assert!(fs::metadata(&path).unwrap().len() <= most);
            }
            let text = fs::read_to_string(&path).unwrap();
            let said = text.contains("--- the log was emptied: it cannot");
            assert!(said, "{text}");
        }
    }

    #[test]
    fn a_log_that_is_found_too_long_is_put_aside_or_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.log");
        fs::write(aside(&path, 1), "old\n").unwrap();
        fs::write(&path, "x".repeat(250)).unwrap();
        append(&mut LogFile::new(path.clone(), 126, 2), "new\n");
        assert_eq!(all(&path), [&"x".repeat(250), "new\n"]);
        fs::write(&path, "x".repeat(253)).unwrap();
        append(&mut LogFile::new(path.clone(), 126, 2), "new\n");
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.contains("--- the log was emptied: it was longer"),
            "{text}"
        );
        assert!(text.ends_with("\nnew\n"), "{text}");
    }

    #[test]
    fn a_full_device_says_so_and_keeps_the_place() {
        let mut log = LogFile::new("/dev/full".into(), 99, 1);
        let mut done = 0;
        let error = log.append("one\n", &mut done, &|| {}).unwrap_err();
        assert_eq!((error.kind(), done), (io::ErrorKind::StorageFull, 0));
    }

    /// A pipe takes a part and then refuses, as a disk does when it gets full.
    #[test]
    fn a_write_goes_on_where_it_was_cut() {
        let (mut out, pipe) = io::pipe().unwrap();
        let flags = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK);
        nix::fcntl::fcntl(&pipe, flags).unwrap();
        let mut log = LogFile::new("/nowhere".into(), 99, 1);
        log.open = Some(OpenFile {
            file: std::os::fd::OwnedFd::from(pipe).into(),
            inode: (0, 0),
            size: 0,
            most: None,
            torn: false,
            fresh: true,
        });
        let lines = format!("{}\nnext\n", "x".repeat(1 << 18));
        let mut done = 0;
        log.append(&lines, &mut done, &|| {}).unwrap_err();
        let mut read = vec![0; done];
        out.read_exact(&mut read).unwrap();
        while log.append(&lines, &mut done, &|| {}).is_err() {
            let from = read.len();
            read.resize(done, 0);
            out.read_exact(&mut read[from..]).unwrap();
        }
        drop(log);
        out.read_to_end(&mut read).unwrap();
        assert_eq!(String::from_utf8(read).unwrap(), lines);
    }

    proptest! {
        /// However long lines are, and however often the agent starts again.
        #[test]
        fn the_log_never_holds_more_than_its_cap_and_loses_nothing_within(
            most in 1_u64..200,
            keep in 1_u32..4,
            batches in prop::collection::vec(
                (prop::collection::vec(0_usize..150, 1..6), any::<bool>()),
                1..20,
            ),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("gateway.log");
            let mut log = LogFile::new(path.clone(), most, keep);
            let mut written = String::new();
            for (number, (lengths, again)) in batches.into_iter().enumerate() {
                if again {
                    log = LogFile::new(path.clone(), most, keep);
                }
                let line = |length: usize| format!("{number}{}\n", "x".repeat(length));
                let lines: String = lengths.into_iter().map(line).collect();
                append(&mut log, &lines);
                written += &lines;
                let files = all(&path);
                prop_assert!(files.iter().all(|it| it.len() as u64 <= most));
                prop_assert!(files.len() <= keep as usize + 1);
                let held = files.concat();
                prop_assert!(written.ends_with(&held), "{held:?} of {written:?}");
                let full = files.len() == keep as usize + 1;
                prop_assert!(full || held == written);
            }
        }
    }
}
