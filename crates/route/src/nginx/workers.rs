//! Tells when a reload has taken effect.
//!
//! nginx answers a HUP with nothing: it starts new workers, and a moment later tells the
//! old ones to accept no more. Until then either may take the next connection.

use std::fs;
use std::time::Duration;

use tokio::time::{sleep, timeout};

/// How a worker calls itself once it accepts no more.
const LEAVES: &[u8] = b"shutting down";

/// How often is looked.
const EVERY: Duration = Duration::from_millis(5);

/// How long a reload may take before it is left to itself; it takes about 0.1 s.
const WITHIN: Duration = Duration::from_secs(2);

/// The worker processes of a master.
pub fn workers(master: i32) -> Vec<i32> {
    let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children"));
    let children = children.unwrap_or_default();
    children
        .split_ascii_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// Waits until none of the workers from before a reload accepts any more, and others do.
pub async fn await_reload(master: i32, before: &[i32]) {
    let waiting = async {
        while before.iter().any(|pid| accepts(*pid)) || !workers(master).into_iter().any(accepts) {
            sleep(EVERY).await;
        }
    };
    // Where it takes longer, new routes are late and nothing else.
    if timeout(WITHIN, waiting).await.is_err() {
        tracing::warn!(master, "nginx takes long to reload");
    }
}

/// Whether a worker is there and was not told to leave.
fn accepts(pid: i32) -> bool {
    // Of a process that is gone or dead there is nothing to read.
    let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    !title.is_empty() && !title.windows(LEAVES.len()).any(|part| part == LEAVES)
}
