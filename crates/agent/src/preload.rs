//! What every started Node loads before the application (`node --require`).
//!
//! It is written as many files and handed over as one: Node loads one in a few
//! milliseconds, on a busy machine in a third of the time that 23 take; and one is
//! replaced at once, so that nothing is ever half new.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Files by name and with their text.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("preload/", $name)))),*]
    };
}

/// `main.cjs`, and what it loads.
const FILES: [(&str, &str); 23] = files![
    "accepting.cjs",
    "channel.cjs",
    "compile-cache.cjs",
    "connections.cjs",
    "drain.cjs",
    "events.cjs",
    "gate.cjs",
    "http.cjs",
    "http2.cjs",
    "inspector.cjs",
    "listen.cjs",
    "main.cjs",
    "places.cjs",
    "readiness.cjs",
    "record-connections.cjs",
    "record-descriptors.cjs",
    "record-files.cjs",
    "record-starts.cjs",
    "record.cjs",
    "refusals.cjs",
    "replace.cjs",
    "supervised.cjs",
    "websocket.cjs",
];

/// What follows them in the one file, and loads them.
const LOADER: &str = include_str!("preload/loader.cjs");

/// Writes it into a folder of its own; answers the file to load.
///
/// Readable by the application, whoever it runs as. Left alone where it is there
/// already: an agent on a full disk starts what it knows.
pub(crate) fn write(folder: &Path) -> io::Result<PathBuf> {
    let path = folder.join("main.cjs");
    let text = bundle();
    if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(path);
    }
    fs::create_dir_all(folder)?;
    let new = folder.join("main.cjs.new");
    fs::write(&new, text)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o644))?;
    fs::rename(&new, &path)?;
    Ok(path)
}

/// All files as one.
fn bundle() -> String {
    let mut bundle = String::from("'use strict';\nconst files = {\n");
    for (name, text) in FILES {
        // A `String` takes everything.
        let _ = writeln!(bundle, "'./{name}'(module, require) {{\n{text}}},");
    }
    bundle + "};\n" + LOADER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preload_that_is_there_needs_no_room_on_the_disk() {
        let state_dir = tempfile::tempdir().unwrap();
        let folder = state_dir.path().join("preload");
        let path = write(&folder).unwrap();
        fs::write(&path, "an older one").unwrap();
        assert_eq!(write(&folder).unwrap(), path);
        assert_eq!(fs::read_to_string(&path).unwrap(), bundle());
        // From now on nothing can be written.
        fs::create_dir(folder.join("main.cjs.new")).unwrap();
        assert_eq!(write(&folder).unwrap(), path);
        fs::write(&path, "another one").unwrap();
        assert!(write(&folder).is_err());
    }

    #[test]
    fn every_file_is_part_of_it() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/preload");
        let mut there: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        there.retain(|name| name != "loader.cjs");
        there.sort();
        assert_eq!(there, FILES.map(|(name, _)| name));
    }
}
