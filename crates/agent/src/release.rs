//! Makes the gateway's root point at a release: one rename of a symlink, so that
//! whoever looks sees the old release or the new one.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tracing::{info, warn};

/// Why the root does not point at the release.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SwapError {
    /// The root is a place in which no symlink can be put.
    #[error("`{0}` is not a path with a name")]
    NoName(PathBuf),
    /// A step on the way.
    #[error("cannot {act} `{path}`")]
    Step {
        act: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Points `root` at `release` (below `releases`). What was found at `root` and is no
/// symlink into `releases` is moved aside; its new path is given back.
pub(crate) fn swap(
    root: &Path,
    releases: &Path,
    release: &Path,
    now: SystemTime,
) -> Result<Option<PathBuf>, SwapError> {
    let step = |act, path: &Path| {
        let path = path.to_owned();
        move |source| SwapError::Step { act, path, source }
    };
    let (Some(parent), Some(name)) = (root.parent(), root.file_name()) else {
        return Err(SwapError::NoName(root.to_owned()));
    };
    let name = name.to_string_lossy();
    std::fs::create_dir_all(parent).map_err(step("make the folder", parent))?;

    let mut moved = None;
    match std::fs::read_link(root) {
        Ok(target) if target == release => return Ok(None),
        Ok(target) if target.starts_with(releases) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // Another symlink, a folder, a file: somebody else's.
        Ok(_) | Err(_) => {
            let aside = parent.join(format!("{name}.found-{}", time_in_a_name(now)));
            std::fs::rename(root, &aside).map_err(step("move aside", root))?;
            warn!(found = %root.display(), moved_to = %aside.display(), "the gateway's root was not ours");
            moved = Some(aside);
        }
    }
    let temp = parent.join(format!(".{name}.next"));
    match std::fs::remove_file(&temp) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(step("remove", &temp)(error)),
    }
    symlink(release, &temp).map_err(step("make the symlink", &temp))?;
    std::fs::rename(&temp, root).map_err(step("replace", root))?;
    info!(root = %root.display(), release = %release.display(), "release in place");
    Ok(moved)
}

/// `2026-11-22T10-30-00Z`: sorts by time and needs no quotes.
fn time_in_a_name(now: SystemTime) -> String {
    humantime::format_rfc3339_seconds(now)
        .to_string()
        .replace(':', "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Case {
        _dir: tempfile::TempDir,
        root: PathBuf,
        releases: PathBuf,
    }

    fn case() -> Case {
        let dir = tempfile::tempdir().unwrap();
        let releases = dir.path().join("lockgate/releases");
        for build in ["a", "b"] {
            fs::create_dir_all(releases.join(build)).unwrap();
        }
        Case {
            root: dir.path().join("opt/gateway"),
            releases,
            _dir: dir,
        }
    }

    fn swapped(case: &Case, build: &str) -> Option<PathBuf> {
        let release = case.releases.join(build);
        let moved = swap(&case.root, &case.releases, &release, SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(fs::read_link(&case.root).unwrap(), release);
        moved
    }

    #[test]
    fn the_root_follows_each_release() {
        let case = case();
        assert_eq!(swapped(&case, "a"), None);
        assert_eq!(swapped(&case, "b"), None);
        assert_eq!(swapped(&case, "b"), None);
        assert_eq!(swapped(&case, "a"), None);
        let left = fs::read_dir(case.root.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "nothing but the root is left");
    }

    #[test]
    fn what_is_not_ours_is_moved_aside() {
        let case = case();
        fs::create_dir_all(case.root.join("app")).unwrap();
        let moved = swapped(&case, "a").unwrap();
        assert!(moved.ends_with("gateway.found-1970-01-01T00-00-00Z"));
        assert!(moved.join("app").is_dir());

        fs::remove_dir_all(&moved).unwrap();
        fs::remove_file(&case.root).unwrap();
        symlink("/somewhere/else", &case.root).unwrap();
        let moved = swapped(&case, "b").unwrap();
        assert_eq!(fs::read_link(moved).unwrap(), Path::new("/somewhere/else"));
    }

    #[test]
    fn a_leftover_of_a_crash_is_no_hindrance() {
        let case = case();
        let parent = case.root.parent().unwrap();
        fs::create_dir_all(parent).unwrap();
        symlink("/half/done", parent.join(".gateway.next")).unwrap();
        assert_eq!(swapped(&case, "a"), None);
    }
}
