//! Which bundles are validated: globs made into paths.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Folders that hold other people's code or the past.
const SKIPPED: [&str; 3] = ["node_modules", ".git", "target"];

/// A glob that does not parse.
#[derive(Debug, thiserror::Error)]
#[error("`{glob}` is not a glob")]
pub(crate) struct GlobError {
    glob: String,
    source: globset::Error,
}

/// All files below `root` that match a glob, sorted, and `always`, relative to `root` where they lie in it.
pub(crate) fn find(
    root: &Path,
    globs: &[String],
    always: Option<&Path>,
) -> Result<Vec<PathBuf>, GlobError> {
    let set = compile(globs)?;
    let mut found: BTreeSet<PathBuf> = always
        .map(|path| relative(root, path))
        .into_iter()
        .collect();
    for start in starts(globs) {
        walk(root, &start, &set, &mut found);
    }
    Ok(found.into_iter().collect())
}

/// The path below `root`, or as it is where it lies elsewhere.
pub(crate) fn relative(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_owned()
}

fn compile(globs: &[String]) -> Result<GlobSet, GlobError> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let compiled = GlobBuilder::new(glob)
            .literal_separator(true)
            .build()
            .map_err(|source| GlobError {
                glob: glob.clone(),
                source,
            })?;
        set.add(compiled);
    }
    set.build().map_err(|source| GlobError {
        glob: globs.join(", "),
        source,
    })
}

/// The folders before the first wildcard, so that a walk stays small.
fn starts(globs: &[String]) -> BTreeSet<PathBuf> {
    globs
        .iter()
        .map(|glob| {
            let parts: Vec<&str> = glob.split('/').collect();
            let literal = |part: &&&str| !part.contains(['*', '?', '[', '{']);
            let folders = parts.len().saturating_sub(1);
            parts.iter().take(folders).take_while(literal).collect()
        })
        .collect()
}

fn walk(root: &Path, folder: &Path, set: &GlobSet, found: &mut BTreeSet<PathBuf>) {
    // A folder that is not there or not readable holds no bundle of ours.
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else {
        return;
    };
    for entry in entries.flatten() {
        let path = folder.join(entry.file_name());
        let skipped = SKIPPED.iter().any(|name| entry.file_name() == *name);
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !skipped => walk(root, &path, set, found),
            Ok(kind) if kind.is_file() && set.is_match(&path) => {
                found.insert(path);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_find_bundles_and_nothing_below_node_modules() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "dist/packages/app-a/main.js",
            "dist/packages/app-b/main.js",
            "dist/packages/lib/main.js",
            "dist/packages/app-a/deep/main.js",
            "dist/packages/node_modules/main.js",
        ] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let check = |glob: &str, always: Option<&str>, expected: &[&str]| {
            let always = always.map(|path| folder.path().join(path));
            let found = find(folder.path(), &[glob.to_owned()], always.as_deref()).unwrap();
            assert_eq!(
                found,
                expected.iter().map(PathBuf::from).collect::<Vec<_>>(),
                "{glob}"
            );
        };
        check(
            "dist/packages/app-*/main.js",
            None,
            &["dist/packages/app-a/main.js", "dist/packages/app-b/main.js"],
        );
        check(
            "dist/packages/app-a/main.js",
            Some("dist/packages/app-a/main.js"),
            &["dist/packages/app-a/main.js"],
        );
        check(
            "**/lib/*.js",
            Some("x/missing.js"),
            &["dist/packages/lib/main.js", "x/missing.js"],
        );
        check("*/node_modules/*.js", None, &[]);
    }

    #[test]
    fn a_bad_glob_is_named() {
        let error = find(Path::new("/"), &["a[".to_owned()], None).unwrap_err();
        assert_eq!(error.to_string(), "`a[` is not a glob");
    }
}
