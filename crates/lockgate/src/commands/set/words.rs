//! What was said on the command line of `set`: an environment, and what changes.

use std::io::Read as _;
use std::path::Path;

use lockgate_model::EnvName;

use crate::context::Context;
use crate::environment::variables::{Change, check, check_name};
use crate::error::{CommandError, Kind};
use crate::workspace::parse_env_file;

/// Standard input, as a value or a file.
const STDIN: &str = "-";

/// The words, told apart.
pub(super) struct Words {
    /// The environment, where the first word names one.
    pub(super) env: Option<EnvName>,
    /// Names and values.
    pub(super) set: Vec<(String, String)>,
}

impl Words {
    /// A first word without `=` is the environment; every other is `NAME=VALUE`.
    pub(super) fn parse(words: &[String]) -> Result<Self, CommandError> {
        let (env, rest) = match words.split_first() {
            Some((first, rest)) if !first.contains('=') => {
                let env = EnvName::parse(first)
                    .map_err(|error| CommandError::usage(error.to_string()))?;
                (Some(env), rest)
            }
            _ => (None, words),
        };
        let set = rest.iter().map(|word| {
            let parts = word.split_once('=');
            // The word may be a secret that lost its name; it is not shown.
            let (name, value) = parts.ok_or_else(|| {
                CommandError::usage("a word is not `NAME=VALUE`")
                    .hint("the environment comes first: `lockgate set ENV NAME=VALUE`")
            })?;
            Ok((name.to_owned(), value.to_owned()))
        });
        Ok(Self {
            env,
            set: set.collect::<Result<_, CommandError>>()?,
        })
    }
}

/// What changes: a file's variables first, then those on the command line, then what is taken
/// away. `input` gives standard input, which there is once.
pub(super) fn changes(
    words: &Words,
    unset: &[String],
    file: Option<&Path>,
    input: &mut dyn FnMut() -> Result<String, CommandError>,
) -> Result<Vec<Change>, CommandError> {
    let from_stdin = words.set.iter().filter(|(_, value)| value == STDIN).count()
        + usize::from(file.is_some_and(|file| file == Path::new(STDIN)));
    if from_stdin > 1 {
        return Err(CommandError::usage("standard input can be one value only")
            .hint("`--file -` reads many variables from it"));
    }
    let mut set = file.map_or_else(|| Ok(Vec::new()), |file| read(file, input))?;
    for (name, value) in &words.set {
        // Before somebody types a value for it.
        check(name, "")?;
        let value = if value == STDIN {
            one_value(input()?)
        } else {
            value.clone()
        };
        set.push((name.clone(), value));
    }
    for (name, value) in &set {
        check(name, value)?;
    }
    for name in unset {
        check_name(name).map_err(|error| {
            CommandError::usage(format!("`{name}` cannot be set")).because(&error)
        })?;
    }
    if set.is_empty() && unset.is_empty() {
        return Err(CommandError::usage("nothing is to be set").hint(
            "`lockgate set ENV NAME=VALUE` sets a variable, `--list` shows which there are",
        ));
    }
    let set = set
        .into_iter()
        .map(|(name, value)| Change::Set(name, value));
    Ok(set
        .chain(unset.iter().cloned().map(Change::Unset))
        .collect())
}

/// The variables of a file.
fn read(
    file: &Path,
    input: &mut dyn FnMut() -> Result<String, CommandError>,
) -> Result<Vec<(String, String)>, CommandError> {
    let named = file.display();
    let text = if file == Path::new(STDIN) {
        input()?
    } else {
        std::fs::read_to_string(file).map_err(|error| {
            CommandError::failed(format!("cannot read `{named}`")).because(&error)
        })?
    };
    let parsed = parse_env_file(&text);
    let parsed = parsed.map_err(|why| CommandError::usage(format!("`{named}`: {why}")))?;
    Ok(parsed.into_iter().collect())
}

/// A value as it was typed or piped: without the line's end, which is nobody's.
fn one_value(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

/// All of standard input.
pub(super) fn input(ctx: &Context) -> Result<String, CommandError> {
    use std::io::IsTerminal as _;
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        ctx.screen
            .say("reading from standard input; Ctrl-D ends it");
    }
    let mut text = String::new();
    stdin.read_to_string(&mut text).map_err(|error| {
        CommandError::from_error(Kind::Failed, &error).because_of("standard input cannot be read")
    })?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::paint::Paint;

    fn words(words: &[&str]) -> Words {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Words::parse(&words).unwrap()
    }

    /// The changes as they would be written, or the error.
    fn changed(said: &[&str], unset: &[&str], file: Option<&str>, input: &str) -> String {
        let unset: Vec<String> = unset.iter().map(|word| (*word).to_owned()).collect();
        let mut input = || Ok(input.to_owned());
        match changes(&words(said), &unset, file.map(Path::new), &mut input) {
            Err(error) => error.render(Paint::new(false)),
            Ok(changes) => {
                let text = |change: &Change| match change {
                    Change::Set(name, value) => format!("{name}={value:?}"),
                    Change::Unset(name) => format!("-{name}"),
                };
                changes.iter().map(text).collect::<Vec<_>>().join(" ")
            }
        }
    }

    #[test]
    fn a_first_word_without_equals_is_the_environment() {
        let env = |said: &[&str]| words(said).env.map(|env| env.to_string());
        assert_eq!(env(&["dev-001", "A=1"]).as_deref(), Some("dev-001"));
        assert_eq!(env(&["A=1", "B=x=y"]), None);
        assert_eq!(words(&["A=1", "B=x=y"]).set[1].1, "x=y");
        let error = Words::parse(&["dev-001".to_owned(), "hunter2".to_owned()]);
        let error = error.map(|_| ()).unwrap_err().render(Paint::new(false));
        assert!(
            error.contains("not `NAME=VALUE`") && !error.contains("hunter2"),
            "{error}"
        );
    }

    #[test]
    fn values_come_from_words_a_file_or_standard_input() {
        assert_eq!(changed(&["A=1", "B="], &[], None, ""), r#"A="1" B="""#);
        assert_eq!(changed(&["A=-"], &[], None, "s p\r\n"), r#"A="s p""#);
        assert_eq!(changed(&["A=-"], &[], None, "x\n\n"), r#"A="x\n""#);
        assert_eq!(
            changed(&["B=2"], &["C"], Some("-"), "A='1'\nexport B=1\n"),
            r#"A="1" B="1" B="2" -C"#
        );
    }

    #[test]
    fn what_cannot_be_set_is_refused_without_its_value() {
        for (said, unset, file, expected) in [
            (&["A=-", "B=-"][..], &[][..], None, "one value only"),
            (&["A=-"], &[], Some("-"), "one value only"),
            (&[], &[], None, "nothing is to be set"),
            (
                &["GATEWAY_TOKEN=hunter2"],
                &[],
                None,
                "`GATEWAY_TOKEN` cannot be set",
            ),
            (&["1A=hunter2"], &[], None, "`1A` cannot be set"),
            (&[], &["DOMAIN"], None, "`DOMAIN` cannot be set"),
            (&[], &[], Some("-"), "`-`: line 1 is not `NAME=value`"),
            (&[], &[], Some("/nowhere"), "cannot read `/nowhere`"),
        ] {
            let error = changed(said, unset, file, "hunter2");
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
