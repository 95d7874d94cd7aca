//! The agent in a terminal: `docker run -it`, or a developer's own.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::pty::{OpenptyResult, openpty};
use nix::sys::signal::Signal;

use super::{Gateway, Place, in_both_places, state_of};
use crate::application::{application, children, is_alive};

in_both_places! {
    an_interrupt_key_ends_it_in_good_order
    a_terminal_that_is_closed_ends_it_in_good_order
    a_hang_up_in_a_living_terminal_reloads
}

/// The far end of a pseudo terminal: what a person sees and types.
struct Screen {
    master: File,
    shown: RefCell<Vec<u8>>,
}

impl Screen {
    /// A terminal, and its near end.
    fn new() -> (Self, OwnedFd) {
        let OpenptyResult { master, slave } = openpty(None, None).unwrap();
        // An agent that holds the far end itself would never see it closed.
        fcntl(&master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let screen = Self {
            master: master.into(),
            shown: RefCell::default(),
        };
        (screen, slave)
    }

    /// All that was shown so far.
    fn shown(&self) -> String {
        let mut shown = self.shown.borrow_mut();
        // Read until it would wait, or the near end is closed.
        let _ = (&self.master).read_to_end(&mut shown);
        String::from_utf8_lossy(&shown).into_owned()
    }

    fn press(&self, key: &[u8]) {
        (&self.master).write_all(key).unwrap();
    }
}

impl Gateway {
    /// Starts the agent with this near end as its terminal, and an orderly application.
    async fn run_in_terminal(&mut self, terminal: OwnedFd) {
        self.run_in_terminal_below(&[], terminal).await;
    }

    /// The same as the last words of another program's arguments. That one is the
    /// leader of the session; where there is none, the agent is.
    async fn run_in_terminal_below(&mut self, leader: &[&str], terminal: OwnedFd) {
        let place = self.place.launcher().iter();
        let launcher: Vec<&str> = place
            .chain(&["setsid", "--ctty"])
            .chain(leader)
            .copied()
            .collect();
        let child = self
            .world
            .command(&launcher)
            .arg("run")
            .stdin(terminal.try_clone().unwrap())
            .stdout(terminal.try_clone().unwrap())
            .stderr(terminal)
            .spawn()
            .unwrap();
        self.world.adopt(child);
        let orderly = application("1.0.0").replace(
            "process.on(\"SIGTERM\", () => ",
            "process.on(\"SIGTERM\", () => console.log(\"closing\") || ",
        );
        let packed = self.world.pack(&orderly);
        let seq = self.world.state(&packed, |_| {});
        self.world.settled(seq).await;
    }
}

/// The number of a process's controlling terminal; 0 without one.
fn terminal_of(pid: i32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest.split_ascii_whitespace()
        .nth(4)
        .unwrap()
        .parse()
        .unwrap()
}

async fn an_interrupt_key_ends_it_in_good_order(place: Place) {
    let mut gateway = Gateway::new(place).await;
    let (screen, terminal) = Screen::new();
    gateway.run_in_terminal(terminal).await;
    let shown = || screen.shown().contains("serving 1.0.0\r\n");
    gateway.world.until("its output is shown", shown).await;
    let application = gateway.application();
    assert_ne!(terminal_of(gateway.agent()), 0);
    assert_eq!(terminal_of(application), 0);
    screen.press(b"\x03");
    let code = gateway.world.agent_ended().await;
    let shown = screen.shown();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("closing\r\n"), "{shown}");
    assert!(shown.trim_end().ends_with("ended"), "{shown}");
    assert!(!is_alive(application));
}

async fn a_terminal_that_is_closed_ends_it_in_good_order(place: Place) {
    let mut gateway = Gateway::new(place).await;
    let (screen, terminal) = Screen::new();
    gateway.run_in_terminal(terminal).await;
    let application = gateway.application();
    drop(screen);
    let code = gateway.world.agent_ended().await;
    assert_eq!(code, Some(0), "{}", gateway.log());
    assert!(gateway.log().contains("out closing"), "{}", gateway.log());
    assert!(!is_alive(application));
}

async fn a_hang_up_in_a_living_terminal_reloads(place: Place) {
    let mut gateway = Gateway::new(place).await;
    let (screen, terminal) = Screen::new();
    gateway.run_in_terminal(terminal).await;
    let packed = gateway.world.pack(&application("2.0.0"));
    let seq = gateway.world.state_silently(&packed, |_| {});
    gateway.signal_agent(Signal::SIGHUP);
    gateway.world.settled(seq).await;
    assert_eq!(gateway.world.hello().await.version, "2.0.0");
    screen.press(b"\x03");
    assert_eq!(gateway.world.agent_ended().await, Some(0));
}

#[tokio::test]
async fn a_shell_can_suspend_it_while_the_application_goes_on() {
    let mut gateway = Gateway::new(Place::OneOfMany).await;
    let (screen, terminal) = Screen::new();
    let shell = ["sh", "-c", "set -m; \"$0\" \"$@\"; read line; fg"];
    gateway.run_in_terminal_below(&shell, terminal).await;
    let before = gateway.world.hello().await;
    let agent = *children(gateway.agent()).first().unwrap();
    screen.press(b"\x1a");
    let stopped = || state_of(agent) == Some('T');
    gateway.world.until("the agent is stopped", stopped).await;
    assert!(is_alive(before.pid) && state_of(before.pid) != Some('T'));
    screen.press(b"\n");
    assert_eq!(gateway.world.hello().await, before);
    screen.press(b"\x03");
    assert_eq!(
        gateway.world.agent_ended().await,
        Some(0),
        "{}",
        screen.shown()
    );
}

#[tokio::test]
async fn a_suspend_key_does_nothing_where_no_shell_could_wake_it() {
    let mut gateway = Gateway::new(Place::OneOfMany).await;
    let (screen, terminal) = Screen::new();
    gateway.run_in_terminal(terminal).await;
    let before = gateway.world.hello().await;
    screen.press(b"\x1a");
    gateway
        .world
        .until("the key is shown", || screen.shown().contains("^Z"))
        .await;
    assert_eq!(gateway.world.hello().await, before);
    assert_ne!(state_of(gateway.agent()), Some('T'));
}
