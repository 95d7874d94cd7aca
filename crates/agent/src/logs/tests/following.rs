//! What a reader shows of a log while it grows.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use super::super::file::{LogFile, aside};
use super::super::{ReadOptions, Source, read};
use super::Follower;
use super::reading::log;

fn follow(path: &Path) -> ReadOptions {
    ReadOptions {
        follow: true,
        ..ReadOptions::all(Source::File(path.to_owned()))
    }
}

fn append(path: &Path, text: &str) {
    let file = File::options().append(true).create(true).open(path);
    io::Write::write_all(&mut file.unwrap(), text.as_bytes()).unwrap();
}

#[test]
fn a_followed_log_goes_on_across_rotation_and_emptying() {
    let (_folder, path) = log();
    let mut follower = Follower::start(ReadOptions {
        lines: Some(1),
        ..follow(&path)
    });
    follower.until("line 5\n");
    fs::rename(&path, aside(&path, 1)).unwrap();
    append(&aside(&path, 1), "written after it was renamed\n");
    append(&path, "after rotation\n");
    follower.until("after rotation\n");
    fs::write(&path, "short\n").unwrap();
    let seen = follower.until("short\n");
    let expected = "2026-01-01T00:00:05.000Z out line 5\nwritten after it was renamed\nafter rotation\nshort\n";
    assert_eq!(seen, expected);
    drop(follower.lines);
    append(&path, "nobody reads this any more\n");
    follower.thread.join().unwrap().unwrap();
}

#[test]
fn half_a_line_waits_for_its_other_half() {
    let (_folder, path) = log();
    let mut follower = Follower::start(follow(&path));
    follower.until("line 5\n");
    append(&path, "one\nhalf ");
    follower.until("one\n");
    append(&path, "and half\n");
    let seen = follower.until("half\n");
    assert!(seen.ends_with("\none\nhalf and half\n"), "{seen}");
}

#[test]
fn a_log_that_is_not_there_yet_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/gateway.log");
    let mut follower = Follower::start(ReadOptions {
        json: true,
        ..follow(&path)
    });
    follower.until("caught_up");
    fs::create_dir(folder.path().join("new")).unwrap();
    append(&path, "one\n");
    follower.until("one");
    // The gateway is deleted, and made again.
    fs::remove_dir_all(folder.path().join("new")).unwrap();
    fs::create_dir(folder.path().join("new")).unwrap();
    append(&path, "two\n");
    let seen = follower.until("two");
    let texts: Vec<&str> = seen.matches("\"text\":\"").collect();
    assert_eq!(texts.len(), 2, "{seen}");
}

/// Files are put aside all the time, and all that was ever written is kept.
#[test]
fn a_follower_misses_nothing_of_a_busy_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.log");
    let line = |number: u32| format!("2026-01-01T00:00:00.000Z out line {number}.\n");
    let lines = 8000;
    let mut log = LogFile::new(path.clone(), 4096, 99);
    let mut follower = Follower::start(follow(&path));
    for number in 0..lines {
        log.append(&line(number), &mut 0, &|| {}).unwrap();
    }
    assert!(aside(&path, 70).exists(), "it was put aside many times");
    let expected: String = (0..lines).map(line).collect();
    let seen = follower.until(&line(lines - 1));
    assert!(
        seen == expected,
        "{} of {} bytes",
        seen.len(),
        expected.len()
    );
}

#[test]
fn what_was_removed_before_it_was_read_is_told() {
    use super::super::tail::{Lines, files};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.log");
    let line = |second: u32| format!("2026-01-01T00:00:0{second}.000Z out line {second}\n");
    let mut log = LogFile::new(path.clone(), 40, 2);
    let mut write = |second| log.append(&line(second), &mut 0, &|| {}).unwrap();
    write(1);
    let mut tail = files(&path).unwrap().remove(0);
    let mut lines = Lines::default();
    tail.read(&mut lines, &mut |_| Ok(())).unwrap();
    assert!(tail.next(&path, &lines).unwrap().is_none());
    write(2);
    write(3);
    let (mut next, gap) = tail.next(&path, &lines).unwrap().unwrap();
    assert!(!gap, "its own file is still there");
    (4..=6).for_each(write);
    let mut read = Vec::new();
    lines.next_file();
    next.read(&mut lines, &mut |line| {
        read.extend_from_slice(line);
        Ok(())
    })
    .unwrap();
    assert_eq!(String::from_utf8(read).unwrap(), line(2));
    let (mut next, gap) = next.next(&path, &lines).unwrap().unwrap();
    assert!(gap, "line 3 was never read");
    let mut read = Vec::new();
    next.read(&mut lines, &mut |line| {
        read.extend_from_slice(line);
        Ok(())
    })
    .unwrap();
    assert_eq!(String::from_utf8(read).unwrap(), line(4));
}

/// As a log that is a mount point is put aside, and as `logrotate` does it.
#[test]
fn a_log_that_is_copied_and_emptied_is_read_to_its_end() {
    use super::super::tail::{Lines, files};
    let (_folder, path) = log();
    let mut tail = files(&path).unwrap().remove(0);
    let mut lines = Lines::default();
    let mut read = |tail: &mut super::super::tail::Tail| {
        let mut read = Vec::new();
        let each = &mut |line: &[u8]| {
            read.extend_from_slice(line);
            Ok(())
        };
        tail.read(&mut lines, each).unwrap();
        String::from_utf8(read).unwrap()
    };
    assert!(read(&mut tail).ends_with("line 5\n"));
    append(&path, "before the copy\n");
    fs::copy(&path, aside(&path, 1)).unwrap();
    fs::write(&path, "after\n").unwrap();
    assert_eq!(read(&mut tail), "before the copy\nafter\n");
    // What lies aside now is no copy of this.
    fs::write(&path, "new\n").unwrap();
    assert_eq!(read(&mut tail), "new\n");
}

#[test]
fn a_reader_ends_when_nobody_reads_it_though_nothing_comes() {
    let (_folder, path) = log();
    let (out, pipe) = io::pipe().unwrap();
    drop(out);
    let options = ReadOptions {
        lines: Some(0),
        ..follow(&path)
    };
    read(&options, &mut &pipe, Some(pipe.as_fd())).unwrap();
}
