//! Reads a log for people: all of it, its end, or as it grows, across rotation.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufReader, Read as _, Seek as _, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::aside;
use super::{LogError, ReadOptions, Source, crash};

/// How often a followed log is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// More files than are ever put aside.
const MOST_ASIDE: u32 = 100;

/// The length of a line's time: `2026-11-22T23:51:00.123Z`.
const STAMP: usize = 24;

/// Writes log lines to `out`. With `follow` it returns only on an error; a closed
/// `out` is no error.
pub(crate) fn read(options: &ReadOptions, out: &mut dyn Write) -> Result<(), LogError> {
    let done = match &options.source {
        Source::File(path) => read_file(path, options, out),
        Source::Crash(folder) => read_crash(folder, options, out),
    };
    match done {
        Err(LogError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

fn read_crash(folder: &Path, options: &ReadOptions, out: &mut dyn Write) -> Result<(), LogError> {
    let newest = crash::newest(folder).map_err(failed(folder))?;
    let path = newest.ok_or_else(|| LogError::NoCrash(folder.to_owned()))?;
    let file = File::open(&path).map_err(failed(&path))?;
    let mut end = End::new(options.lines, None);
    end.take_all(BufReader::new(file), out, &path)?;
    end.flush(out)
}

fn read_file(path: &Path, options: &ReadOptions, out: &mut dyn Write) -> Result<(), LogError> {
    let since = options
        .since
        .map(|since| humantime::format_rfc3339_millis(since).to_string());
    let mut end = End::new(options.lines, since);
    // Opened before the files put aside are listed: a rotation in between shows
    // lines of the newest one twice at worst, and never loses one.
    let mut current = Followed::open(path).map_err(failed(path))?;
    for put_aside in files_aside(path) {
        match File::open(&put_aside) {
            Ok(file) => end.take_all(BufReader::new(file), out, &put_aside)?,
            // Rotated away in this moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&put_aside)(error)),
        }
    }
    end.take_all(BufReader::new(&mut current.file), out, path)?;
    end.flush(out)?;
    if options.follow {
        current.follow(path, out)?;
    }
    Ok(())
}

/// The files put aside, oldest first.
fn files_aside(path: &Path) -> Vec<PathBuf> {
    let names = (1..=MOST_ASIDE).map(|number| aside(path, number));
    let mut files: Vec<PathBuf> = names.take_while(|file| file.exists()).collect();
    files.reverse();
    files
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> LogError {
    let path = path.to_owned();
    move |source| LogError::Read { path, source }
}

/// Passes lines on, or keeps only the last ones of them.
struct End {
    count: Option<usize>,
    since: Option<String>,
    /// Whether lines without a time are to be passed on.
    inside: bool,
    kept: VecDeque<Vec<u8>>,
}

impl End {
    fn new(count: Option<usize>, since: Option<String>) -> Self {
        Self {
            count,
            inside: since.is_none(),
            since,
            kept: VecDeque::new(),
        }
    }

    fn take_all(
        &mut self,
        mut lines: impl io::BufRead,
        out: &mut dyn Write,
        path: &Path,
    ) -> Result<(), LogError> {
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).map_err(failed(path))? > 0 {
            if self.is_young_enough(&line) {
                match self.count {
                    None => out.write_all(&line).map_err(LogError::Write)?,
                    Some(count) => {
                        self.kept.push_back(line.clone());
                        if self.kept.len() > count {
                            self.kept.pop_front();
                        }
                    }
                }
            }
            line.clear();
        }
        Ok(())
    }

    /// Times are compared as text, which their form allows.
    fn is_young_enough(&mut self, line: &[u8]) -> bool {
        if let Some(since) = &self.since
            && let Some(stamp) = line.get(..STAMP)
            && stamp.ends_with(b"Z")
        {
            self.inside = stamp >= since.as_bytes();
        }
        self.inside
    }

    fn flush(&mut self, out: &mut dyn Write) -> Result<(), LogError> {
        for line in self.kept.drain(..) {
            out.write_all(&line).map_err(LogError::Write)?;
        }
        out.flush().map_err(LogError::Write)
    }
}

/// A log that is being followed.
struct Followed {
    file: File,
    inode: (u64, u64),
}

impl Followed {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let meta = file.metadata()?;
        Ok(Self {
            file,
            inode: (meta.dev(), meta.ino()),
        })
    }

    fn follow(mut self, path: &Path, out: &mut dyn Write) -> Result<(), LogError> {
        loop {
            self.pass_on(path, out)?;
            if let Ok(meta) = fs::metadata(path)
                && (meta.dev(), meta.ino()) != self.inode
            {
                // What was written between the last look and the rotation.
                self.pass_on(path, out)?;
                match Self::open(path) {
                    Ok(new) => {
                        self = new;
                        continue;
                    }
                    // Put aside again in this moment.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(failed(path)(error)),
                }
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn pass_on(&mut self, path: &Path, out: &mut dyn Write) -> Result<(), LogError> {
        let size = self.file.metadata().map_err(failed(path))?.len();
        if self.file.stream_position().map_err(failed(path))? > size {
            // Somebody has emptied it.
            self.file.rewind().map_err(failed(path))?;
        }
        let mut text = Vec::new();
        self.file.read_to_end(&mut text).map_err(failed(path))?;
        if !text.is_empty() {
            out.write_all(&text).map_err(LogError::Write)?;
            out.flush().map_err(LogError::Write)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::SystemTime;

    fn log() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.log");
        let line = |second: u32| format!("2026-01-01T00:00:0{second}.000Z out line {second}\n");
        fs::write(aside(&path, 2), line(1)).unwrap();
        fs::write(aside(&path, 1), line(2) + &line(3)).unwrap();
        fs::write(&path, line(4) + "a line without a time\n" + &line(5)).unwrap();
        (folder, path)
    }

    fn check(lines: Option<usize>, since: Option<&str>, expected: &[&str]) {
        let (_folder, path) = log();
        let mut out = Vec::new();
        let options = ReadOptions {
            source: Source::File(path),
            follow: false,
            lines,
            since: since.map(|text| humantime::parse_rfc3339(text).unwrap()),
        };
        read(&options, &mut out).unwrap();
        let found = String::from_utf8(out).unwrap();
        let found: Vec<&str> = found
            .lines()
            .map(|line| line.strip_prefix("2026-01-01T00:00:0").unwrap_or(line))
            .map(|line| {
                line.get(11..)
                    .filter(|it| it.starts_with("line"))
                    .unwrap_or(line)
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn all_lines_or_the_end_or_the_young_are_read() {
        let bare = "a line without a time";
        check(
            None,
            None,
            &["line 1", "line 2", "line 3", "line 4", bare, "line 5"],
        );
        check(Some(2), None, &[bare, "line 5"]);
        check(Some(0), None, &[]);
        check(
            None,
            Some("2026-01-01T00:00:04Z"),
            &["line 4", bare, "line 5"],
        );
        check(Some(9), Some("2026-01-01T00:00:05Z"), &["line 5"]);
    }

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

    fn await_text(from: &Receiver<String>, text: &str) {
        let mut seen = String::new();
        while !seen.contains(text) {
            seen += &from.recv_timeout(Duration::from_secs(10)).unwrap();
        }
    }

    #[test]
    fn a_followed_log_goes_on_across_rotation_and_emptying() {
        let (_folder, path) = log();
        let (out, lines) = channel();
        let options = ReadOptions {
            source: Source::File(path.clone()),
            follow: true,
            lines: Some(1),
            since: Some(SystemTime::UNIX_EPOCH),
        };
        let reader = std::thread::spawn(move || read(&options, &mut Out(out)));
        await_text(&lines, "line 5");
        fs::rename(&path, aside(&path, 1)).unwrap();
        fs::write(&path, "after rotation\n").unwrap();
        await_text(&lines, "after rotation");
        fs::write(&path, "short\n").unwrap();
        await_text(&lines, "short");
        drop(lines);
        fs::write(&path, "nobody reads this any more\n").unwrap();
        reader.join().unwrap().unwrap();
    }

    #[test]
    fn a_missing_log_is_named() {
        let options = ReadOptions {
            source: Source::File("/nowhere/gateway.log".into()),
            follow: false,
            lines: None,
            since: None,
        };
        let error = read(&options, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("/nowhere/gateway.log"));
    }
}
