//! Numbers and times as people read them.

use std::time::Duration;

/// Bytes: `5.1 MB`.
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// Bytes as `du -h` and the shell system write them: `5.0M`.
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
pub(crate) fn short_size(bytes: u64) -> String {
    let bytes = bytes as f64;
    if bytes < 1024.0 * 1024.0 {
        format!("{:.1}K", bytes / 1024.0)
    } else {
        format!("{:.1}M", bytes / (1024.0 * 1024.0))
    }
}

/// A stretch of time, the shorter the finer: `340 ms`, `1.2 s`, `3 min`, `2 d`.
pub(crate) fn span(time: Duration) -> String {
    let secs = time.as_secs();
    match secs {
        0 if time.as_millis() < 1000 => format!("{} ms", time.as_millis()),
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min", secs / 60),
        3600..86_400 => format!("{} h", secs / 3600),
        _ => format!("{} d", secs / 86_400),
    }
}

/// How long ago a moment was: `12 s ago`. Both in UNIX milliseconds.
pub(crate) fn ago(then: u64, now: u64) -> String {
    let secs = now.saturating_sub(then) / 1000;
    match secs {
        0 => "now".to_owned(),
        1..60 => format!("{secs} s ago"),
        _ => format!("{} ago", span(Duration::from_secs(secs))),
    }
}

/// `1 gateway`, `3 gateways`.
pub(crate) fn count(number: usize, word: &str) -> String {
    if number == 1 {
        format!("1 {word}")
    } else {
        format!("{number} {word}s")
    }
}

/// The text in lines of at most so many letters, broken between words. A text that has lines of its
/// own keeps them; a word that is longer stays whole.
pub(crate) fn wrapped(text: &str, width: Option<usize>) -> Vec<String> {
    let text = text.trim_end();
    let Some(width) = width.filter(|_| !text.contains('\n')) else {
        return text.lines().map(str::to_owned).collect();
    };
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_at_most_one_decimal() {
        for (bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (5_150_000, "5.2 MB"),
            (1_500, "1.5 kB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
        assert_eq!(short_size(5_242_880), "5.0M");
        assert_eq!(short_size(512), "0.5K");
    }

    #[test]
    fn times_get_coarser_as_they_grow() {
        for (ms, expected) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_240, "1.2 s"),
            (59_000, "59.0 s"),
            (61_000, "1 min"),
            (7_200_000, "2 h"),
            (200_000_000, "2 d"),
        ] {
            assert_eq!(span(Duration::from_millis(ms)), expected);
        }
        assert_eq!(ago(10_000, 10_500), "now");
        assert_eq!(ago(10_000, 22_500), "12 s ago");
        assert_eq!(ago(0, 120_000), "2 min ago");
        assert_eq!(ago(20_000, 10_000), "now");
    }

    #[test]
    fn lines_break_between_words_and_own_lines_stay() {
        let check = |text: &str, width, expected: &[&str]| {
            assert_eq!(wrapped(text, width), expected, "{text}");
        };
        check("one two three", None, &["one two three"]);
        check("one two three", Some(7), &["one two", "three"]);
        check("one twothree", Some(5), &["one", "twothree"]);
        check("a long line\n  | ^^\n", Some(4), &["a long line", "  | ^^"]);
    }
}
