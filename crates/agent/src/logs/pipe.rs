//! Somebody else's pipe or terminal, who may read slowly, not at all, or be gone.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::queue::Queue;

/// How much is written at once: what a pipe takes as a whole.
const PIECE: usize = 4096;

/// Writes what comes until the end of the queue. Where the other end is gone, so is
/// what was meant for it.
pub(super) fn pour(queue: &Queue, pipe: &File) {
    let mut text = String::new();
    while queue.take(&mut text) {
        for piece in text.as_bytes().chunks(PIECE) {
            if write(pipe, piece).is_err() {
                break;
            }
            queue.wrote();
        }
    }
}

fn write(mut pipe: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match pipe.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Somebody who shares it has made it so that it does not wait.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                is_writable(pipe.as_fd(), PollTimeout::NONE)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits until a write of one piece would not block; false when it still would.
pub(super) fn is_writable(to: BorrowedFd<'_>, within: PollTimeout) -> io::Result<bool> {
    wait_for(to, PollFlags::POLLOUT, within).map(|ready| !ready.is_empty())
}

/// Waits, and says whether the reader of this pipe or terminal has gone meanwhile.
pub(super) fn is_left(to: BorrowedFd<'_>, within: PollTimeout) -> bool {
    // A file or device that cannot be asked has no reader that could go.
    wait_for(to, PollFlags::empty(), within).is_ok_and(|ready| !ready.is_empty())
}

fn wait_for(to: BorrowedFd<'_>, what: PollFlags, within: PollTimeout) -> io::Result<PollFlags> {
    let mut asked = [PollFd::new(to, what)];
    match poll(&mut asked, within) {
        Ok(_) | Err(Errno::EINTR) => {
            let [asked] = asked;
            Ok(asked.revents().unwrap_or(PollFlags::empty()))
        }
        Err(error) => Err(error.into()),
    }
}
