//! One line, of which only the beginning is kept.

/// How much is kept: no line that is looked into needs more.
const KEPT: usize = 128;

/// A line, or as much of it as came.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Its beginning, without its end.
    kept: Vec<u8>,
    /// How long it is in all, without its end.
    length: usize,
    /// Whether the last byte was a carriage return.
    returned: bool,
}

/// What was taken of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// All of them, and the line goes on.
    Part,
    /// So many, and the line ends with them.
    Whole(usize),
    /// So many, and what follows is half of a line's end.
    Broken(usize),
}

impl Line {
    pub(super) fn take(&mut self, bytes: &[u8]) -> Taken {
        if self.returned {
            return match bytes.first() {
                Some(b'\n') => Taken::Whole(1),
                Some(_) => Taken::Broken(0),
                None => Taken::Part,
            };
        }
        let Some(end) = memchr::memchr2(b'\r', b'\n', bytes) else {
            self.keep(bytes);
            return Taken::Part;
        };
        let (text, rest) = bytes.split_at(end);
        self.keep(text);
        match rest {
            [b'\r', b'\n', ..] => Taken::Whole(end + 2),
            [b'\r'] => {
                self.returned = true;
                Taken::Part
            }
            [b'\r', ..] => Taken::Broken(end + 1),
            _ => Taken::Broken(end),
        }
    }

    fn keep(&mut self, text: &[u8]) {
        let room = KEPT - self.kept.len();
        self.kept.extend(text.iter().take(room));
        self.length += text.len();
    }

    /// Whether nothing of it came yet, or nothing but its end.
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether it is a header of this name.
    pub(super) fn is_header(&self, name: &str) -> bool {
        let before = self.kept.split(|byte| *byte == b':').next();
        self.kept.contains(&b':')
            && before.is_some_and(|it| it.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
    }

    /// Whether it is a header with this value.
    pub(super) fn has_value(&self, value: &str) -> bool {
        self.value()
            .is_some_and(|it| it.eq_ignore_ascii_case(value.as_bytes()))
    }

    /// A header's value as a length.
    pub(super) fn length(&self) -> Option<u64> {
        let digits = self.value()?;
        let digits = std::str::from_utf8(digits).ok()?;
        // `+5` is no length, though it can be read as one.
        let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| all_digits)
    }

    /// The size of a chunk; what may follow it is of no concern.
    pub(super) fn chunk_size(&self) -> Option<u64> {
        let text = self.whole()?;
        let digits = text.split(|byte| *byte == b';').next()?;
        let digits = std::str::from_utf8(digits.trim_ascii_end()).ok()?;
        let all_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(digits, 16).ok().filter(|_| all_digits)
    }

    /// What stands behind the colon.
    fn value(&self) -> Option<&[u8]> {
        let colon = self.kept.iter().position(|byte| *byte == b':')?;
        let value = self.whole()?.get(colon + 1..)?;
        Some(value.trim_ascii())
    }

    /// The line, where all of it is kept.
    fn whole(&self) -> Option<&[u8]> {
        (self.length == self.kept.len()).then_some(&self.kept[..])
    }
}
