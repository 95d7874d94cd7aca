//! One line of the log: `2026-11-22T23:51:00.123Z out listening on 8888`.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lockgate_model::{LogLine, LogStream};

/// The length of a line's time.
pub(super) const STAMP: usize = "2026-11-22T23:51:00.123Z".len();

/// Appends a line, or several where the text has line ends in it.
pub(super) fn write(to: &mut String, at: SystemTime, stream: LogStream, text: &str) {
    let at = stamp(at);
    for text in text.split('\n') {
        // Writing to a String cannot fail.
        let _ = writeln!(to, "{at} {} {text}", mark(stream));
    }
}

/// A line of the agent's own, of now.
pub(super) fn note(text: &str) -> String {
    let mut line = String::new();
    write(&mut line, now(), LogStream::Agent, text);
    line
}

/// The time as lines begin with it; later ones are greater, also as text.
pub(super) fn stamp(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

/// The time that a line begins with, as text.
pub(super) fn stamp_of(line: &[u8]) -> Option<&[u8]> {
    let stamp = line.get(..STAMP)?;
    let digits = stamp.first().is_some_and(u8::is_ascii_digit);
    (digits && stamp.ends_with(b"Z") && line.get(STAMP) == Some(&b' ')).then_some(stamp)
}

/// What a line says. One that nobody stamped is text as a whole.
pub(super) fn parse(line: &[u8]) -> LogLine {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let text = String::from_utf8_lossy(line);
    stamped(&text).unwrap_or_else(|| LogLine {
        text: text.clone().into_owned(),
        ..LogLine::default()
    })
}

fn stamped(line: &str) -> Option<LogLine> {
    let (at, rest) = line.split_at_checked(STAMP)?;
    let at = humantime::parse_rfc3339(at).ok()?;
    let (word, text) = rest.strip_prefix(' ')?.split_once(' ')?;
    let stream = [LogStream::Out, LogStream::Err, LogStream::Agent]
        .into_iter()
        .find(|stream| mark(*stream) == word)?;
    Some(LogLine {
        crash: None,
        time: unix_millis(at),
        stream: Some(stream),
        text: text.to_owned(),
    })
}

/// UNIX milliseconds.
pub(super) fn unix_millis(at: SystemTime) -> Option<u64> {
    let since: Duration = at.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

fn mark(stream: LogStream) -> &'static str {
    match stream {
        LogStream::Out => "out",
        LogStream::Err => "err",
        LogStream::Agent => "---",
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a line's time is when it is read or said"
)]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let at = UNIX_EPOCH + Duration::from_millis(1_800_000_000_123);
        for text in ["listening", "", " two  words ", "--- no mark", "gr\u{fc}n"] {
            for stream in [LogStream::Out, LogStream::Err, LogStream::Agent] {
                let mut line = String::new();
                write(&mut line, at, stream, text);
                let expected = LogLine {
                    crash: None,
                    time: Some(1_800_000_000_123),
                    stream: Some(stream),
                    text: text.to_owned(),
                };
                assert_eq!(parse(line.as_bytes()), expected, "{line}");
                assert!(stamp_of(line.as_bytes()).is_some(), "{line}");
            }
        }
    }

    #[test]
    fn a_text_with_line_ends_is_several_lines() {
        let mut lines = String::new();
        write(&mut lines, UNIX_EPOCH, LogStream::Agent, "one\ntwo");
        assert_eq!(
            lines,
            "1970-01-01T00:00:00.000Z --- one\n1970-01-01T00:00:00.000Z --- two\n"
        );
    }

    #[test]
    fn a_line_of_somebody_else_is_text_as_a_whole() {
        for line in [
            "",
            "plain",
            "2026-11-22T23:51:00.123Z",
            "2026-11-22T23:51:00.123Z out",
            "2026-11-22T23:51:00.123Z new word",
            "2026-99-22T23:51:00.123Z out text",
            "2026-11-22T23:51:00.1 3Z out \u{fc}",
        ] {
            let found = parse(line.as_bytes());
            assert_eq!(found.time, None, "{line}");
            assert_eq!(found.text, line);
        }
    }
}
