//! A thousand starts of an application, and what the log keeps of them.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::super::file::aside;
use super::super::{Collector, Log, ReadOptions, Source, WriterOptions, read};
use super::Follower;

/// What each start writes, its number in `$0`. The last line has no end.
const APPLICATION: &str =
    "for n in 1 2 3 4 5; do echo \"start $0 line $n\"; done; printf \"start $0 ends\"";

/// Nothing here takes so long.
const DEADLINE: Duration = Duration::from_mins(1);

#[expect(
    clippy::disallowed_methods,
    reason = "the test starts what stands for the application"
)]
async fn start(number: u32, log: &Log) {
    let mut child = Command::new("sh")
        .args(["-c", APPLICATION, &number.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = OwnedFd::from(child.stdout.take().unwrap());
    let stderr = OwnedFd::from(child.stderr.take().unwrap());
    let mut collector = Collector::start(stdout, stderr, log).unwrap();
    collector.drained(DEADLINE).await;
    assert_eq!(collector.last(1), [format!("start {number} ends")]);
    child.wait().unwrap();
}

/// Every hundredth start comes with an agent that starts again.
#[tokio::test]
async fn a_thousand_starts_lose_no_line_and_double_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.log");
    let options = WriterOptions {
        file: path.clone(),
        copy_to_stdout: false,
        rotate_bytes: 8 * 1024,
        keep: 99,
    };
    let mut follower = Follower::start(ReadOptions {
        follow: true,
        ..ReadOptions::all(Source::File(path.clone()))
    });
    let mut expected = String::new();
    for hundred in 0..10 {
        let (log, written) = Log::open(options.clone()).unwrap();
        for number in hundred * 100..(hundred + 1) * 100 {
            start(number, &log).await;
            for line in 1..=5 {
                let _ = writeln!(expected, "out start {number} line {line}");
            }
            let _ = writeln!(expected, "out start {number} ends");
        }
        drop(log);
        written.await.unwrap_err();
    }
    assert!(aside(&path, 20).exists(), "it was put aside often");
    let mut out = Vec::new();
    read(&ReadOptions::all(Source::File(path)), &mut out, None).unwrap();
    let check = |found: &str| {
        let lines = found.lines().map(|line| &line[25..]);
        for (found, expected) in lines.zip(expected.lines()) {
            assert_eq!(found, expected);
        }
        assert_eq!(found.lines().count(), expected.lines().count());
    };
    check(str::from_utf8(&out).unwrap());
    check(follower.until("start 999 ends\n"));
}

/// A child that got away holds the pipe open; what was written is kept all the same.
#[tokio::test]
async fn what_is_in_a_pipe_that_stays_open_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.log");
    let (log, written) = Log::open(WriterOptions {
        file: path.clone(),
        copy_to_stdout: false,
        rotate_bytes: 1 << 20,
        keep: 1,
    })
    .unwrap();
    let (stdout, mut held) = std::io::pipe().unwrap();
    let (stderr, _held) = std::io::pipe().unwrap();
    let mut collector = Collector::start(stdout.into(), stderr.into(), &log).unwrap();
    held.write_all(b"whole\nhalf").unwrap();
    collector.drained(Duration::ZERO).await;
    assert_eq!(collector.last(9), ["whole", "half"]);
    drop((log, collector));
    written.await.unwrap_err();
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.ends_with(" out half\n"), "{text}");
}

/// A named pipe stands for a disk that is slower than the application.
#[tokio::test]
async fn an_application_that_writes_faster_than_the_disk_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.log");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let disk = std::thread::spawn({
        let path = path.clone();
        move || {
            let disk = std::fs::File::open(path).unwrap();
            let lines = BufReader::with_capacity(4, disk).lines();
            lines.map(Result::unwrap).collect::<Vec<_>>()
        }
    });
    let (log, written) = Log::open(WriterOptions {
        file: path,
        copy_to_stdout: false,
        rotate_bytes: 1,
        keep: 1,
    })
    .unwrap();
    let (stdout, mut out) = std::io::pipe().unwrap();
    let (stderr, _) = std::io::pipe().unwrap();
    let mut collector = Collector::start(stdout.into(), stderr.into(), &log).unwrap();
    let application = std::thread::spawn(move || {
        let text = "x".repeat(100);
        for number in 0..60_000 {
            writeln!(out, "{number} {text}").unwrap();
        }
    });
    collector.drained(DEADLINE).await;
    application.join().unwrap();
    drop((log, collector));
    written.await.unwrap_err();
    let lines = disk.join().unwrap();
    for (number, line) in lines.iter().enumerate() {
        assert!(line[25..].starts_with(&format!("out {number} x")), "{line}");
    }
    assert_eq!(lines.len(), 60_000);
}
