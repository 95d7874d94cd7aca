//! Lines of a text: how many, where one is, and how one is shown.

use std::cell::Cell;

/// The longest line that is shown whole, in characters.
const CODE_CHARS: usize = 160;

/// How many lines an editor shows.
pub(super) fn count_lines(text: &str) -> usize {
    let newlines = text.bytes().filter(|byte| *byte == b'\n').count();
    newlines + usize::from(!text.is_empty() && !text.ends_with('\n'))
}

/// Where lines begin.
pub(super) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
    /// The place that was asked for last: its byte and column. A line may be as long as its
    /// file, and is not counted anew for each place in it.
    last: Cell<(usize, usize)>,
}

impl<'t> Lines<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let after = text.match_indices('\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(after).collect();
        Self {
            text,
            starts,
            last: Cell::new((0, 1)),
        }
    }

    /// Bytes of the whole text.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Line and column of a byte, both from 1; the column in characters.
    pub(super) fn place(&self, offset: usize) -> (usize, usize) {
        let (line, start) = self.line_of(offset);
        let (from, column) = match self.last.get() {
            (last, column) if (start..=offset).contains(&last) => (last, column),
            _ => (start, 1),
        };
        let passed = self.text.as_bytes().get(from..offset).unwrap_or_default();
        let column = column + characters(passed);
        self.last.set((offset, column));
        (line, column)
    }

    /// What is shown of the line around a byte.
    pub(super) fn excerpt(&self, offset: usize) -> String {
        let (line, start) = self.line_of(offset);
        excerpt(self.text(line), offset - start)
    }

    /// The line of a byte, from 1, and where that begins.
    fn line_of(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        (line, self.starts.get(line - 1).copied().unwrap_or(0))
    }

    /// Where a line begins and its text; the line from 0, `None` behind the last.
    pub(super) fn whole(&self, line: usize) -> Option<(usize, &'t str)> {
        let start = *self.starts.get(line)?;
        Some((start, self.text(line + 1)))
    }

    pub(super) fn text(&self, line: usize) -> &'t str {
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let end = self
            .starts
            .get(line)
            .map_or(self.text.len(), |next| next - 1);
        self.text.get(start..end).unwrap_or_default()
    }
}

/// How many characters there are; what is no UTF-8 counts for something, too.
pub(crate) fn characters(bytes: &[u8]) -> usize {
    let begins = |byte: &&u8| **byte & 0xc0 != 0x80;
    bytes.iter().filter(begins).count()
}

/// The line trimmed, or the part of it around a byte. What would move a terminal's
/// cursor becomes a blank.
fn excerpt(line: &str, byte: usize) -> String {
    let blank = |c: char| if c.is_control() { ' ' } else { c };
    // A minified line is as long as its file: only its surroundings are looked at.
    let mut from = byte.saturating_sub(4 * CODE_CHARS);
    let mut to = (byte + 4 * CODE_CHARS).min(line.len());
    while !line.is_char_boundary(from) {
        from += 1;
    }
    while !line.is_char_boundary(to) {
        to -= 1;
    }
    let near = line.get(from..to).unwrap_or_default();
    let whole = from == 0 && to == line.len();
    let trimmed: Vec<char> = near.trim().chars().map(blank).collect();
    if whole && trimmed.len() <= CODE_CHARS {
        return trimmed.into_iter().collect();
    }
    let before = near.get(..byte.saturating_sub(from)).unwrap_or_default();
    let at = before.trim_start().chars().count();
    let room = CODE_CHARS - 2;
    let start = at
        .saturating_sub(room / 2)
        .min(trimmed.len().saturating_sub(room));
    let end = (start + room).min(trimmed.len());
    let cut_before = from > 0 || start > 0;
    let cut_after = to < line.len() || end < trimmed.len();
    let mut code = String::new();
    code.extend(cut_before.then_some('…'));
    code.extend(trimmed.get(start..end).unwrap_or_default());
    code.extend(cut_after.then_some('…'));
    code
}
