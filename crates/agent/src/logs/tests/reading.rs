//! What a reader shows of a log that is there.

use std::fs;
use std::path::PathBuf;

use super::super::file::aside;
use super::super::{ReadOptions, Source, read};

/// Five lines in three files, with a hole as it is there while files are put aside.
pub(super) fn log() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.log");
    let line = |second: u32| format!("2026-01-01T00:00:0{second}.000Z out line {second}\n");
    fs::write(aside(&path, 4), line(1)).unwrap();
    fs::write(aside(&path, 2), line(2) + &line(3)).unwrap();
    fs::write(&path, line(4) + "a line without a time\n" + &line(5)).unwrap();
    (folder, path)
}

fn read_all(options: &ReadOptions) -> String {
    let mut out = Vec::new();
    read(options, &mut out, None).unwrap();
    String::from_utf8(out).unwrap()
}

fn check(lines: Option<usize>, since: Option<&str>, expected: &[&str]) {
    let (_folder, path) = log();
    let options = ReadOptions {
        lines,
        since: since.map(|text| humantime::parse_rfc3339(text).unwrap()),
        ..ReadOptions::all(Source::File(path))
    };
    let found = read_all(&options);
    let plain = |line| str::rsplit_once(line, " out ").map_or(line, |(_, text)| text);
    let found: Vec<&str> = found.lines().map(plain).collect();
    assert_eq!(found, expected);
}

#[test]
fn all_lines_or_the_end_or_the_young_are_read() {
    let bare = "a line without a time";
    let all = ["line 1", "line 2", "line 3", "line 4", bare, "line 5"];
    check(None, None, &all);
    check(Some(2), None, &[bare, "line 5"]);
    check(Some(0), None, &[]);
    check(
        None,
        Some("2026-01-01T00:00:04Z"),
        &["line 4", bare, "line 5"],
    );
    check(Some(9), Some("2026-01-01T00:00:05Z"), &["line 5"]);
}

#[test]
fn programs_get_an_object_a_line() {
    let (_folder, path) = log();
    let options = ReadOptions {
        lines: Some(2),
        json: true,
        ..ReadOptions::all(Source::File(path))
    };
    assert_eq!(
        read_all(&options),
        "{\"time\":null,\"stream\":null,\"text\":\"a line without a time\"}\n\
         {\"time\":1767225605000,\"stream\":\"out\",\"text\":\"line 5\"}\n"
    );
}

#[test]
fn a_line_that_was_cut_ends_where_the_next_file_begins_with_one() {
    let (_folder, path) = log();
    fs::write(aside(&path, 2), "2026-01-01T00:00:03.000Z out of dis").unwrap();
    fs::write(aside(&path, 1), "a line longer than").unwrap();
    let found = read_all(&ReadOptions::all(Source::File(path.clone())));
    let joined = "out of disa line longer than\n2026-01-01T00:00:04.000Z out line 4\n";
    assert!(found.contains(joined), "{found}");
    fs::write(&path, "the last line has no end").unwrap();
    let found = read_all(&ReadOptions::all(Source::File(path)));
    assert!(
        found.ends_with("longer thanthe last line has no end\n"),
        "{found}"
    );
}

#[test]
fn a_missing_log_is_named() {
    let source = Source::File("/nowhere/gateway.log".into());
    let error = read(&ReadOptions::all(source), &mut Vec::new(), None).unwrap_err();
    assert!(error.to_string().contains("/nowhere/gateway.log"));
}
