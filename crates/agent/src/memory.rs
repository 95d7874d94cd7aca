//! Memory: whether there is room for a second process, and which one the kernel ends
//! first when there is none.
//!
//! ```text
//!   limits: cgroup v1, v2, /proc/meminfo ─▶ free bytes ─┐
//!                                                       ├─▶ decide
//!   usage: the running process's session ─▶ used bytes ─┘
//! ```
//!
//! What cannot be found out counts as enough: a file that is missing must not keep a
//! reload from being gated.

mod limits;
mod usage;

use std::fs;
use std::path::Path;

use nix::unistd::Pid;

/// The `oom_score_adj` of a process that serves: it is ended before the agent, which
/// would start it again, and before most others.
pub(crate) const SERVING: i32 = 500;

/// The `oom_score_adj` of a process that is held: it is ended before the one that
/// serves. The kernel adds it to a process's share of the memory, in thousandths: at
/// 800 the one that serves is still ended first where it holds a third more of the
/// memory than one that has just begun to boot.
pub(crate) const HELD: i32 = 1000;

/// What is kept free for the agent, which unpacks and checks a build meanwhile: three
/// times what it holds at rest.
const RESERVE_BYTES: u64 = 32 << 20;

/// There is too little memory for a second process. In bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} MiB of memory are free, {} MiB are needed: the running process uses {} MiB",
    .free >> 20, .needed >> 20, .running >> 20
)]
pub(crate) struct TooLittle {
    free: u64,
    needed: u64,
    running: u64,
}

/// Whether a second process like this one, with its whole session, has room beside it.
pub(crate) async fn room_for_second(leader: Pid) -> Result<(), TooLittle> {
    let read = tokio::task::spawn_blocking(move || {
        let free = limits::free_bytes("self", &|path| fs::read_to_string(path).ok());
        (free, usage::of_session(leader))
    });
    match read.await {
        Ok((Some(free), Some(running))) => decide(free, running),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// A process that is held has served nothing, but parsing its code takes more than
/// what is left of that once it serves: an eighth to a sixth more, measured with 9 MB
/// of code on Node 20 and 22. A fifth covers it.
fn decide(free_bytes: u64, running_bytes: u64) -> Result<(), TooLittle> {
    let needed = running_bytes + running_bytes / 5 + RESERVE_BYTES;
    if free_bytes >= needed {
        return Ok(());
    }
    Err(TooLittle {
        free: free_bytes,
        needed,
        running: running_bytes,
    })
}

/// A held process goes through the gate: from now on it is one that serves, and so
/// are its children. Lowering a score that the agent itself has raised needs no right.
pub(crate) fn settle(leader: Pid) {
    for pid in usage::family(leader) {
        let score = Path::new("/proc")
            .join(pid.to_string())
            .join("oom_score_adj");
        let held = fs::read_to_string(&score).is_ok_and(|it| it.trim().parse() == Ok(HELD));
        if held {
            // Gone in the meantime, or another user's.
            let _ = fs::write(&score, SERVING.to_string());
        }
    }
}

#[cfg(test)]
pub(crate) mod group;
#[cfg(test)]
mod tests;
