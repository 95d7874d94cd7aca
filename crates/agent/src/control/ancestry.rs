//! Whether a process descends from another, by what the kernel says of parents.

/// A chain of parents is never this long; a loop in a torn reading would be.
const GENERATIONS: usize = 64;

/// Whether `pid` is `ancestor` or descends from it.
pub(super) fn is_below(pid: i32, ancestor: u32) -> bool {
    is_below_by(pid, ancestor, |pid| {
        parent_in(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    })
}

fn is_below_by(pid: i32, ancestor: u32, parent: impl Fn(i32) -> Option<i32>) -> bool {
    let Ok(ancestor) = i32::try_from(ancestor) else {
        return false;
    };
    std::iter::successors(Some(pid), |pid| parent(*pid).filter(|parent| *parent > 0))
        .take(GENERATIONS)
        .any(|pid| pid == ancestor)
}

/// The parent in `/proc/PID/stat`: the second field after the name, which stands in
/// brackets and may hold anything, brackets too.
fn parent_in(stat: &str) -> Option<i32> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_whatever_the_name_holds() {
        assert_eq!(parent_in("12 (node) S 7 12 12 0"), Some(7));
        assert_eq!(parent_in("12 (a) S 9) R 8 12"), Some(8));
        assert_eq!(parent_in("12 (node"), None);
    }

    #[test]
    fn descent_is_followed_over_generations() {
        let parent = |pid| match pid {
            30 => Some(20),
            20 => Some(10),
            10 => Some(1),
            99 => Some(99),
            _ => Some(0),
        };
        assert!(is_below_by(30, 10, parent));
        assert!(is_below_by(10, 10, parent));
        assert!(!is_below_by(10, 20, parent));
        assert!(!is_below_by(99, 10, parent));
    }

    #[test]
    fn this_process_descends_from_its_parent() {
        let own = i32::try_from(std::process::id()).unwrap();
        let parent = std::os::unix::process::parent_id();
        assert!(is_below(own, parent));
        assert!(!is_below(
            i32::try_from(parent).unwrap(),
            std::process::id()
        ));
    }
}
