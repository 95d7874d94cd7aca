//! What asks the agent to end, to reload or to pass something on: signals, and the
//! parent's pipe.
//!
//! | signal | what is done |
//! |---|---|
//! | TERM, INT, QUIT | the agent ends in good order; the second time the application is killed |
//! | HUP | a reload; where the agent's terminal has hung up, it ends |
//! | USR1, USR2, WINCH, ALRM, CONT, … | the application's own process gets it |
//! | TSTP | the same; in a terminal it stops the agent, as job control expects |
//! | TTIN, TTOU | as for every program |

use std::future::poll_fn;
use std::io::{self, Read as _};
use std::os::fd::AsFd;
use std::task::{Context, Poll};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::termios::tcgetattr;
use tokio::signal::unix::{self, SignalKind};
use tokio::sync::mpsc;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// TERM, INT or QUIT: end, and the second time at once.
    End(&'static str),
    /// The parent is gone.
    ParentGone,
    /// HUP, as the terminal is gone: end.
    TerminalGone,
    /// HUP.
    Reload,
    /// A signal that means something to the application alone.
    Forward(Signal),
}

/// What ends the agent.
const ENDING: [(Signal, &str); 3] = [
    (Signal::SIGTERM, "TERM"),
    (Signal::SIGINT, "INT"),
    (Signal::SIGQUIT, "QUIT"),
];

/// What is meant for the application. Left out are those by which the kernel speaks of
/// an error or of the receiver's own children, pipes and terminal.
const FORWARDED: [Signal; 10] = [
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGURG,
    Signal::SIGIO,
    Signal::SIGPWR,
    Signal::SIGCONT,
];

/// All that may ask.
pub(super) struct Askers {
    signals: Vec<(unix::Signal, Asked)>,
    terminals: Terminals,
    stdin: mpsc::Receiver<()>,
    /// Keeps `stdin` from ending where it is not watched.
    _stdin_open: Option<mpsc::Sender<()>>,
}

impl Askers {
    /// Listens from now on. With `watch_stdin` the end of stdin counts too.
    pub(super) fn listen(watch_stdin: bool) -> io::Result<Self> {
        let terminals = Terminals::find();
        let mut asking: Vec<(Signal, Asked)> = ENDING
            .map(|(signal, name)| (signal, Asked::End(name)))
            .into();
        asking.push((Signal::SIGHUP, Asked::Reload));
        asking.extend(FORWARDED.map(|signal| (signal, Asked::Forward(signal))));
        if !terminals.any() {
            asking.push((Signal::SIGTSTP, Asked::Forward(Signal::SIGTSTP)));
        }
        let signals = asking
            .into_iter()
            .map(|(signal, asked)| {
                let kind = SignalKind::from_raw(signal as i32);
                Ok((unix::signal(kind)?, asked))
            })
            .collect::<io::Result<_>>()?;

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
            signals,
            terminals,
            stdin,
            _stdin_open: open,
        })
    }

    /// The next thing that is asked. The parent's end is told once.
    pub(super) async fn next(&mut self) -> Asked {
        let signals = &mut self.signals;
        let asked = tokio::select! {
            asked = poll_fn(|context| next_signal(signals, context)) => asked,
            Some(()) = self.stdin.recv() => Asked::ParentGone,
        };
        match asked {
            Asked::Reload if self.terminals.one_has_hung_up() => Asked::TerminalGone,
            asked => asked,
        }
    }
}

fn next_signal(signals: &mut [(unix::Signal, Asked)], context: &mut Context<'_>) -> Poll<Asked> {
    for (signal, asked) in signals {
        // A signal comes to an end only with the runtime.
        if let Poll::Ready(Some(())) = signal.poll_recv(context) {
            return Poll::Ready(*asked);
        }
    }
    Poll::Pending
}

/// Which of the standard streams were terminals at the start.
#[derive(Debug)]
struct Terminals {
    stdin: bool,
    stdout: bool,
}

impl Terminals {
    fn find() -> Self {
        use std::io::IsTerminal as _;
        Self {
            stdin: io::stdin().is_terminal(),
            stdout: io::stdout().is_terminal(),
        }
    }

    fn any(&self) -> bool {
        self.stdin || self.stdout
    }

    fn one_has_hung_up(&self) -> bool {
        (self.stdin && has_hung_up(io::stdin())) || (self.stdout && has_hung_up(io::stdout()))
    }
}

/// Whether what was a terminal answers to nothing any more. The kernel lets go of it
/// before it sends HUP.
fn has_hung_up(terminal: impl AsFd) -> bool {
    tcgetattr(terminal) == Err(Errno::EIO)
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
