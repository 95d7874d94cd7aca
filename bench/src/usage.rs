//! What a process uses: processor time, memory, and how often it wakes up.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::BenchError;

/// The kernel counts processor time in hundredths of a second, on every Linux of today.
const TICK: Duration = Duration::from_millis(10);

/// The processor time that a process has used, also by threads that have ended.
pub(crate) fn processor_time(pid: u32) -> Result<Duration, BenchError> {
    let path = PathBuf::from(format!("/proc/{pid}/stat"));
    let text = read(&path)?;
    let ticks = ticks(&text).ok_or_else(|| unexpected(&path, &text))?;
    Ok(TICK * ticks)
}

/// The processor time that a process and those it has started have used: nginx works in
/// children.
pub(crate) fn processor_time_of_all(pid: u32) -> Result<Duration, BenchError> {
    let path = PathBuf::from(format!("/proc/{pid}/task/{pid}/children"));
    let children = read(&path)?;
    let mut sum = processor_time(pid)?;
    for child in children.split_whitespace() {
        let child = child.parse().map_err(|_| unexpected(&path, &children))?;
        sum += processor_time_of_all(child)?;
    }
    Ok(sum)
}

/// User and system time in ticks: the 14th and 15th field, the name in brackets being
/// the second, whatever it holds.
fn ticks(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Memory in bytes: what is resident, and what of it is not shared with others (shared
/// pages are counted in parts).
pub(crate) fn memory(pid: u32) -> Result<(u64, u64), BenchError> {
    let path = PathBuf::from(format!("/proc/{pid}/smaps_rollup"));
    let text = read(&path)?;
    let bytes = |name| number(&text, name).map(|kilobytes| kilobytes * 1024);
    match (bytes("Rss:"), bytes("Pss:")) {
        (Some(rss), Some(pss)) => Ok((rss, pss)),
        _ => Err(unexpected(&path, &text)),
    }
}

/// How often its threads have gone to sleep by themselves, and so woken up.
pub(crate) fn wake_ups(pid: u32) -> Result<u64, BenchError> {
    let folder = PathBuf::from(format!("/proc/{pid}/task"));
    let threads = folder.read_dir().map_err(BenchError::io("read", &folder))?;
    let mut sum = 0;
    for thread in threads.flatten() {
        let path = thread.path().join("status");
        // A thread may have ended meanwhile.
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        let count = number(&text, "voluntary_ctxt_switches:");
        sum += count.ok_or_else(|| unexpected(&path, &text))?;
    }
    Ok(sum)
}

/// The number behind a name at the beginning of a line.
fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn read(path: &Path) -> Result<String, BenchError> {
    std::fs::read_to_string(path).map_err(BenchError::io("read", path))
}

fn unexpected(path: &Path, text: &str) -> BenchError {
    BenchError::Unexpected {
        what: format!("`{}` holds something else: {text}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_bracket_moves_no_field() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 12 30 0 0 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("nothing"), None);
    }

    #[test]
    fn a_number_is_found_by_the_whole_name() {
        let text = "nonvoluntary_ctxt_switches:\t7\nvoluntary_ctxt_switches:\t40\nRss:   12 kB\n";
        assert_eq!(number(text, "voluntary_ctxt_switches:"), Some(40));
        assert_eq!(number(text, "Rss:"), Some(12));
        assert_eq!(number(text, "Pss:"), None);
    }

    #[test]
    fn this_process_can_be_measured() {
        let own = std::process::id();
        let (rss, pss) = memory(own).unwrap();
        assert!(rss >= pss && pss > 0);
        assert!(processor_time_of_all(own).unwrap() >= processor_time(own).unwrap());
        wake_ups(own).unwrap();
    }
}
