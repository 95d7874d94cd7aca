//! A program on a terminal, as somebody who sits before it sees it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::pty::{Winsize, openpty};

use crate::until;

/// What Ctrl-C types.
const CTRL_C: &[u8] = b"\x03";

/// A program that has a terminal. Killed when it is dropped.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keyboard: File,
    seen: Arc<Mutex<Vec<u8>>>,
}

#[expect(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test ends by panic, and starts what somebody at a terminal starts"
)]
impl Terminal {
    /// Starts a command on a terminal of so many columns.
    pub(crate) fn start(command: &Command, columns: u16) -> Self {
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let ends = openpty(Some(&size), None).expect("a terminal");
        let stream = || Stdio::from(ends.slave.try_clone().expect("a descriptor"));
        // The terminal becomes the program's own, so that its keys are signals.
        let mut child = Command::new("setsid");
        child.arg("--ctty").arg(command.get_program());
        child.args(command.get_args()).env_clear();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                child.env(name, value);
            }
        }
        child.env_remove("NO_COLOR").env("TERM", "xterm-256color");
        if let Some(folder) = command.get_current_dir() {
            child.current_dir(folder);
        }
        let child = child.stdin(stream()).stdout(stream()).stderr(stream());
        let child = child.spawn().expect("`setsid` starts");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut screen = File::from(ends.master);
        let keyboard = screen.try_clone().expect("a descriptor");
        let writes = Arc::clone(&seen);
        // It ends when nobody has the terminal open any more.
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(read @ 1..) = screen.read(&mut piece) {
                let mut seen = writes.lock().unwrap_or_else(PoisonError::into_inner);
                seen.extend(piece.iter().take(read));
            }
        });
        Self {
            child,
            keyboard,
            seen,
        }
    }

    /// All that has been written to the terminal.
    pub fn seen(&self) -> String {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&seen).into_owned()
    }

    /// Types Ctrl-C and waits for the program's end.
    pub fn interrupt(mut self) -> ExitStatus {
        self.keyboard
            .write_all(CTRL_C)
            .expect("the terminal takes it");
        until("the program ends", Duration::from_secs(10), || {
            self.child.try_wait().expect("a child")
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
