//! The mark that tells which start of which agent a process comes from.
//!
//! It is carried twice, and children inherit both:
//!
//! - as a variable in the environment, which a person can read. `env -i` takes it away,
//!   a process title may be written over it, and a process that dies has no environment
//!   any more while it still holds its ports;
//! - as a number in the soft limit on file locks, which Linux keeps for every process
//!   until it is reaped, shows to everybody in `/proc/PID/limits`, and has not looked at
//!   itself since 2.4. Where a container allows no such number, the variable is all
//!   there is.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The variable that holds the mark.
const VARIABLE: &str = "LOCKGATE_START";

/// The line of `/proc/PID/limits` that holds the number.
const LIMIT: &[u8] = b"Max file locks";

/// How many of the number's bits tell the start; the 44 above them tell the agent, and
/// the highest is 0, since all ones would mean "no limit".
const START_BITS: u32 = 19;

/// What one start carries: the PID namespace and the folder of the agent's state, which
/// no two living agents share, and the numbers of the agent and of the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The beginning of all marks of a state folder.
    state: OsString,
    /// Agent and start; `None` for all of them.
    start: Option<(u32, u64)>,
}

impl Mark {
    /// The mark of one start.
    pub(crate) fn new(state_dir: &Path, agent: u32, start: u64) -> Self {
        Self {
            start: Some((agent, start)),
            ..Self::of_state(state_dir)
        }
    }

    /// The beginning of all marks of a state folder, also those of earlier agents.
    pub(crate) fn of_state(state_dir: &Path) -> Self {
        // Containers are seen from their host, and their folders have the same names.
        let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let mut state = state_dir.as_os_str().to_owned();
        state.push("#");
        state.push(namespace);
        state.push("#");
        Self { state, start: None }
    }

    /// The variable to be set.
    pub(crate) fn variable(&self) -> (OsString, OsString) {
        let mut value = self.state.clone();
        if let Some((agent, start)) = self.start {
            value.push(format!("{agent}-{start}"));
        }
        (VARIABLE.into(), value)
    }

    /// Whether an environment, as in `/proc/PID/environ`, carries this mark: whole,
    /// or as a beginning.
    pub(super) fn is_in_environment(&self, environ: &[u8]) -> bool {
        let (_, mark) = self.variable();
        value_in(environ).is_some_and(|value| match self.start {
            Some(_) => value == mark.as_bytes(),
            None => value.starts_with(mark.as_bytes()),
        })
    }

    /// Whether limits, as in `/proc/PID/limits`, carry this mark.
    pub(super) fn is_in_limits(&self, limits: &[u8]) -> bool {
        soft_limit_in(limits).is_some_and(|number| match self.start {
            Some(_) => number == self.number(),
            None => number >> START_BITS == self.number() >> START_BITS,
        })
    }

    /// The number that stands for it among the limits.
    pub(super) fn number(&self) -> u64 {
        let agent = fingerprint(self.state.as_bytes()) >> (START_BITS + 1);
        let start = self.start.map_or(0, |(_, start)| start);
        (agent << START_BITS) | (start & ((1 << START_BITS) - 1))
    }
}

/// The number of the mark in an environment.
pub(super) fn number_in(environment: &[(OsString, OsString)]) -> Option<u64> {
    let (_, value) = environment.iter().find(|(name, _)| name == VARIABLE)?;
    let text = value.as_bytes();
    let end = text.iter().rposition(|byte| *byte == b'#')? + 1;
    let (state, numbers) = text.split_at_checked(end)?;
    let (agent, start) = std::str::from_utf8(numbers).ok()?.split_once('-')?;
    let mark = Mark {
        state: OsStr::from_bytes(state).to_owned(),
        start: Some((agent.parse().ok()?, start.parse().ok()?)),
    };
    Some(mark.number())
}

/// Takes on a mark's number, for this process and all that come from it.
pub(crate) fn imprint(number: u64) {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_LOCKS) {
        // A container may set a limit below it.
        let _ = setrlimit(Resource::RLIMIT_LOCKS, number, hard);
    }
}

fn value_in(environ: &[u8]) -> Option<&[u8]> {
    environ.split(|byte| *byte == 0).find_map(|entry| {
        entry
            .strip_prefix(VARIABLE.as_bytes())
            .and_then(|rest| rest.strip_prefix(b"="))
    })
}

fn soft_limit_in(limits: &[u8]) -> Option<u64> {
    let rest = limits
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(LIMIT))?;
    let soft = std::str::from_utf8(rest).ok()?.split_ascii_whitespace();
    soft.into_iter().next()?.parse().ok()
}

/// FNV-1a: the same in every version of the agent, since a newer one ends what an
/// older one left behind.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel shows it.
    fn limits(soft: &str) -> Vec<u8> {
        format!(
            "Limit                     Soft Limit           Hard Limit           Units     \n\
             Max locked memory         8388608              8388608              bytes     \n\
             Max file locks            {soft:<20} unlimited            locks     \n"
        )
        .into_bytes()
    }

    fn environ(before: &str, mark: &Mark) -> Vec<u8> {
        let (name, value) = mark.variable();
        let (name, value) = (name.to_str().unwrap(), value.to_str().unwrap());
        format!("PATH=/bin\0{before}{name}={value}\0A=b\0").into_bytes()
    }

    #[test]
    fn a_mark_is_found_whole_or_by_its_state() {
        let state = Path::new("/opt/lockgate");
        let one = Mark::new(state, 7, 1);
        let carried = environ("", &one);
        assert!(one.is_in_environment(&carried));
        assert!(Mark::of_state(state).is_in_environment(&carried));
        for other in [
            Mark::new(state, 7, 11),
            Mark::new(state, 1, 1),
            Mark::of_state(Path::new("/opt/lock")),
        ] {
            assert!(!other.is_in_environment(&carried), "{other:?}");
        }
        assert!(!one.is_in_environment(&environ("X=", &one)));
    }

    #[test]
    fn a_number_is_found_whole_or_by_its_state() {
        let state = Path::new("/opt/lockgate");
        let one = Mark::new(state, 7, 1);
        let limits = limits(&one.number().to_string());
        assert!(one.is_in_limits(&limits));
        assert!(Mark::of_state(state).is_in_limits(&limits));
        assert!(!Mark::new(state, 7, 2).is_in_limits(&limits));
        assert!(!Mark::of_state(Path::new("/opt/lock")).is_in_limits(&limits));
    }

    #[test]
    fn other_limits_are_no_mark() {
        let mark = Mark::of_state(Path::new("/opt/lockgate"));
        for soft in ["unlimited", "0", "1024", "", "18446744073709551615"] {
            assert!(!mark.is_in_limits(&limits(soft)), "{soft}");
        }
        assert!(!mark.is_in_limits(b""));
    }

    #[test]
    fn the_number_is_the_one_of_the_variable() {
        // A folder may be called anything.
        let mark = Mark::new(Path::new("/a#b/c"), 7, 3);
        let environment = [("PATH".into(), "/bin".into()), mark.variable()];
        assert_eq!(number_in(&environment), Some(mark.number()));
        assert_eq!(number_in(&environment[..1]), None);
        let cut = [(VARIABLE.into(), "/a#".into())];
        assert_eq!(number_in(&cut), None);
    }
}
