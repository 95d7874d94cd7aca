//! Reports of bundles and secrets in colours, line by line: what a line begins with says what
//! it means.

use super::paint::{Paint, Tone};

/// The report in colours, without the end of its last line.
pub(crate) fn painted(report: &str, paint: Paint) -> String {
    let lines = report.lines().map(|line| paint.tone(tone(line), line));
    lines.collect::<Vec<_>>().join("\n")
}

fn tone(line: &str) -> Tone {
    let begins = |start: &str| line.trim_start().starts_with(start);
    if begins("❌") {
        Tone::Bad
    } else if begins("✅") {
        Tone::Good
    } else if begins("⚠️") {
        Tone::Busy
    } else if begins("fix:") {
        Tone::Strong
    } else if begins("note:") || begins("allowed:") {
        Tone::Dim
    } else if line.trim_start().starts_with("| ") && line.trim_end().ends_with('^') {
        Tone::Bad
    } else {
        Tone::Plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_a_report_is_as_it_was() {
        let report = "❌ a: Found 1 issue(s):\n   note: x\n        | ^^\n";
        assert_eq!(painted(report, Paint::new(false)), report.trim_end());
    }

    #[test]
    fn lines_mean_what_they_begin_with() {
        for (line, expected) in [
            ("❌ main.js: Found 1 issue(s):", Tone::Bad),
            ("✅ main.js: CLEAN", Tone::Good),
            ("   ⚠️  React: 1 occurrence(s)", Tone::Busy),
            ("         fix: a.ts:1: move it", Tone::Strong),
            ("   note: something", Tone::Dim),
            ("              |      ^^^^^", Tone::Bad),
            ("            1 | import 'x'", Tone::Plain),
        ] {
            assert_eq!(tone(line), expected, "{line}");
        }
    }
}
