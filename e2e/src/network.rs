//! A network of its own for each journey, so that two at once never take each other's ports.
//!
//! A namespace is a thread's, and what it starts inherits it. Who may not make one takes
//! turns instead.

use std::fs::File;
use std::process::Command;
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sched::{CloneFlags, unshare};

/// Held until the process ends.
static TURN: OnceLock<Flock<File>> = OnceLock::new();

/// Gives this thread and all that it starts a loopback of their own, where they have none yet.
#[expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "journeys start the programs here; a test ends by panic"
)]
pub(crate) fn enter() {
    let network = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/net")).ok();
    if network("self") != network("thread-self") {
        return;
    }
    match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => {
            let up = Command::new("ip")
                .args(["link", "set", "lo", "up"])
                .status();
            assert!(up.expect("`ip` is installed").success(), "loopback is up");
        }
        Err(Errno::EPERM) => take_turn(),
        Err(error) => unreachable!("a network namespace: {error}"),
    }
}

#[expect(clippy::expect_used, reason = "a test ends by panic")]
fn take_turn() {
    TURN.get_or_init(|| {
        let path = std::env::temp_dir().join("lockgate-journeys.lock");
        let file = File::create(path).expect("a lock's file");
        let locked = Flock::lock(file, FlockArg::LockExclusive);
        locked.map_err(|(_, error)| error).expect("a lock")
    });
}

/// Gives the loopback of this thread another address; false where it is the machine's own.
#[expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "journeys start the programs here; a test ends by panic"
)]
pub(crate) fn add_address(address: &str) -> bool {
    let network = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/net")).ok();
    if network("self") == network("thread-self") {
        return false;
    }
    let added = Command::new("ip")
        .args(["address", "add", address, "dev", "lo"])
        .status();
    added.expect("`ip` is installed").success()
}
