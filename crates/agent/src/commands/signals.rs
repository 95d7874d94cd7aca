//! What asks the agent to end or to reload: signals, and the parent's pipe.

use std::io::{self, Read as _};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// TERM or INT: end, and the second time at once.
    End(&'static str),
    /// The parent is gone.
    ParentGone,
    /// HUP.
    Reload,
}

/// All that may ask.
pub(super) struct Askers {
    term: Signal,
    interrupt: Signal,
    hang_up: Signal,
    stdin: mpsc::Receiver<()>,
    /// Keeps `stdin` from ending where it is not watched.
    _stdin_open: Option<mpsc::Sender<()>>,
}

impl Askers {
    /// Listens from now on. With `watch_stdin` the end of stdin counts too.
    pub(super) fn listen(watch_stdin: bool) -> io::Result<Self> {
        let (closed, stdin) = mpsc::channel(1);
        let open = if watch_stdin {
            std::thread::Builder::new()
                .name("stdin".to_owned())
                .spawn(move || wait_for_end_of_stdin(&closed))?;
            None
        } else {
            Some(closed)
        };
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            stdin,
            _stdin_open: open,
        })
    }

    /// The next thing that is asked. The parent's end is told once.
    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.term.recv() => Asked::End("TERM"),
            _ = self.interrupt.recv() => Asked::End("INT"),
            _ = self.hang_up.recv() => Asked::Reload,
            Some(()) = self.stdin.recv() => Asked::ParentGone,
        }
    }
}

/// Blocks until nobody holds the other end of stdin any more.
fn wait_for_end_of_stdin(closed: &mpsc::Sender<()>) {
    let mut ignored = [0; 256];
    let mut stdin = io::stdin().lock();
    loop {
        match stdin.read(&mut ignored) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    // The agent may have ended meanwhile.
    let _ = closed.blocking_send(());
}
