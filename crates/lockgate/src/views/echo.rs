//! Keeps a terminal from writing `^C` below redrawn lines.
//!
//! The lines end at the terminal's right edge, so those two letters would begin a new one,
//! and who clears the lines would clear one too few.

use std::io;

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};

/// As long as this lives, control characters are not shown. The terminal is left as it was.
pub(super) struct Unechoed {
    before: Termios,
}

impl Unechoed {
    /// For the terminal on stderr; `None` where there is none, or it is another job's.
    pub(super) fn new() -> Option<Self> {
        let before = tcgetattr(io::stderr()).ok()?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHOCTL);
        set(&quiet)?;
        Some(Self { before })
    }
}

impl Drop for Unechoed {
    fn drop(&mut self) {
        // A terminal that is gone, or another job's by now, is not ours to mend.
        let _ = set(&self.before);
    }
}

/// A job in the background that changes the terminal would be stopped by the kernel.
fn set(settings: &Termios) -> Option<()> {
    let foreground = tcgetpgrp(io::stderr()).ok()? == getpgrp();
    foreground.then(|| tcsetattr(io::stderr(), SetArg::TCSANOW, settings).ok())?
}
