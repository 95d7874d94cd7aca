//! Whether the bundle is older than what it is made from.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Folders that hold results or other people's code.
const SKIPPED: [&str; 6] = ["node_modules", "dist", "build", "target", "coverage", "tmp"];

/// Files a bundle is made from, by extension.
const EXTENSIONS: [&str; 8] = ["ts", "tsx", "mts", "cts", "js", "mjs", "cjs", "json"];

/// A walk stops after so many entries: neither a warning nor a look is worth seconds.
const MOST_ENTRIES: usize = 50_000;

/// The newest source below `folders` that is younger than `bundle`, if there is one.
pub(crate) fn newer_than(bundle: &Path, folders: &[PathBuf]) -> Option<PathBuf> {
    let built = std::fs::metadata(bundle)
        .and_then(|found| found.modified())
        .ok()?;
    newest(folders).and_then(|(changed, path)| (changed > built).then_some(path))
}

/// The source below `folders` that was changed last, and when.
pub(crate) fn newest(folders: &[PathBuf]) -> Option<(SystemTime, PathBuf)> {
    let mut newest: Option<(SystemTime, PathBuf)> = None;
    let mut left = MOST_ENTRIES;
    let mut folders = folders.to_vec();
    while let Some(folder) = folders.pop() {
        // What cannot be read is not what was just edited.
        let Ok(entries) = std::fs::read_dir(folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let Some(fewer) = left.checked_sub(1) else {
                return newest;
            };
            left = fewer;
            let name = entry.file_name();
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() {
                let hidden = name.as_encoded_bytes().starts_with(b".");
                if !hidden && !SKIPPED.iter().any(|skipped| name == *skipped) {
                    folders.push(entry.path());
                }
            } else if kind.is_file() && is_source(&entry.path()) {
                let Ok(changed) = entry.metadata().and_then(|found| found.modified()) else {
                    continue;
                };
                if newest.as_ref().is_none_or(|(so_far, _)| changed > *so_far) {
                    newest = Some((changed, entry.path()));
                }
            }
        }
    }
    newest
}

fn is_source(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::time::{Duration, UNIX_EPOCH};

    fn write(path: &Path, seconds: u64) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = File::create(path).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds))
            .unwrap();
    }

    #[test]
    fn the_newest_source_is_named_and_results_are_not_sources() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let (bundle, src) = (root.join("main.js"), root.join("src"));
        write(&bundle, 100);
        for (name, seconds) in [
            ("old.ts", 50),
            ("notes.md", 900),
            ("node_modules/x.js", 900),
            (".cache/x.js", 900),
            ("dist/x.js", 900),
        ] {
            write(&src.join(name), seconds);
        }
        assert_eq!(newer_than(&bundle, std::slice::from_ref(&src)), None);
        write(&src.join("lib/a.ts"), 200);
        write(&src.join("lib/b.ts"), 300);
        assert_eq!(
            newer_than(&bundle, std::slice::from_ref(&src)),
            Some(src.join("lib/b.ts"))
        );
        assert_eq!(newer_than(&root.join("missing.js"), &[src]), None);
    }
}
