//! The agent as the first process of a container, in a PID namespace of its own, and
//! as a plain process that takes in its orphans. Most is the same in both places, and
//! is tested in both.

mod arenas;
mod exits;
mod orphans;
mod restarts;
mod signals;
mod strays;
mod terminal;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::application::{children, is_alive};
use crate::world::World;

/// Makes a test in each place of an `async fn NAME(place: Place)`.
macro_rules! in_both_places {
    ($($name:ident)*) => { $(
        mod $name {
            use super::super::Place;

            #[tokio::test]
            async fn as_the_first_process() {
                super::$name(Place::First).await;
            }

            #[tokio::test]
            async fn as_one_of_many() {
                super::$name(Place::OneOfMany).await;
            }
        }
    )* };
}
use in_both_places;

/// Where the agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Process 1 of a PID namespace.
    First,
    /// In the test's own namespace, as a subreaper.
    OneOfMany,
}

impl Place {
    /// What starts the agent there.
    fn launcher(self) -> &'static [&'static str] {
        match self {
            Self::First => &[
                "unshare",
                "--user",
                "--map-root-user",
                "--pid",
                "--fork",
                "--mount-proc",
                "--kill-child",
            ],
            Self::OneOfMany => &[],
        }
    }
}

/// An application that does what it is told: it runs each text that appears as the
/// file `order`, in the same shell. A file `grown` says that it has begun.
const OBEDIENT: &str = r#"
: > "$FOLDER/grown"
echo "obeying as $$"
while :; do
  if mv "$FOLDER/order" "$FOLDER/taken" 2> /dev/null; then
    . "$FOLDER/taken"
  fi
  sleep 0.02
done
"#;

/// A world with the place where its agent runs. Its end takes every process along
/// that names the world's folder.
struct Gateway {
    world: World,
    place: Place,
    _leftovers: Leftovers,
}

impl Gateway {
    async fn new(place: Place) -> Self {
        let mut world = World::new().await;
        let folder = world.path("");
        let text = folder.display().to_string();
        world.settings.env.insert("FOLDER".to_owned(), text);
        Self {
            world,
            place,
            _leftovers: Leftovers(folder),
        }
    }

    fn start_agent(&mut self) {
        self.world.start_agent_below(self.place.launcher());
    }

    /// The agent's process number, as the test sees it.
    fn agent(&self) -> i32 {
        match self.place {
            Place::First => *children(self.world.agent_pid()).first().unwrap(),
            Place::OneOfMany => self.world.agent_pid(),
        }
    }

    fn signal_agent(&self, signal: Signal) {
        kill(Pid::from_raw(self.agent()), signal).unwrap();
    }

    /// Starts an agent and an application without a socket: this script for `sh`.
    async fn run_script(&mut self, script: &str) {
        self.world.settings.command = ["sh", "main.js"].map(str::to_owned).to_vec();
        self.world.settings.socket.clear();
        self.start_agent();
        let packed = self.world.pack(script);
        let seq = self.world.state(&packed, |_| {});
        let report = self.world.settled(seq).await;
        assert_eq!(report.refused, None, "{}", self.world.told());
        let good = self.world.path("lockgate/good.json");
        let passed = || good.exists();
        self.world.until("the trial is passed", passed).await;
    }

    /// Has the obedient application run this.
    fn order(&self, text: &str) {
        let new = self.world.path("order.new");
        fs::write(&new, format!("{text}\n")).unwrap();
        fs::rename(new, self.world.path("order")).unwrap();
    }

    /// Waits until the application has written this file, and gives its content.
    async fn written(&self, name: &str) -> String {
        let path = self.world.path(name);
        let text = || fs::read_to_string(&path).unwrap_or_default();
        self.world
            .until(&format!("`{name}` is written"), || text().ends_with('\n'))
            .await;
        text().trim().to_owned()
    }

    /// The process that has this number in the agent's namespace, in the test's own.
    fn seen_from_here(&self, number: i32) -> i32 {
        let agent = self.agent();
        let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        all_processes()
            .into_iter()
            .find(|pid| {
                let status = fs::read_to_string(format!("/proc/{pid}/status"));
                let status = status.unwrap_or_default();
                let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
                let innermost = line.and_then(|it| it.split_ascii_whitespace().last());
                innermost == Some(&number.to_string()) && namespace(*pid) == namespace(agent)
            })
            .unwrap_or_else(|| panic!("no process {number}\n{}", self.world.told()))
    }

    /// The application's process number, as the test sees it.
    fn application(&self) -> i32 {
        let report = self.world.reports.all().pop().unwrap().report;
        let pid = report.running.unwrap().pid;
        self.seen_from_here(i32::try_from(pid).unwrap())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.world.path("gateway.log")).unwrap_or_default()
    }

    /// Waits until the application's log holds this text.
    async fn logged(&self, text: &str) {
        self.world
            .until(&format!("`{text}` is logged"), || self.log().contains(text))
            .await;
    }
}

/// Kills what a test has left behind: every process that names its folder.
struct Leftovers(PathBuf);

impl Drop for Leftovers {
    fn drop(&mut self) {
        // What dies of the agent's death takes a moment.
        for _ in 0..100 {
            if naming(&self.0).is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let left: Vec<String> = naming(&self.0).into_iter().map(describe).collect();
        for pid in naming(&self.0) {
            // It may have ended meanwhile.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        assert!(
            std::thread::panicking() || left.is_empty(),
            "left behind: {left:#?}"
        );
    }
}

/// The living processes, this one left out, whose environment or command line names
/// this folder.
fn naming(folder: &Path) -> Vec<i32> {
    let needle = folder.as_os_str().as_encoded_bytes();
    let own = i32::try_from(std::process::id()).unwrap();
    all_processes()
        .into_iter()
        .filter(|pid| *pid != own && is_alive(*pid))
        .filter(|pid| {
            ["environ", "cmdline"].iter().any(|file| {
                let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                text.windows(needle.len()).any(|part| part == needle)
            })
        })
        .collect()
}

fn all_processes() -> Vec<i32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

fn describe(pid: i32) -> String {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command).replace('\0', " ");
    format!("{pid} {command}")
}

/// A letter for what a process does, `Z` where it is dead and not reaped; `None` where
/// there is none.
fn state_of(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// How many dead children a process has not taken in.
fn zombies_of(pid: i32) -> usize {
    let children = children(pid);
    children
        .iter()
        .filter(|pid| state_of(**pid) == Some('Z'))
        .count()
}
