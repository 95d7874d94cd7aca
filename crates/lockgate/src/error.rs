//! What a failed command tells its user: kind, exit code, causes and what to do next.
//!
//! Modules know what failed; only this folder and the commands know hints.

mod for_programs;
mod of_modules;
mod one_line;

use std::error::Error;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use self::for_programs::{Described, Ended, Told};
pub(crate) use self::one_line::in_one_line;
use crate::views::paint::Paint;

/// What sort of failure it is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// It was tried and failed, or found something.
    Failed,
    /// The command line does not make sense.
    Usage,
    /// A configuration file or variable is wrong (`EX_CONFIG` of sysexits.h).
    Configuration,
    /// Somebody ended it before it was done: 128 and the number of SIGINT, as in a shell.
    Interrupted,
}

impl Kind {
    /// The process's exit code.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Configuration => 78,
            Self::Interrupted => 130,
        }
    }
}

/// A failed command.
#[derive(Debug)]
pub(crate) struct CommandError {
    kind: Kind,
    /// What failed first, then its causes. Empty when everything was said already.
    chain: Vec<String>,
    hints: Vec<String>,
    /// Whether a result for programs was printed that says so, too.
    in_result: bool,
}

impl CommandError {
    /// It was tried and failed.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message.into())
    }

    /// The command line does not make sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message.into())
    }

    /// A configuration file or variable is wrong.
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::new(Kind::Configuration, message.into())
    }

    /// Somebody ended it before it was done.
    pub(crate) fn interrupted(message: impl Into<String>) -> Self {
        Self::new(Kind::Interrupted, message.into())
    }

    /// The command found something and its own output has said what.
    pub(crate) fn said() -> Self {
        Self::said_as(Kind::Failed)
    }

    /// The command was ended by somebody and its own output has said how things are.
    pub(crate) fn said_interrupted() -> Self {
        Self::said_as(Kind::Interrupted)
    }

    fn said_as(kind: Kind) -> Self {
        Self {
            kind,
            chain: Vec::new(),
            hints: Vec::new(),
            in_result: false,
        }
    }

    /// An error of a module, with its causes, as this kind.
    pub(crate) fn from_error(kind: Kind, error: &(dyn Error + 'static)) -> Self {
        let mut failed = Self::new(kind, error.to_string());
        failed.add_causes(error.source());
        failed
    }

    fn new(kind: Kind, message: String) -> Self {
        Self {
            kind,
            chain: vec![message],
            hints: Vec::new(),
            in_result: false,
        }
    }

    /// Adds a cause and its causes.
    #[must_use]
    pub(crate) fn because(mut self, cause: &(dyn Error + 'static)) -> Self {
        self.add_causes(Some(cause));
        self
    }

    /// Adds a cause that is only a text.
    #[must_use]
    pub(crate) fn because_of(mut self, cause: impl Into<String>) -> Self {
        self.chain.push(cause.into());
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same, once a result was printed that tells programs of it.
    #[must_use]
    pub(crate) fn in_result(self) -> Self {
        Self {
            in_result: true,
            ..self
        }
    }

    fn add_causes(&mut self, mut cause: Option<&(dyn Error + 'static)>) {
        while let Some(error) = cause {
            let text = error.to_string();
            // Some libraries repeat their source in their own text.
            let repeated = self.chain.last().is_some_and(|last| last.ends_with(&text));
            if !repeated {
                self.chain.push(text);
            }
            cause = error.source();
        }
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        self.kind.exit_code()
    }

    /// The text for people; empty when everything was said already.
    pub(crate) fn render(&self, paint: Paint) -> String {
        let mut text = String::new();
        let Some((first, causes)) = self.chain.split_first() else {
            return text;
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {}", paint.error("error:"), indent(first, "  "));
        for cause in causes {
            let _ = writeln!(
                text,
                "  {} {}",
                paint.dim("caused by:"),
                indent(cause, "    ")
            );
        }
        for hint in &self.hints {
            let _ = writeln!(
                text,
                "  {} {}",
                paint.hint("hint:"),
                indent(hint, "        ")
            );
        }
        text
    }

    /// The same for programs.
    pub(crate) fn told(&self) -> Told<'_> {
        Told {
            error: self.described(),
        }
    }

    /// The last event of a command that failed before there was a result; nothing where there was.
    pub(crate) fn to_result(&self) -> Option<Ended<'_>> {
        let result = || Ended::Result {
            ok: false,
            error: self.described(),
        };
        (!self.in_result && !self.is_said()).then(result)
    }

    fn described(&self) -> Described<'_> {
        let (message, caused_by) = match self.chain.split_first() {
            Some((first, causes)) => (first.as_str(), causes),
            None => ("", [].as_slice()),
        };
        Described {
            kind: self.kind,
            exit_code: self.exit_code(),
            message,
            caused_by,
            hints: &self.hints,
        }
    }

    /// What failed with its causes, and what to do next.
    pub(crate) fn in_two(&self) -> (String, Option<String>) {
        let chain: Vec<&str> = self.chain.iter().map(|text| text.trim_end()).collect();
        let hints = self.hints.join("; ");
        (chain.join(": "), (!hints.is_empty()).then_some(hints))
    }

    /// Whether the command line did not make sense.
    pub(crate) fn is_usage(&self) -> bool {
        self.kind == Kind::Usage
    }

    /// Whether a configuration is wrong, so that trying again helps nothing.
    pub(crate) fn is_configuration(&self) -> bool {
        self.kind == Kind::Configuration
    }

    /// Whether somebody ended it, who does not want more of it.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.kind == Kind::Interrupted
    }

    /// Whether there is nothing left to say.
    pub(crate) fn is_said(&self) -> bool {
        self.chain.is_empty()
    }
}

/// Lines after the first keep the depth of what they belong to.
fn indent(text: &str, by: &str) -> String {
    text.trim_end().replace('\n', &format!("\n{by}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read `main.js`")]
    struct Outer(#[source] std::io::Error);

    fn check(error: &CommandError, expected: &str) {
        assert_eq!(error.render(Paint::new(false)), expected);
    }

    #[test]
    fn an_error_says_what_why_and_what_next() {
        let outer = Outer(std::io::Error::other("disk on fire"));
        check(
            &CommandError::from_error(Kind::Failed, &outer).hint("build first"),
            "error: cannot read `main.js`\n  caused by: disk on fire\n  hint: build first\n",
        );
    }

    #[test]
    fn a_cause_with_several_lines_stays_below_its_error() {
        check(
            &CommandError::configuration("bad\nplace").because_of("`a` is no file"),
            "error: bad\n  place\n  caused by: `a` is no file\n",
        );
    }

    #[test]
    fn what_was_said_already_is_not_repeated() {
        check(&CommandError::said(), "");
        assert_eq!(CommandError::said().exit_code(), 1);
    }

    #[test]
    fn kinds_have_the_documented_exit_codes() {
        assert_eq!(CommandError::usage("x").exit_code(), 2);
        assert_eq!(CommandError::configuration("x").exit_code(), 78);
        assert_eq!(CommandError::interrupted("x").exit_code(), 130);
        let error = CommandError::usage("x").hint("y");
        let json = serde_json::to_value(error.told()).unwrap();
        assert_eq!(json["error"]["kind"], "usage");
        assert_eq!(json["error"]["exit_code"], 2);
        assert_eq!(json["error"]["hints"][0], "y");
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_told_with_the_way_to_start_it() {
        let folder = tempfile::tempdir().unwrap();
        let home = crate::home::Home::new(folder.path(), folder.path(), folder.path());
        let control = crate::server::control::ControlClient::new(&home);
        let error = CommandError::from(control.server().await.unwrap_err());
        let text = error.render(Paint::new(false));
        assert!(text.starts_with("error: no server answers at `"), "{text}");
        assert!(text.contains("hint: start it with `lockgate serve --detach`"));
        assert!(!text.contains("caused by"), "{text}");
    }

    #[test]
    fn programs_get_one_result() {
        let error = CommandError::failed("x");
        let result = serde_json::to_value(error.to_result().unwrap()).unwrap();
        assert_eq!(result["event"], "result");
        assert_eq!(result["ok"], false);
        assert_eq!(result["error"]["message"], "x");
        assert!(CommandError::failed("x").in_result().to_result().is_none());
        assert!(CommandError::said().to_result().is_none());
    }
}
