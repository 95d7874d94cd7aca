//! The log from a line to its places.

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::super::file::aside;
use super::super::{Log, ReadOptions, Source, Stream, WriterOptions};
use super::Follower;

fn options(file: &Path) -> WriterOptions {
    WriterOptions {
        file: file.to_owned(),
        copy_to_stdout: false,
        rotate_bytes: 200,
        keep: 2,
    }
}

fn line(log: &Log, text: &str) {
    log.line(SystemTime::UNIX_EPOCH, Stream::Out, text);
}

fn write(file: &Path, texts: &[&str]) {
    let (log, written) = Log::open(options(file)).unwrap();
    for text in texts {
        line(&log, text);
    }
    drop(log);
    written.blocking_recv().unwrap_err();
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/gateway.log");
    (folder, path)
}

#[test]
fn a_log_is_appended_to_and_stamped() {
    let (_folder, path) = place();
    write(&path, &["one"]);
    write(&path, &["two"]);
    assert_eq!(
        fs::read_to_string(path).unwrap(),
        "1970-01-01T00:00:00.000Z out one\n1970-01-01T00:00:00.000Z out two\n"
    );
}

#[test]
fn a_log_is_put_aside_by_size_and_count() {
    let (_folder, path) = place();
    for round in 0..4 {
        write(&path, &[&format!("{round} {}", "x".repeat(150))]);
    }
    let first = |path: &Path| fs::read_to_string(path).unwrap().as_bytes()[29];
    assert_eq!(first(&path), b'3');
    assert_eq!(first(&aside(&path, 1)), b'2');
    assert_eq!(first(&aside(&path, 2)), b'1');
    assert!(!aside(&path, 3).exists());
}

#[test]
fn a_removed_log_is_made_again() {
    let (_folder, path) = place();
    write(&path, &["before"]);
    let (log, written) = Log::open(options(&path)).unwrap();
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
    line(&log, "after");
    drop(log);
    written.blocking_recv().unwrap_err();
    let text = fs::read_to_string(path).unwrap();
    assert_eq!(text, "1970-01-01T00:00:00.000Z out after\n");
}

/// A file in the place of the folder stands for a disk that is full for a while.
#[test]
fn what_cannot_be_written_waits_and_what_does_not_fit_is_counted() {
    let (folder, path) = place();
    fs::write(folder.path().join("new"), "in the way").unwrap();
    let (log, written) = Log::start(
        WriterOptions {
            rotate_bytes: 1 << 20,
            ..options(&path)
        },
        1000,
        None,
    )
    .unwrap();
    let mut follower = Follower::start(ReadOptions {
        follow: true,
        ..ReadOptions::all(Source::File(folder.path().join("gateway.log")))
    });
    for number in 0..200 {
        line(&log, &format!("line {number}"));
    }
    // Out of the way, at once.
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    fs::rename(link, folder.path().join("new")).unwrap();
    // It is said although nothing more comes.
    follower.until("lines are lost here: ");
    line(&log, "line 200");
    drop(log);
    written.blocking_recv().unwrap_err();
    let said = follower.until(" out line 200\n");
    let number = |text: &str, before: &str| -> Option<u32> {
        let (_, number) = text.split_once(before)?;
        number.split(' ').next()?.parse().ok()
    };
    let kept: Vec<u32> = said
        .lines()
        .filter_map(|text| number(text, " out line "))
        .collect();
    assert!(kept.is_sorted_by(|one, next| one < next), "{said}");
    let lost = said.lines().filter_map(|text| number(text, " --- "));
    let lost: u32 = lost.sum();
    assert_eq!(kept.len() + lost as usize, 201, "{said}");
    assert!(kept.len() > 20 && lost > 100, "{said}");
}

#[test]
fn the_end_does_not_wait_for_a_disk_that_cannot_be_written() {
    let (folder, path) = place();
    fs::write(folder.path().join("new"), "in the way").unwrap();
    write(&path, &["lost"]);
}

#[test]
fn a_stdout_that_nobody_reads_keeps_nothing_from_the_file() {
    let (_folder, path) = place();
    let (mut out, pipe) = io::pipe().unwrap();
    let options = WriterOptions {
        rotate_bytes: 1 << 24,
        ..options(&path)
    };
    let (log, written) = Log::start(options, 1 << 24, Some(OwnedFd::from(pipe))).unwrap();
    let mut follower = Follower::start(ReadOptions {
        follow: true,
        ..ReadOptions::all(Source::File(path))
    });
    let text = "x".repeat(1000);
    for number in 0..2000 {
        line(&log, &format!("{number} {text}"));
    }
    line(&log, "the last one");
    let seen = follower.until("the last one\n");
    assert_eq!(seen.lines().count(), 2001);

    // Somebody reads at last.
    drop(log);
    let mut copied = String::new();
    out.read_to_string(&mut copied).unwrap();
    written.blocking_recv().unwrap_err();
    let (notes, kept): (Vec<&str>, Vec<&str>) =
        copied.lines().partition(|line| line.starts_with("--- "));
    let missing = |note: &&str| -> usize {
        let (count, _) = note[4..].split_once(" lines are missing here").unwrap();
        count.parse().unwrap()
    };
    let missing: usize = notes.iter().map(missing).sum();
    assert_eq!(kept.len() + missing, 2001, "{notes:?}");
    assert!(missing > 0, "{}", kept.len());
}
