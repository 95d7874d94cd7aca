//! What the application writes is kept, and whoever does not read it holds up nobody.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::world::World;

/// Writes as many numbered lines as the path asks for, and answers when they are written.
const TALKATIVE: &str = r#"
let number = 0;
require("http").createServer((request, response) => {
  const [, count] = request.url.match(/^\/say\/(\d+)/) ?? [];
  for (let left = count ?? 0; left > 0; left -= 1) {
    number += 1;
    console.log(`line ${number} ${"x".repeat(90)}`);
  }
  const hello = JSON.stringify({ version: "1.0.0", pid: process.pid });
  process.stdout.write("", () => response.end(hello));
}).listen(8888, "127.0.0.1");
"#;

/// A world in which this agent runs the talkative application.
async fn world(launcher: &[&str]) -> World {
    let mut world = World::new().await;
    start(&mut world, launcher).await;
    world
}

async fn start(world: &mut World, launcher: &[&str]) {
    world.start_agent_below(launcher);
    let packed = world.pack(TALKATIVE);
    let seq = world.state(&packed, |_| {});
    let report = world.settled(seq).await;
    assert_eq!(report.refused, None, "{}", world.told());
    world.hello().await;
}

async fn say(world: &World, count: u32) {
    let answer = world.get_path(&format!("/say/{count}")).await;
    assert_eq!(answer.unwrap().0, 200);
}

/// The numbers of the lines in a text, which must grow; and how many are told as lost.
fn kept_and_lost(text: &str) -> (Vec<u32>, u32) {
    let word = |line: &str, before: &str| -> Option<u32> {
        line.split_once(before)?.1.split(' ').next()?.parse().ok()
    };
    let kept: Vec<u32> = text
        .lines()
        .filter_map(|line| word(line, " out line "))
        .collect();
    assert!(kept.is_sorted_by(|one, next| one < next), "{kept:?}");
    let told = text.lines().filter(|line| line.contains(" lost here: "));
    let lost = told.filter_map(|line| word(line, " --- ")).sum();
    (kept, lost)
}

/// A pipe with a name that is full from the start; it stays so as long as it is held.
fn full_pipe(path: &Path) -> (File, File) {
    mkfifo(path, Mode::S_IRWXU).unwrap();
    let mut options = OpenOptions::new();
    options.custom_flags(OFlag::O_NONBLOCK.bits());
    let reader = options.read(true).open(path).unwrap();
    let mut writer = options.read(false).write(true).open(path).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    while writer.write(b"x").is_ok() {}
    (reader, writer)
}

#[tokio::test]
async fn a_stdout_and_a_stderr_that_nobody_reads_hold_up_nothing() {
    let mut world = World::new().await;
    let pipe = world.path("pipe");
    let _held = full_pipe(&pipe);
    let into = format!("exec \"$0\" \"$@\" >'{}' 2>&1", pipe.display());
    start(&mut world, &["sh", "-c", &into]).await;
    // More than waits for whoever reads stdout.
    say(&world, 10_000).await;
    let log = world.path("gateway.log");
    let last = || {
        fs::read_to_string(&log)
            .unwrap()
            .contains(" out line 10000 ")
    };
    world.until("the last line is in the file", last).await;
    let (kept, lost) = kept_and_lost(&fs::read_to_string(&log).unwrap());
    assert_eq!((kept.len(), lost), (10_000, 0));

    // Each of these is a warning that nobody reads.
    let good = world.path("lockgate/good.json");
    world.until("the trial is passed", || good.exists()).await;
    for _ in 0..3 {
        let pid = world.hello().await.pid;
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        world.gone(pid).await;
        world.ask(&["reload"]).await;
    }
    world.hello().await;
    assert_eq!(world.ask(&["status"]).await.status.code(), Some(0));
    assert_eq!(world.end_agent(Signal::SIGTERM).await, Some(0));
}

#[tokio::test]
async fn a_reader_that_stands_still_holds_up_nothing_and_misses_nothing() {
    let world = world(&[]).await;
    let mut reader = world
        .command(&[])
        .args(["logs", "--follow"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(reader.stdout.take().unwrap());
    say(&world, 20_000).await;
    say(&world, 20_000).await;
    let read = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        let mut newest = 0;
        while !text[newest..].contains(" out line 40000 ") {
            newest = text.len();
            assert!(out.read_line(&mut text).unwrap() > 0, "{text}");
        }
        text
    });
    let (kept, lost) = kept_and_lost(&read.await.unwrap());
    assert_eq!((kept.len(), lost), (40_000, 0));
    // Nobody reads it any more, and it ends though nothing is written.
    tokio::task::spawn_blocking(move || reader.wait().unwrap())
        .await
        .unwrap();
}

/// A file system of its own for the log. `None`, and loudly so, where this machine
/// lets nobody have one.
struct Disk {
    folder: PathBuf,
}

impl Disk {
    #[expect(
        clippy::disallowed_methods,
        clippy::print_stderr,
        reason = "a test that proves nothing here says so"
    )]
    fn new(world: &World) -> Option<Self> {
        let apart = Command::new("unshare").args(APART).arg("true").status();
        if !apart.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: a mount namespace of its own cannot be made here");
            return None;
        }
        let folder = world.path("logs");
        fs::create_dir_all(&folder).unwrap();
        Some(Self { folder })
    }

    /// Mounts it and starts the agent on it.
    fn launcher(&self, options: &str) -> String {
        let folder = self.folder.display();
        format!(
            "mount -t tmpfs -o {options} none '{folder}' && \
             LOG_FILE='{folder}/gateway.log' exec \"$0\" \"$@\""
        )
    }

    /// Mounts it with other options, where the agent sees it.
    #[expect(clippy::disallowed_methods, reason = "only a program can do this")]
    fn remount(&self, agent: i32, options: &str) {
        let status = Command::new("nsenter")
            .args(["--preserve-credentials", "--user", "--mount", "--target"])
            .arg(agent.to_string())
            .args(["mount", "-o", &format!("remount,{options}")])
            .arg(&self.folder)
            .status();
        assert!(status.unwrap().success());
    }

    /// The log as the agent sees it.
    fn log(&self, agent: i32) -> io::Result<String> {
        let below = self.folder.strip_prefix("/").unwrap();
        let root = PathBuf::from(format!("/proc/{agent}/root"));
        fs::read_to_string(root.join(below).join("gateway.log"))
    }
}

/// Root of a namespace of mounts that nobody else sees.
const APART: [&str; 3] = ["--user", "--map-root-user", "--mount"];

#[tokio::test]
async fn a_full_disk_holds_up_nothing_and_is_told_when_there_is_room() {
    let mut world = World::new().await;
    let Some(disk) = Disk::new(&world) else {
        return;
    };
    let mount = disk.launcher("size=1m");
    let launcher = [&["unshare"], &APART[..], &["sh", "-c", &mount]].concat();
    start(&mut world, &launcher).await;
    let agent = world.agent_pid();
    // More than fits there and in memory.
    for _ in 0..5 {
        say(&world, 20_000).await;
    }
    assert_eq!(world.hello().await.version, "1.0.0");
    let size = disk.log(agent).unwrap().len();
    assert!(size <= 1 << 20, "{size}");

    disk.remount(agent, "size=64m");
    let told = || {
        disk.log(agent)
            .unwrap()
            .contains("lost here: No space left")
    };
    world.until("the loss is told", told).await;
    say(&world, 1).await;
    let again = || disk.log(agent).unwrap().contains(" out line 100001 ");
    world.until("the log goes on", again).await;
    let (kept, lost) = kept_and_lost(&disk.log(agent).unwrap());
    assert!(kept.len() > 20_000, "{} were kept", kept.len());
    assert_eq!(kept.len() + lost as usize, 100_001);
    assert_eq!(world.end_agent(Signal::SIGTERM).await, Some(0));
}

#[tokio::test]
async fn a_log_folder_that_is_read_only_keeps_no_gateway_from_starting() {
    let mut world = World::new().await;
    let Some(disk) = Disk::new(&world) else {
        return;
    };
    let mount = disk.launcher("ro,size=9m");
    let launcher = [&["unshare"], &APART[..], &["sh", "-c", &mount]].concat();
    start(&mut world, &launcher).await;
    let agent = world.agent_pid();
    say(&world, 1000).await;
    let told = || world.told().contains("cannot be written");
    world.until("the agent tells", told).await;
    disk.remount(agent, "rw");
    let there = || {
        disk.log(agent)
            .is_ok_and(|log| log.contains(" out line 1000 "))
    };
    world.until("the log is written", there).await;
    let (kept, lost) = kept_and_lost(&disk.log(agent).unwrap());
    assert_eq!((kept.len(), lost), (1000, 0));
}
