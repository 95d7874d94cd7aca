//! The words of `NODE_OPTIONS`, split as Node splits them.

/// A word of the variable.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    /// What Node reads.
    pub(super) text: String,
    /// As it is written, quotes and all.
    pub(super) raw: &'a str,
}

/// Words stand between spaces; in double quotes a space is one of the word and a
/// backslash takes the next character as it is. `None` for what Node refuses: quotes
/// that do not end.
pub(super) fn split(variable: &str) -> Option<Vec<Word<'_>>> {
    let mut words = Vec::new();
    let mut text = String::new();
    let mut start = None;
    let mut in_quotes = false;
    let mut characters = variable.char_indices();
    while let Some((at, character)) = characters.next() {
        if character == ' ' && !in_quotes {
            if let Some(start) = start.take() {
                words.extend(word(&mut text, variable.get(start..at)?));
            }
            continue;
        }
        start.get_or_insert(at);
        match character {
            '"' => in_quotes = !in_quotes,
            '\\' if in_quotes => text.push(characters.next()?.1),
            other => text.push(other),
        }
    }
    if let Some(start) = start {
        words.extend(word(&mut text, variable.get(start..)?));
    }
    (!in_quotes).then_some(words)
}

/// Quotes with nothing in them are no word.
fn word<'a>(text: &mut String, raw: &'a str) -> Option<Word<'a>> {
    let text = std::mem::take(text);
    (!text.is_empty()).then_some(Word { text, raw })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variable: &str, expected: Option<&[(&str, &str)]>) {
        let found = split(variable);
        let found: Option<Vec<_>> = found
            .as_ref()
            .map(|words| words.iter().map(|it| (it.text.as_str(), it.raw)).collect());
        assert_eq!(found.as_deref(), expected, "{variable}");
    }

    #[test]
    fn words_stand_between_spaces_and_in_quotes() {
        check("", Some(&[]));
        check("  a  b=1 ", Some(&[("a", "a"), ("b=1", "b=1")]));
        check(
            r#"--require "./a b.js" -r="c\"d""#,
            Some(&[
                ("--require", "--require"),
                ("./a b.js", r#""./a b.js""#),
                (r#"-r=c"d"#, r#"-r="c\"d""#),
            ]),
        );
        check(r"a\b", Some(&[(r"a\b", r"a\b")]));
        check(r#"a "" b"#, Some(&[("a", "a"), ("b", "b")]));
        check(r#"a "b"#, None);
        check(r#""a\"#, None);
    }
}
