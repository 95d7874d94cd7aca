//! Keeps the last lines of a crashed start as a file of its own.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

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

/// The newest crash.
pub(super) fn newest(folder: &Path) -> io::Result<Option<PathBuf>> {
    Ok(crashes(folder)?.pop().map(|(_, path)| path))
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

    #[test]
    fn the_newest_ten_crashes_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(newest(folder.path()).unwrap(), None);
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
        let path = newest(folder.path()).unwrap().unwrap();
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
        let path = newest(folder.path()).unwrap().unwrap();
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
}
