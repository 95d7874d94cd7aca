//! Tables without lines, as in `docker ps`: columns two spaces apart.
//!
//! A narrow terminal first loses the columns that matter least, then the widest
//! column is cut with `…`. Nothing is cut when the output is not a terminal.

use crate::views::paint::{Paint, Tone};

/// A column: its title, and how early it is given up when space is short.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    /// 0 stays always; higher numbers go first.
    expendable: u8,
    /// Where a narrow terminal cuts.
    cut: Cut,
}

/// Which end of a text is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    End,
    /// Of names that differ at their end.
    Start,
}

impl Column {
    /// A column that always stays.
    pub(crate) const fn kept(title: &'static str) -> Self {
        Self {
            title,
            expendable: 0,
            cut: Cut::End,
        }
    }

    /// A column of names, which always stays; a cut name keeps its end, where names differ.
    pub(crate) const fn name(title: &'static str) -> Self {
        Self {
            title,
            expendable: 0,
            cut: Cut::Start,
        }
    }

    /// A column that may go; higher numbers go first.
    pub(crate) const fn expendable(title: &'static str, expendable: u8) -> Self {
        Self {
            title,
            expendable,
            cut: Cut::End,
        }
    }
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell in a tone.
    pub(crate) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }

    /// What is not known or does not apply.
    pub(crate) fn none() -> Self {
        Self::new("-", Tone::Dim)
    }

    /// The same in another tone.
    #[must_use]
    pub(crate) fn in_tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    /// A plain cell, or `-`.
    pub(crate) fn maybe(text: Option<impl ToString>) -> Self {
        text.map_or_else(Self::none, |text| Self::from(text.to_string()))
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// The table as text. `width` is the terminal's, if there is one.
pub(crate) fn render<const N: usize>(
    columns: [Column; N],
    rows: &[[Cell; N]],
    width: Option<usize>,
    paint: Paint,
) -> String {
    let mut widths = columns.map(|column| length(column.title));
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(length(&cell.text));
        }
    }
    let shown = fit(&columns, &mut widths, width);
    let header = columns.map(|column| Cell::new(column.title, Tone::Dim));
    std::iter::once(&header)
        .chain(rows)
        .map(|row| line(&columns, row, &widths, &shown, paint))
        .collect()
}

/// Which columns are shown, and how wide, so that a line fits.
fn fit<const N: usize>(
    columns: &[Column; N],
    widths: &mut [usize; N],
    limit: Option<usize>,
) -> [bool; N] {
    let mut shown = [true; N];
    let Some(limit) = limit else { return shown };
    loop {
        let total = total(widths, &shown);
        if total <= limit {
            return shown;
        }
        let next = columns
            .iter()
            .zip(shown.iter_mut())
            .filter(|(column, shown)| **shown && column.expendable > 0)
            .max_by_key(|(column, _)| column.expendable);
        if let Some((_, shown)) = next {
            *shown = false;
            continue;
        }
        let widest = widths
            .iter_mut()
            .zip(shown)
            .filter(|(_, shown)| *shown)
            .map(|(width, _)| width)
            .max();
        match widest {
            // Below this a cut column says nothing any more.
            Some(widest) if *widest > 8 => *widest = widest.saturating_sub(total - limit).max(8),
            _ => return shown,
        }
    }
}

fn total(widths: &[usize], shown: &[bool]) -> usize {
    let seen: Vec<usize> = widths
        .iter()
        .zip(shown)
        .filter(|(_, shown)| **shown)
        .map(|(width, _)| *width)
        .collect();
    seen.iter().sum::<usize>() + 2 * seen.len().saturating_sub(1)
}

fn line<const N: usize>(
    columns: &[Column; N],
    row: &[Cell; N],
    widths: &[usize; N],
    shown: &[bool; N],
    paint: Paint,
) -> String {
    let mut text = String::new();
    let mut pad = 0;
    let cells = columns.iter().zip(row).zip(widths).zip(shown);
    for (((column, cell), width), _) in cells.filter(|(_, shown)| **shown) {
        text.push_str(&" ".repeat(pad));
        let cut = cut(&cell.text, *width, column.cut);
        pad = width - length(&cut).min(*width) + 2;
        text.push_str(&paint.tone(cell.tone, &cut));
    }
    text.push('\n');
    text
}

/// The text, cut to so many characters.
fn cut(text: &str, width: usize, cut: Cut) -> String {
    let length = length(text);
    if length <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    match cut {
        Cut::End => text.chars().take(kept).chain(['…']).collect(),
        Cut::Start => ['…']
            .into_iter()
            .chain(text.chars().skip(length - kept))
            .collect(),
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column::kept("NAME"),
        Column::expendable("PID", 1),
        Column::kept("WHY"),
    ];

    fn check(width: Option<usize>, expected: &str) {
        let rows = [
            [
                "gw-0".into(),
                "1234".into(),
                "answers since this morning".into(),
            ],
            ["gw-10".into(), Cell::none(), Cell::default()],
        ];
        assert_eq!(render(COLUMNS, &rows, width, Paint::new(false)), expected);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        check(
            None,
            "NAME   PID   WHY\ngw-0   1234  answers since this morning\ngw-10  -     \n",
        );
    }

    #[test]
    fn a_narrow_terminal_loses_what_matters_least_then_cuts() {
        check(
            Some(35),
            "NAME   WHY\ngw-0   answers since this morning\ngw-10  \n",
        );
        check(Some(20), "NAME   WHY\ngw-0   answers sinc…\ngw-10  \n");
        check(Some(3), "NAME   WHY\ngw-0   answers…\ngw-10  \n");
    }

    #[test]
    fn cut_names_still_differ() {
        let columns = [Column::name("GATEWAY"), Column::kept("STATE")];
        let row = |name: &str| [name.into(), "ready".into()];
        let rows = [row("gw-pool-dev-001-0"), row("gw-pool-dev-001-1")];
        assert_eq!(
            render(columns, &rows, Some(16), Paint::new(false)),
            "GATEWAY    STATE\n…ev-001-0  ready\n…ev-001-1  ready\n"
        );
    }

    #[test]
    fn colour_does_not_move_columns() {
        let rows = [[Cell::new("a", Tone::Good), "b".into(), "c".into()]];
        let text = render(COLUMNS, &rows, None, Paint::new(true));
        assert!(
            text.ends_with("\u{1b}[32ma\u{1b}[0m     b    c\n"),
            "{text:?}"
        );
    }
}
