//! Memory: whether there is room for a second process, and which one the kernel ends
//! first when there is none.

#![expect(dead_code, reason = "the supervisor takes it up next")]

use nix::unistd::Pid;

/// The `oom_score_adj` of a process that serves: it is ended before the agent, which
/// would start it again, and before most others.
pub(crate) const SERVING: i32 = 500;

/// The `oom_score_adj` of a process that is held: it is ended before the one that
/// serves.
pub(crate) const HELD: i32 = 800;

/// There is too little memory for a second process.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{free} of memory are free, the running process uses {used}", free = mebibytes(*.free_bytes), used = mebibytes(*.running_bytes))]
pub(crate) struct TooLittle {
    /// What could be had.
    pub(crate) free_bytes: u64,
    /// What the running process and its group use.
    pub(crate) running_bytes: u64,
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// Whether a second process like this one, with its whole session, has room beside
/// it. What cannot be found out counts as enough.
#[expect(clippy::unused_async, reason = "reading /proc is put aside next")]
pub(crate) async fn room_for_second(_leader: Pid) -> Result<(), TooLittle> {
    Ok(())
}

/// A held process goes through the gate: from now on it is one that serves.
pub(crate) fn settle(leader: Pid) {
    // Gone in the meantime, or somebody else's by now.
    let _ = std::fs::write(format!("/proc/{leader}/oom_score_adj"), SERVING.to_string());
}
