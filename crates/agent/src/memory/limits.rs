//! How much more memory this process's cgroups and the machine give.
//!
//! Each cgroup from the innermost to the root of what can be seen has a limit of its
//! own, and the smallest room of all counts. File pages that were not used lately are
//! given up before anybody is ended, so they count as free.

use std::path::{Component, Path, PathBuf};

/// Reads a file; `None` where it is missing.
type Read<'a> = &'a dyn Fn(&Path) -> Option<String>;

/// The memory that process `who` (`self`, or a number) can still get. `None` where
/// nothing tells.
pub(super) fn free_bytes(who: &str, read: Read<'_>) -> Option<u64> {
    let own = Path::new("/proc").join(who);
    let cgroup = read(&own.join("cgroup")).unwrap_or_default();
    let mounts = read(&own.join("mountinfo")).unwrap_or_default();
    let of_groups = Hierarchy::all(&cgroup, &mounts)
        .into_iter()
        .flat_map(|hierarchy| hierarchy.rooms(read));
    let of_machine = read(Path::new("/proc/meminfo")).and_then(|text| available(&text));
    of_groups.chain(of_machine).min()
}

/// Whose files these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// A tree of cgroups that may limit memory, and where in it the process is.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    version: Version,
    mount: PathBuf,
    /// Below the mount; empty where the process's own cgroup is mounted there.
    own: PathBuf,
}

impl Hierarchy {
    /// Those of `/proc/PID/cgroup`, where they are mounted: both in a hybrid system.
    fn all(cgroup: &str, mounts: &str) -> Vec<Self> {
        let groups = cgroup.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            if controllers.is_empty() {
                return Some((Version::V2, path));
            }
            let of_memory = controllers.split(',').any(|it| it == "memory");
            of_memory.then_some((Version::V1, path))
        });
        groups
            .filter_map(|(version, path)| Self::mounted(version, Path::new(path), mounts))
            .collect()
    }

    /// A container sees a part of the tree: the mount's root is cut off the path. A
    /// path that does not lead there is one as seen from outside; then the mount
    /// itself is the process's own.
    fn mounted(version: Version, path: &Path, mounts: &str) -> Option<Self> {
        let mut of_version =
            mounts
                .lines()
                .filter_map(|line| mount(line, version))
                .map(|(root, mount)| {
                    let below = path.strip_prefix(&root).ok().filter(|own| is_plain(own));
                    (below.map(Path::to_owned), mount)
                });
        let first = of_version.next()?;
        let chosen = match first {
            (Some(_), _) => first,
            (None, _) => of_version.find(|(own, _)| own.is_some()).unwrap_or(first),
        };
        Some(Self {
            version,
            own: chosen.0.unwrap_or_default(),
            mount: chosen.1,
        })
    }

    /// What each cgroup leaves, from the innermost outwards.
    fn rooms(&self, read: Read<'_>) -> Vec<u64> {
        self.own
            .ancestors()
            .filter_map(|below| self.room(&self.mount.join(below), read))
            .collect()
    }

    fn room(&self, folder: &Path, read: Read<'_>) -> Option<u64> {
        let number = |name| read(&folder.join(name))?.trim().parse::<u64>().ok();
        let stat = read(&folder.join("memory.stat")).unwrap_or_default();
        let (limits, used, unused_files) = match self.version {
            Version::V1 => (
                [
                    number("memory.limit_in_bytes"),
                    // Also of cgroups further out than can be seen.
                    field(&stat, "hierarchical_memory_limit"),
                ],
                number("memory.usage_in_bytes")?,
                field(&stat, "total_inactive_file"),
            ),
            // `max` is no number: no limit.
            Version::V2 => (
                [number("memory.max"), number("memory.high")],
                number("memory.current")?,
                field(&stat, "inactive_file"),
            ),
        };
        let limit = limits.into_iter().flatten().min()?;
        let held = used.saturating_sub(unused_files.unwrap_or(0));
        Some(limit.saturating_sub(held))
    }
}

/// Root and place of a mount of this version that shows memory.
fn mount(line: &str, version: Version) -> Option<(PathBuf, PathBuf)> {
    let (place, what) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3).map(unescaped);
    let (root, mount) = (place.next()?, place.next()?);
    let mut what = what.split(' ');
    let (kind, options) = (what.next()?, what.nth(1)?);
    let fits = match version {
        Version::V1 => kind == "cgroup" && options.split(',').any(|it| it == "memory"),
        Version::V2 => kind == "cgroup2",
    };
    fits.then_some((root, mount))
}

/// A path of mountinfo, where a space is `\040`.
fn unescaped(path: &str) -> PathBuf {
    path.replace("\\040", " ").into()
}

/// Whether a path stays below where it begins.
fn is_plain(path: &Path) -> bool {
    path.components()
        .all(|it| matches!(it, Component::Normal(_)))
}

/// The value of a line `NAME VALUE`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(' ')?;
        (found == name).then(|| value.parse().ok())?
    })
}

/// `MemAvailable` of `/proc/meminfo`, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    super::usage::kibibytes(meminfo, "MemAvailable")
}

#[cfg(test)]
mod tests;
