//! One arena of the allocator.
//!
//! glibc gives threads arenas of their own and keeps memory for each. The agent's threads
//! that wait for files come and go, so what it holds at rest would depend on how many of
//! them have ever met. How many arenas there are is told by a variable that is read before
//! `main`. So the agent starts its program once more: as the same process, with the same
//! descriptors. The application has an allocator of its own and inherits nothing of this.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// glibc's own.
const ARENAS: &str = "MALLOC_ARENA_MAX";

/// Says that the agent has set the other one.
const OURS: &str = "LOCKGATE_ONE_ARENA";

/// Starts the program again, where nobody has said how many arenas there shall be.
/// Returns where that is so, or where it cannot be done: the agent then takes more memory.
#[expect(
    clippy::disallowed_methods,
    reason = "this process becomes its own program, before anything else is read"
)]
pub(crate) fn keep_to_one() {
    if std::env::var_os(ARENAS).is_some() {
        return;
    }
    // Not `/proc/self/exe`: the process would be called `exe`.
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| program.clone().into());
    let _ = Command::new(program)
        .arg0(name)
        .args(arguments)
        .env(ARENAS, "1")
        .env(OURS, "1")
        .exec();
}

/// Whether the agent has set how many arenas it has.
#[expect(clippy::disallowed_methods, reason = "config.rs asks here")]
pub(crate) fn are_ours() -> bool {
    std::env::var_os(OURS).is_some()
}

/// Whether a variable is one of these.
pub(crate) fn is_of_them(name: &OsStr) -> bool {
    name == ARENAS || name == OURS
}
