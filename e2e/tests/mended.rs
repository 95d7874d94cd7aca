//! docs/design/mended.md names a test for each defect; each of them is there.

#![expect(clippy::unwrap_used, reason = "a test ends by panic")]

use std::fs;
use std::path::Path;

#[test]
fn every_mended_defect_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/design/mended.md")).unwrap();
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| ") && line.ends_with("` |"));
    let named: Vec<&str> = rows.filter_map(|row| row.rsplit('`').nth(1)).collect();
    assert!(named.len() >= 15, "{named:?}");

    let mut sources = String::new();
    read(&root.join("crates"), &mut sources);
    read(&root.join("e2e/tests"), &mut sources);
    let missing = |name: &&&str| {
        let plain = format!("fn {name}()");
        !sources.contains(&plain)
    };
    let missing: Vec<_> = named.iter().filter(missing).collect();
    assert!(missing.is_empty(), "no test is called {missing:?}");
}

/// Appends all Rust files below a folder.
fn read(folder: &Path, sources: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, sources);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            sources.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}
