//! Goes through a map's mappings once: how much of the bundle came from each file, and
//! where certain places of it came from.

use super::super::lines::Lines;
use super::Map;

/// What a map says of a bundle.
#[derive(Debug)]
pub(in super::super) struct Survey {
    /// For each file: bytes of the bundle that came from it.
    pub(in super::super) bytes: Vec<u64>,
    /// For each file: the first byte of the bundle that came from it.
    pub(in super::super) first: Vec<Option<usize>>,
    /// For each place that was asked for: where it came from.
    pub(in super::super) origins: Vec<Option<Origin>>,
    /// Why the map cannot be of this bundle, where that shows.
    pub(in super::super) misfit: Option<String>,
}

/// A place in a file that a bundle was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Origin {
    /// The file's number in the map.
    pub(in super::super) source: usize,
    /// Its line, from 1.
    pub(in super::super) line: usize,
}

/// One mapping: from this column of the bundle's line on.
#[derive(Debug, Clone, Copy)]
struct Segment {
    column: usize,
    origin: Option<Origin>,
}

/// Surveys a bundle. `places` are bytes of it, in ascending order.
pub(in super::super) fn survey(
    map: &Map,
    lines: &Lines,
    places: &[usize],
) -> Result<Survey, String> {
    let mut surveyor = Surveyor {
        lines,
        places,
        asked: 0,
        end: None,
        survey: Survey {
            bytes: vec![0; map.sources.len()],
            first: vec![None; map.sources.len()],
            origins: vec![None; places.len()],
            misfit: None,
        },
    };
    let ends = map
        .sections
        .iter()
        .skip(1)
        .map(|next| (next.line, next.column));
    let ends = ends.map(Some).chain([None]);
    for (section, end) in map.sections.iter().zip(ends) {
        surveyor.end = end;
        let mut reader = Reader {
            bytes: section.mappings.as_bytes(),
            line: section.line,
            offset: section.column,
            first: section.first,
            count: section.count,
            source: 0,
            original_line: 0,
        };
        let mut segments = Vec::new();
        while reader.line(&mut segments)? {
            surveyor.line(reader.line - 1, &segments);
        }
    }
    Ok(surveyor.survey)
}

struct Surveyor<'a> {
    lines: &'a Lines<'a>,
    places: &'a [usize],
    /// How many of the places are behind.
    asked: usize,
    /// Line and column, from 0, where the next section begins.
    end: Option<(usize, usize)>,
    survey: Survey,
}

impl Surveyor<'_> {
    /// Takes a line of the bundle, from 0, with its mappings.
    fn line(&mut self, line: usize, segments: &[Segment]) {
        let Some((start, text)) = self.lines.whole(line) else {
            if !segments.is_empty() {
                self.misfit(line, "which the bundle does not have");
            }
            return;
        };
        // A line's end belongs to what came last in it, and the last line may have none.
        let all = text.len() + usize::from(start + text.len() < self.lines.len());
        let end = match self.end {
            Some((next, _)) if line > next => 0,
            Some((next, column)) if line == next => Columns::of(text).byte(column).unwrap_or(all),
            _ => all,
        };
        let mut columns = Columns::of(text);
        let mut segments = segments.iter().peekable();
        while let Some(segment) = segments.next() {
            let Some(from) = columns.byte(segment.column) else {
                self.misfit(line, "further to the right than that is long");
                return;
            };
            let to = match segments.peek() {
                Some(next) => columns.byte(next.column).unwrap_or(text.len()),
                None => all,
            };
            if from >= end {
                return;
            }
            let (from, to) = (start + from, start + to.min(end));
            self.asked_up_to(from);
            if let Some(origin) = segment.origin {
                if let Some(bytes) = self.survey.bytes.get_mut(origin.source) {
                    *bytes += to.saturating_sub(from) as u64;
                }
                if let Some(first) = self.survey.first.get_mut(origin.source) {
                    first.get_or_insert(from);
                }
            }
            while let Some(place) = self.places.get(self.asked)
                && *place < to
            {
                if let Some(found) = self.survey.origins.get_mut(self.asked) {
                    *found = segment.origin;
                }
                self.asked += 1;
            }
        }
    }

    /// Leaves places behind that no mapping is for.
    fn asked_up_to(&mut self, byte: usize) {
        while self
            .places
            .get(self.asked)
            .is_some_and(|place| *place < byte)
        {
            self.asked += 1;
        }
    }

    fn misfit(&mut self, line: usize, why: &str) {
        let line = line.saturating_add(1);
        self.survey
            .misfit
            .get_or_insert_with(|| format!("it maps line {line}, {why}"));
    }
}

/// Columns in UTF-16 units made into bytes; asked in ascending order. One within a letter
/// is behind it.
struct Columns<'t> {
    text: &'t str,
    ascii: bool,
    units: usize,
    byte: usize,
}

impl<'t> Columns<'t> {
    fn of(text: &'t str) -> Self {
        Self {
            text,
            ascii: text.is_ascii(),
            units: 0,
            byte: 0,
        }
    }

    /// The byte of a column, `None` behind the end.
    fn byte(&mut self, column: usize) -> Option<usize> {
        if self.ascii {
            return (column <= self.text.len()).then_some(column);
        }
        let rest = self.text.get(self.byte..)?;
        let mut letters = rest.chars();
        while self.units < column {
            let letter = letters.next()?;
            self.units += letter.len_utf16();
            self.byte += letter.len_utf8();
        }
        Some(self.byte)
    }
}

/// Reads mappings: numbers in base 64, each relative to the one before.
struct Reader<'t> {
    bytes: &'t [u8],
    /// The line that comes next, from 0.
    line: usize,
    /// Where the section begins in its first line.
    offset: usize,
    first: usize,
    count: usize,
    source: i64,
    original_line: i64,
}

impl Reader<'_> {
    /// Reads one line; `false` when there is none.
    fn line(&mut self, segments: &mut Vec<Segment>) -> Result<bool, String> {
        segments.clear();
        if self.bytes.is_empty() {
            return Ok(false);
        }
        let mut column = i64::try_from(self.offset).unwrap_or(i64::MAX);
        loop {
            match self.bytes {
                [] => break,
                [b';', rest @ ..] => {
                    self.bytes = rest;
                    break;
                }
                [b',', rest @ ..] => self.bytes = rest,
                _ => segments.push(self.segment(&mut column)?),
            }
        }
        // Not every tool sorts them.
        if !segments.is_sorted_by_key(|segment| segment.column) {
            segments.sort_by_key(|segment| segment.column);
        }
        self.line = self.line.saturating_add(1);
        self.offset = 0;
        Ok(true)
    }

    fn segment(&mut self, column: &mut i64) -> Result<Segment, String> {
        let mut fields = [0; 5];
        let mut count = 0;
        while !matches!(self.bytes, [] | [b',' | b';', ..]) {
            let number = self.number()?;
            let field = fields
                .get_mut(count)
                .ok_or("a mapping of it has too many numbers")?;
            *field = number;
            count += 1;
        }
        let [moved, source, line, ..] = fields;
        let sum = column.checked_add(moved);
        *column = sum.ok_or("a number in its mappings is too large")?;
        let column = usize::try_from(*column).map_err(|_| "a mapping of it is left of its line")?;
        if count == 1 {
            let origin = None;
            return Ok(Segment { column, origin });
        }
        if count < 4 {
            return Err("a mapping of it has too few numbers".to_owned());
        }
        self.source += source;
        self.original_line += line;
        let known = usize::try_from(self.source)
            .ok()
            .filter(|at| *at < self.count);
        let source = known.ok_or("a mapping of it names a file that it does not list")?;
        let line =
            usize::try_from(self.original_line).map_err(|_| "a mapping of it is above its file")?;
        let origin = Some(Origin {
            source: self.first + source,
            line: line + 1,
        });
        Ok(Segment { column, origin })
    }

    fn number(&mut self) -> Result<i64, String> {
        let mut number: u64 = 0;
        let mut shift = 0;
        loop {
            let Some((byte, rest)) = self.bytes.split_first() else {
                return Err("its mappings break off".to_owned());
            };
            self.bytes = rest;
            let digit = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return Err("its mappings hold what is not base 64".to_owned()),
            };
            // Numbers have 32 bits.
            if shift > 30 {
                return Err("a number in its mappings is too large".to_owned());
            }
            number |= u64::from(digit & 31) << shift;
            shift += 5;
            if digit & 32 == 0 {
                break;
            }
        }
        let magnitude = i64::try_from(number >> 1).unwrap_or(0);
        Ok(if number & 1 == 1 {
            -magnitude
        } else {
            magnitude
        })
    }
}
