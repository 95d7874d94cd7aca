//! The lines of a source around a place, for people.

use super::{Fix, Link, modules};

/// Lines before and after the one that is meant.
const AROUND: usize = 1;
/// A longer line is generated, and nothing to look at.
const LONGEST: usize = 160;

/// Lines of a source file, one of which is meant.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Frame {
    /// The file, from the workspace.
    pub file: String,
    /// The line that is meant, from 1.
    pub line: usize,
    /// The first letter that is meant in it, from 1.
    pub column: usize,
    /// How many letters are.
    pub width: usize,
    /// The number of the first line shown.
    pub first: usize,
    /// The lines; what would move a terminal's cursor is a blank.
    pub lines: Vec<String>,
}

/// The frame of where to change something, else of the last import of the user's own.
pub(super) fn frame(
    chain: &[Link],
    fix: Option<&Fix>,
    read: &dyn Fn(&str) -> Option<String>,
) -> Option<Frame> {
    let of_fix = fix.and_then(|fix| {
        chain
            .iter()
            .find(|link| link.file == fix.file && link.line == fix.line)
    });
    let own = |link: &&Link| modules::is_own(&link.file) && link.line.is_some();
    let link = of_fix.or_else(|| chain.iter().rev().find(own))?;
    let line = link.line?;
    let text = read(&link.file)?;
    let all: Vec<&str> = text.lines().collect();
    let meant = *all.get(line.checked_sub(1)?)?;
    let first = line.saturating_sub(AROUND).max(1);
    let shown: Vec<String> = all
        .iter()
        .skip(first - 1)
        .take(line + AROUND - first + 1)
        .map(|line| plain(line))
        .collect();
    if shown.iter().any(|line| line.chars().count() > LONGEST) {
        return None;
    }
    let before = meant.find(&link.imports).map(|at| meant.get(..at));
    let (column, width) = if let Some(before) = before.flatten() {
        (before.chars().count() + 1, link.imports.chars().count())
    } else {
        let blank = meant.chars().take_while(|letter| letter.is_whitespace());
        (blank.count() + 1, meant.trim().chars().count().max(1))
    };
    Some(Frame {
        file: link.file.clone(),
        line,
        column,
        width,
        first,
        lines: shown,
    })
}

fn plain(line: &str) -> String {
    let blank = |letter: char| if letter.is_control() { ' ' } else { letter };
    line.trim_end().chars().map(blank).collect()
}

impl Frame {
    /// Its lines, numbered, with a mark below the one that is meant.
    pub(super) fn drawn(&self) -> Vec<String> {
        let last = self.first + self.lines.len();
        let digits = last.to_string().len();
        let mut drawn = Vec::new();
        for (number, line) in (self.first..).zip(&self.lines) {
            drawn.push(format!("{number:digits$} | {line}").trim_end().to_owned());
            if number == self.line {
                let indent = " ".repeat(self.column - 1);
                let mark = "^".repeat(self.width);
                drawn.push(format!("{:digits$} | {indent}{mark}", ""));
            }
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, line: usize, imports: &str, expected: &[&str]) {
        let link = Link {
            file: "src/a.ts".to_owned(),
            line: Some(line),
            imports: imports.to_owned(),
            passed_on: false,
        };
        let found = frame(&[link], None, &|_| Some(text.to_owned()));
        assert_eq!(
            found.map(|frame| frame.drawn()).unwrap_or_default(),
            expected
        );
    }

    #[test]
    fn the_import_is_marked_between_its_neighbours() {
        check(
            "// ä\nimport { a } from 'react';\n\tb();\nc();",
            2,
            "react",
            &[
                "1 | // ä",
                "2 | import { a } from 'react';",
                "  |                    ^^^^^",
                "3 |  b();",
            ],
        );
        check(
            "import 'x';",
            1,
            "other",
            &["1 | import 'x';", "  | ^^^^^^^^^^^"],
        );
    }

    #[test]
    fn what_is_not_there_or_generated_is_not_shown() {
        check("a", 7, "react", &[]);
        check(&"a".repeat(200), 1, "react", &[]);
    }
}
