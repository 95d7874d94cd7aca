//! Keeps the last lines of a crashed start as a file of its own, and shows them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::line::{self, STAMP};
use super::print::Printer;
use super::reader::End;
use super::tail::failed;
use super::{LogError, ReadOptions, WhichCrash};

/// How many crashes are kept.
const KEEP: usize = 10;

/// How much of a log travels in a report, which may have 256 KiB: a byte may take six
/// there. A line of a stack trace fits four times.
const REPORTED_BYTES: usize = 32 * 1024;
const REPORTED_LINE: usize = 1024;

/// Writes `crash-N.log` with a heading and lines. The oldest ones are removed first,
/// so that there is room.
pub(crate) fn keep_crash(folder: &Path, heading: &str, lines: &[String]) -> io::Result<PathBuf> {
    let kept = crashes(folder)?;
    let number = kept.last().map_or(1, |(number, _)| number + 1);
    let surplus = (kept.len() + 1).saturating_sub(KEEP);
    for (_, old) in kept.into_iter().take(surplus) {
        fs::remove_file(old)?;
    }
    let path = folder.join(format!("crash-{number}.log"));
    let new = folder.join(".crash.new");
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o640)
            .open(&new)?;
        file.write_all(format!("{heading}\n").as_bytes())?;
        for line in lines {
            file.write_all(format!("{line}\n").as_bytes())?;
        }
        fs::rename(&new, &path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&new)))?;
    Ok(path)
}

/// The end of these lines, short enough to travel in a report: the longest ones are
/// cut, and the oldest ones left out.
pub(crate) fn shortened(lines: Vec<String>) -> Vec<String> {
    let mut room = REPORTED_BYTES;
    let mut kept: Vec<String> = lines
        .into_iter()
        .rev()
        .map(|mut line| {
            if line.len() > REPORTED_LINE {
                line.truncate(line.floor_char_boundary(REPORTED_LINE));
                line.push('…');
            }
            line
        })
        .take_while(|line| {
            let fits = line.len() <= room;
            room = room.saturating_sub(line.len());
            fits
        })
        .collect();
    kept.reverse();
    kept
}

/// Shows crashes: for each a line of when and why, then its last lines.
pub(super) fn read(
    folder: &Path,
    which: WhichCrash,
    options: &ReadOptions,
    printer: &mut Printer<'_>,
) -> Result<(), LogError> {
    let all = match crashes(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(folder)(error)),
        all => all.unwrap_or_default(),
    };
    let since = options.since.map(line::stamp);
    let mut shown = 0;
    let newest = all.last().map(|(number, _)| *number);
    for (number, path) in all {
        let wanted = match which {
            WhichCrash::Newest => Some(number) == newest,
            WhichCrash::Number(wanted) => number == wanted,
            WhichCrash::All | WhichCrash::List => true,
        };
        if !wanted {
            continue;
        }
        let text = match fs::read(&path) {
            // Newer ones have taken its place in this moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            text => text.map_err(failed(&path))?,
        };
        let crash = Crash::parse(number, &text);
        if since.as_deref().is_some_and(|since| crash.at < since) {
            continue;
        }
        printer.crash = Some(number);
        printer.line(crash.heading().as_bytes())?;
        if which != WhichCrash::List {
            let mut end = End::new(options.lines, None);
            for line in crash.lines {
                end.take(line, printer)?;
            }
            end.flush(printer)?;
        }
        shown += 1;
    }
    if shown == 0 {
        return Err(LogError::NoCrash(which, folder.to_owned()));
    }
    Ok(())
}

/// A crash as it is kept.
struct Crash<'a> {
    number: u64,
    /// When, as a line's time; empty where nothing says so.
    at: &'a str,
    /// Build, process, and why.
    what: String,
    lines: Vec<&'a [u8]>,
}

impl<'a> Crash<'a> {
    fn parse(number: u64, text: &'a [u8]) -> Self {
        let mut lines = text.split_inclusive(|byte| *byte == b'\n');
        let heading = lines.next().unwrap_or_default();
        let (at, what) = match line::stamp_of(heading) {
            Some(at) => (at, heading.get(STAMP + 1..).unwrap_or_default()),
            None => (b"".as_slice(), heading),
        };
        Self {
            number,
            at: str::from_utf8(at).unwrap_or_default(),
            what: String::from_utf8_lossy(what).trim_end().to_owned(),
            lines: lines.collect(),
        }
    }

    /// The heading as the log itself would say it.
    fn heading(&self) -> String {
        let Self {
            number, at, what, ..
        } = self;
        let space = if at.is_empty() { "" } else { " " };
        format!("{at}{space}--- crash {number}: {what}\n")
    }
}

/// All crashes, oldest first.
fn crashes(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name
            .and_then(|name| name.strip_prefix("crash-")?.strip_suffix(".log"))
            .and_then(|number| number.parse().ok());
        if let Some(number) = number {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::SystemTime;

    fn newest(folder: &Path) -> Option<PathBuf> {
        crashes(folder).unwrap().pop().map(|(_, path)| path)
    }

    #[test]
    fn the_newest_ten_crashes_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(newest(folder.path()), None);
        for number in 1..=12 {
            keep_crash(
                folder.path(),
                &format!("crash {number}"),
                &["line".to_owned()],
            )
            .unwrap();
        }
        let kept: Vec<u64> = crashes(folder.path())
            .unwrap()
            .iter()
            .map(|(number, _)| *number)
            .collect();
        assert_eq!(kept, (3..=12).collect::<Vec<u64>>());
        let path = newest(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "crash 12\nline\n");
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640, "a log may hold secrets");
    }

    #[test]
    fn a_crash_that_cannot_be_written_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        keep_crash(folder.path(), "crash 1", &[]).unwrap();
        fs::create_dir(folder.path().join(".crash.new")).unwrap();
        keep_crash(folder.path(), "crash 2", &[]).unwrap_err();
        let path = newest(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "crash 1\n");
    }

    #[test]
    fn the_end_of_a_long_log_travels() {
        let short = ["one", "two"].map(str::to_owned).to_vec();
        assert_eq!(shortened(short.clone()), short);
        let long: Vec<String> = (0..50)
            .map(|n| format!("{n} {}", "é".repeat(9000)))
            .collect();
        let kept = shortened(long);
        assert_eq!(kept.len(), 31);
        assert!(kept.last().unwrap().starts_with("49 é"));
        assert!(kept.iter().map(String::len).sum::<usize>() <= REPORTED_BYTES);
    }

    fn check(folder: &Path, which: WhichCrash, lines: Option<usize>, expected: &str) {
        let options = ReadOptions {
            lines,
            ..ReadOptions::all(super::super::Source::Crash(folder.to_owned(), which))
        };
        let mut out = Vec::new();
        super::super::read(&options, &mut out, None).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn crashes_are_shown_by_number_and_listed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for (second, why) in [(1, "exited with code 1"), (2, "was killed")] {
            let heading = format!("2026-01-01T00:00:0{second}.000Z build b, process 7: {why}");
            keep_crash(folder, &heading, &["one".to_owned(), "two".to_owned()]).unwrap();
        }
        let first =
            "2026-01-01T00:00:01.000Z --- crash 1: build b, process 7: exited with code 1\n";
        let second = "2026-01-01T00:00:02.000Z --- crash 2: build b, process 7: was killed\n";
        let body = "one\ntwo\n";
        check(folder, WhichCrash::Newest, None, &format!("{second}{body}"));
        check(
            folder,
            WhichCrash::Newest,
            Some(1),
            &format!("{second}two\n"),
        );
        check(
            folder,
            WhichCrash::Number(1),
            None,
            &format!("{first}{body}"),
        );
        check(folder, WhichCrash::List, None, &format!("{first}{second}"));
        let all = format!("{first}{body}{second}{body}");
        check(folder, WhichCrash::All, None, &all);
    }

    #[test]
    fn a_crash_that_is_not_kept_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let say = |which, since| {
            let options = ReadOptions {
                since,
                ..ReadOptions::all(super::super::Source::Crash(folder.path().to_owned(), which))
            };
            let read = super::super::read(&options, &mut Vec::new(), None);
            read.unwrap_err().to_string()
        };
        assert!(say(WhichCrash::Newest, None).starts_with("no crash is kept in "));
        keep_crash(folder.path(), "1970-01-01T00:00:01.000Z b", &[]).unwrap();
        assert!(say(WhichCrash::Number(7), None).starts_with("no crash 7 is kept in "));
        let since = Some(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(2));
        assert!(say(WhichCrash::All, since).starts_with("no crash is kept in "));
    }
}
