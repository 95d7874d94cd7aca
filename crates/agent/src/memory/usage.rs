//! How much memory a process and what it started hold, and who belongs to it.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

/// A family is never this large; one whose numbers are given anew while it is read
/// could seem so.
const MOST_FAMILY: usize = 4096;

/// What the processes of a session use; `None` where it has none, or they are hidden.
pub(super) fn of_session(leader: Pid) -> Option<u64> {
    let members = fs::read_dir("/proc").ok()?.filter_map(|entry| {
        let folder = entry.ok()?.path();
        let stat = fs::read_to_string(folder.join("stat")).ok()?;
        (session_in(&stat)? == leader.as_raw()).then_some(folder)
    });
    members
        .filter_map(|folder| of_process(&folder))
        .reduce(|all, one| all + one)
}

/// Pages that several processes share are divided among them, where the kernel says
/// so; else they count for each.
fn of_process(folder: &Path) -> Option<u64> {
    let read = |name, field| kibibytes(&fs::read_to_string(folder.join(name)).ok()?, field);
    read("smaps_rollup", "Pss").or_else(|| read("status", "VmRSS"))
}

/// A process and all that descends from it. Where the kernel does not list children,
/// the process alone.
pub(super) fn family(leader: Pid) -> Vec<Pid> {
    let mut family = vec![leader];
    let mut looked_at = 0;
    while let Some(&one) = family.get(looked_at)
        && family.len() < MOST_FAMILY
    {
        family.extend(children(one));
        looked_at += 1;
    }
    family
}

/// The children of each of a process's threads.
fn children(pid: Pid) -> Vec<Pid> {
    let folder: PathBuf = ["/proc", &pid.to_string(), "task"].iter().collect();
    let Ok(threads) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| {
            let pids = list
                .split_ascii_whitespace()
                .filter_map(|it| it.parse().ok());
            pids.map(Pid::from_raw).collect::<Vec<_>>()
        })
        .collect()
}

/// The session in `/proc/PID/stat`: the fourth field after the name, which stands in
/// brackets and may hold anything, brackets too.
fn session_in(stat: &str) -> Option<i32> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(3)?.parse().ok()
}

/// The value of a line `NAME:   VALUE kB`, in bytes.
pub(super) fn kibibytes(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        let value = value.trim().strip_suffix(" kB")?;
        (found == name)
            .then(|| value.parse::<u64>().ok())?
            .map(|it| it << 10)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_found_whatever_the_name_holds() {
        assert_eq!(session_in("12 (node) S 7 12 11 0 -1"), Some(11));
        assert_eq!(session_in("12 (a) S 9) R 8 12 13 0"), Some(13));
        assert_eq!(session_in("12 (node"), None);
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "Rss:   51432 kB\nPss_Anon:   7 kB\nPss:   2 kB\nTHPeligible:    0\n";
        assert_eq!(kibibytes(text, "Pss"), Some(2048));
        assert_eq!(kibibytes(text, "THPeligible"), None);
        assert_eq!(kibibytes(text, "Swap"), None);
    }
}
