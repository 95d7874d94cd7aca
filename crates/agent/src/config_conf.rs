//! `app/config.conf` of a release: lines `export NAME=value` of a shell, read without one.
//!
//! Quotes and comments are understood as a shell does. What only a shell can know, such
//! as the output of a command, is not: such a line is skipped, and named.

use std::path::Path;

/// A larger file is not read; a few lines are all that such a file has.
const MOST_BYTES: u64 = 256 * 1024;

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Exported {
    /// Names and values; a later one of the same name counts.
    pub(crate) variables: Vec<(String, String)>,
    /// Line numbers, and why they were skipped. Values are not shown: they may be secret.
    pub(crate) skipped: Vec<(usize, &'static str)>,
}

/// Reads a release's file; nothing where there is none.
pub(crate) fn read(release: &Path) -> Exported {
    let path = release.join("app/config.conf");
    let small = std::fs::metadata(&path).is_ok_and(|about| about.len() <= MOST_BYTES);
    let text = if small {
        std::fs::read_to_string(&path).unwrap_or_default()
    } else {
        String::new()
    };
    parse(&text)
}

/// Reads the lines. Those that export nothing are no affair of the application's.
pub(crate) fn parse(text: &str) -> Exported {
    let mut exported = Exported::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let Some(rest) = line
            .strip_prefix("export")
            .filter(|rest| rest.starts_with([' ', '\t']))
        else {
            continue;
        };
        match words(rest).and_then(|words| words.iter().map(|word| variable(word)).collect()) {
            Ok(variables) => {
                let variables: Vec<Option<_>> = variables;
                exported.variables.extend(variables.into_iter().flatten());
            }
            Err(why) => exported.skipped.push((number, why)),
        }
    }
    exported
}

/// A word `NAME=value`; `None` for a name alone, whose value is set elsewhere.
fn variable(word: &str) -> Result<Option<(String, String)>, &'static str> {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name {
        return Err("is not `export NAME=value`");
    }
    Ok(value.map(|value| (name.to_owned(), value.to_owned())))
}

const EXPANDS: &str = "has `$` or a backtick, for which it takes a shell";
const OPEN: &str = "has a quote that is not closed in the same line";
const MORE: &str = "has more than names and values, for which it takes a shell";

/// Splits a line into words, with quotes taken off.
fn words(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' => words.extend(word.take()),
            '#' if word.is_none() => break,
            '\'' => single(&mut letters, word.get_or_insert_default())?,
            '"' => double(&mut letters, word.get_or_insert_default())?,
            '\\' => word
                .get_or_insert_default()
                .push(letters.next().ok_or(MORE)?),
            '$' | '`' => return Err(EXPANDS),
            ';' | '&' | '|' | '<' | '>' | '(' | ')' => return Err(MORE),
            // A home folder.
            '~' if word.as_ref().is_none_or(|word| word.ends_with(['=', ':'])) => return Err(MORE),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Everything up to the next quote, as it stands.
fn single(letters: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), &'static str> {
    for letter in letters {
        if letter == '\'' {
            return Ok(());
        }
        word.push(letter);
    }
    Err(OPEN)
}

/// Everything up to the next quote that is not escaped.
fn double(letters: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), &'static str> {
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return Ok(()),
            '$' | '`' => return Err(EXPANDS),
            '\\' => match letters.next().ok_or(OPEN)? {
                escaped @ ('"' | '\\' | '$' | '`') => word.push(escaped),
                other => word.extend(['\\', other]),
            },
            other => word.push(other),
        }
    }
    Err(OPEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[(&str, &str)]) {
        let exported = parse(line);
        assert_eq!(exported.skipped, [], "{line}");
        let found: Vec<(&str, &str)> = exported
            .variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn values_are_read_as_a_shell_reads_them() {
        check("export A=1", &[("A", "1")]);
        check("  export\tA=1  ", &[("A", "1")]);
        check("export A=", &[("A", "")]);
        check("export A=\"x y\" # why", &[("A", "x y")]);
        check("export A='$HOME `x` \\n'", &[("A", "$HOME `x` \\n")]);
        check(r#"export A="a \"b\" \$c \d""#, &[("A", r#"a "b" $c \d"#)]);
        check(r"export A=a\ b\$c", &[("A", "a b$c")]);
        check("export A=x\"y z\"'!'w", &[("A", "xy z!w")]);
        check("export A=1 B=2", &[("A", "1"), ("B", "2")]);
        check("export A=a#b", &[("A", "a#b")]);
        check("export A=b=c", &[("A", "b=c")]);
        check("export A", &[]);
        check("export A=a~b", &[("A", "a~b")]);
        check(r#"export A='{"a": [1]}'"#, &[("A", r#"{"a": [1]}"#)]);
    }

    #[test]
    fn what_exports_nothing_is_none_of_the_application_s_affair() {
        for line in [
            "",
            "# export A=1",
            "A=1",
            "exportA=1",
            "set -a",
            "if x; then",
            "export",
        ] {
            check(line, &[]);
        }
    }

    #[test]
    fn what_takes_a_shell_is_skipped_and_named_without_its_value() {
        for (line, why) in [
            ("export A=$(secret)", EXPANDS),
            ("export A=`secret`", EXPANDS),
            ("export A=\"$B\"", EXPANDS),
            ("export A=${B:-x}", EXPANDS),
            ("export A=1; rm x", MORE),
            ("export A=1 && B=2", MORE),
            ("export A=~/x", MORE),
            ("export A=x\\", MORE),
            ("export A='x", OPEN),
            ("export A=\"x", OPEN),
            ("export 1A=x", "is not `export NAME=value`"),
            ("export -n A", "is not `export NAME=value`"),
        ] {
            let exported = parse(&format!("export OK=1\n{line}\nexport LAST=2"));
            assert_eq!(exported.skipped, [(2, why)], "{line}");
            assert_eq!(exported.variables.len(), 2, "{line}");
        }
    }
}
