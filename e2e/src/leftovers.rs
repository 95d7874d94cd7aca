//! Processes that belong to a world, found by the folder in their environment.

use std::path::Path;
use std::time::{Duration, Instant};

/// The numbers of all processes, this one left out, whose environment or command
/// line names `folder`.
pub(crate) fn processes_of(folder: &Path) -> Vec<i32> {
    let needle = folder.as_os_str().as_encoded_bytes();
    let own = std::process::id().to_string();
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| **name != own) else {
            continue;
        };
        let Ok(pid) = name.parse::<i32>() else {
            continue;
        };
        let of_world = ["environ", "cmdline"].iter().any(|file| {
            std::fs::read(entry.path().join(file))
                .is_ok_and(|text| text.windows(needle.len()).any(|part| part == needle))
        });
        if of_world && !is_zombie(pid) {
            found.push(pid);
        }
    }
    found
}

/// What is left of a world once its processes had five seconds to end.
#[expect(
    clippy::disallowed_methods,
    reason = "the deadline is read here and nowhere else"
)]
pub(crate) fn settled(folder: &Path) -> Vec<i32> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let left = processes_of(folder);
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_zombie(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.starts_with(" Z"))
    })
}

/// A line for each process: number and command.
pub(crate) fn describe(pids: &[i32]) -> String {
    let line = |pid: &i32| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        format!(
            "{pid} {}",
            String::from_utf8_lossy(&command).replace('\0', " ")
        )
    };
    pids.iter().map(line).collect::<Vec<_>>().join("\n")
}
