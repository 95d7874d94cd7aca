//! Keeps the last lines of a crashed start as a file of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How many crashes are kept.
const KEEP: usize = 10;

/// Writes `crash-N.log` with a heading and lines, and removes the oldest ones.
pub(crate) fn keep_crash(folder: &Path, heading: &str, lines: &[String]) -> io::Result<PathBuf> {
    let mut kept = crashes(folder)?;
    let number = kept.last().map_or(1, |(number, _)| number + 1);
    let path = folder.join(format!("crash-{number}.log"));
    let mut text = format!("{heading}\n");
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    fs::write(&path, text)?;
    kept.push((number, path.clone()));
    let surplus = kept.len().saturating_sub(KEEP);
    for (_, old) in kept.into_iter().take(surplus) {
        fs::remove_file(old)?;
    }
    Ok(path)
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
        assert_eq!(fs::read_to_string(path).unwrap(), "crash 12\nline\n");
    }
}
