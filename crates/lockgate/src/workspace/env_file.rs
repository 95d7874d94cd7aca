//! `NAME=value` lines, as `docker run --env-file` reads them.

use std::collections::BTreeMap;

/// Reads the lines; a problem names its line.
///
/// Blank lines and `#` comments are skipped, a leading `export ` is dropped, and
/// one pair of quotes around a value too. Nothing is expanded.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut variables = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let Some((name, value)) = line.split_once('=').filter(|(name, _)| is_name(name)) else {
            // The line itself may hold a secret and is not shown.
            return Err(format!("line {} is not `NAME=value`", number + 1));
        };
        variables.insert(name.to_owned(), unquoted(value).to_owned());
    }
    Ok(variables)
}

/// Whether this can be the name of an environment variable.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn unquoted(value: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_docker_reads_them() {
        let found = parse("# note\n\nA=1\nexport B=\"x y\"\nC='=#'\nD=\n").unwrap();
        let expected = [("A", "1"), ("B", "x y"), ("C", "=#"), ("D", "")];
        assert_eq!(
            found,
            expected
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()
        );
    }

    #[test]
    fn a_bad_line_is_named_but_not_shown() {
        for bad in ["A=1\nsecret", "A=1\n=x", "A=1\n1X=y", "A=1\nA B=c"] {
            assert_eq!(parse(bad).unwrap_err(), "line 2 is not `NAME=value`");
        }
    }
}
