//! How many files a process may have open.
//!
//! Each connection through the door takes two, and the soft limit of 1024 that most
//! systems give would be reached by some hundred clients; then the agent could not
//! even start an application. What it starts gets the limit as it was, for programs
//! that cannot count further.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the soft limit to the hard one, and gives the one before.
pub(crate) fn raise() -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).ok()?;
    Some(soft)
}

/// Sets the soft limit, where that is allowed.
pub(crate) fn lower(soft: u64) {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard);
    }
}
