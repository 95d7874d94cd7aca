//! Results as they are printed.

use std::fmt::Write as _;

use crate::samples::Samples;

/// One benchmark's results: contenders, then what follows from them.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// What was measured, on what, how often.
    pub(crate) title: String,
    /// The contenders.
    pub(crate) rows: Vec<Row>,
    /// Ratios with the goal beside them, and what was skipped.
    pub(crate) notes: Vec<String>,
}

/// A contender.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: String,
    /// Its figures.
    pub(crate) samples: Samples,
    /// Their unit.
    pub(crate) unit: &'static str,
    /// What else is worth to know of it.
    pub(crate) remark: String,
}

impl Row {
    /// A row without a remark.
    pub(crate) fn new(name: &str, samples: Samples, unit: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            samples,
            unit,
            remark: String::new(),
        }
    }

    fn figures(&self) -> (String, String) {
        match (self.samples.median(), self.samples.range()) {
            (Some(median), Some((least, most))) => (
                format!("{} {}", rounded(median), self.unit),
                format!("[{}–{}]", rounded(least), rounded(most)),
            ),
            _ => ("not measured".to_owned(), String::new()),
        }
    }
}

impl Table {
    /// The table as text, one line a row, the notes last.
    pub(crate) fn render(&self) -> String {
        let mut text = format!("{}\n", self.title);
        let figures: Vec<_> = self.rows.iter().map(Row::figures).collect();
        let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
        let names = width(&mut self.rows.iter().map(|row| row.name.chars().count()));
        let medians = width(&mut figures.iter().map(|(median, _)| median.chars().count()));
        let ranges = width(&mut figures.iter().map(|(_, range)| range.chars().count()));
        for (row, (median, range)) in self.rows.iter().zip(&figures) {
            let line = format!(
                "  {:<names$}  {median:>medians$}  {range:<ranges$}  {}",
                row.name, row.remark
            );
            let _ = writeln!(text, "{}", line.trim_end());
        }
        for note in &self.notes {
            let _ = writeln!(text, "  {note}");
        }
        text
    }
}

/// `a / b` of two medians, when both were measured.
pub(crate) fn ratio(a: &Samples, b: &Samples) -> Option<f64> {
    Some(a.median()? / b.median()?).filter(|ratio| ratio.is_finite())
}

/// Three digits that count, no more.
fn rounded(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

/// Prints to stdout: results are data.
#[expect(
    clippy::print_stdout,
    reason = "a benchmark prints its results, here only"
)]
pub(crate) fn print(text: &str) {
    println!("{text}");
}

/// Tells on stderr what is going on.
#[expect(clippy::print_stderr, reason = "progress is not a result")]
pub(crate) fn tell(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_notes_come_last() {
        let mut slow = Row::new(
            "tar czf",
            [998.0, 930.0, 1040.4].into_iter().collect(),
            "ms",
        );
        slow.remark = "5.15 MB".to_owned();
        let table = Table {
            title: "pack".to_owned(),
            rows: vec![
                Row::new("ours", [40.22].into_iter().collect(), "ms"),
                slow,
                Row::new("other", Samples::default(), "ms"),
            ],
            notes: vec!["2.0 × faster".to_owned()],
        };
        assert_eq!(
            table.render(),
            "pack\n\
             \u{20} ours          40.2 ms  [40.2–40.2]\n\
             \u{20} tar czf        998 ms  [930–1040]   5.15 MB\n\
             \u{20} other    not measured\n\
             \u{20} 2.0 × faster\n"
        );
    }

    #[test]
    fn a_ratio_needs_both_sides() {
        let two: Samples = [2.0].into_iter().collect();
        let four: Samples = [4.0].into_iter().collect();
        assert_eq!(ratio(&four, &two), Some(2.0));
        assert_eq!(ratio(&four, &Samples::default()), None);
        assert_eq!(ratio(&four, &[0.0].into_iter().collect()), None);
    }
}
