//! What the user reads when a command fails: what failed, why, and what to do next.
//!
//! The only place that knows exit codes and hints.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// How a command ended badly, as its exit code says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something did not work. Exit code 1.
    Failed,
    /// The configuration cannot be used. Exit code 78, as in sysexits.h.
    Configuration,
}

/// A failed command.
#[derive(Debug)]
pub(crate) struct CommandError {
    kind: Kind,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl CommandError {
    /// Something did not work.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// The configuration cannot be used.
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::new(Kind::Configuration, message)
    }

    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
        }
    }

    /// Adds an error and everything that caused it.
    pub(crate) fn because(mut self, error: &(dyn Error + 'static)) -> Self {
        self.causes.extend(chain(error).map(ToString::to_string));
        self
    }

    /// Adds one cause in words.
    pub(crate) fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What failed and why, without what to do next.
    pub(crate) fn in_one_line(&self) -> String {
        let all: Vec<&str> = std::iter::once(&self.message)
            .chain(&self.causes)
            .map(String::as_str)
            .collect();
        all.join(": ")
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.kind {
            Kind::Failed => ExitCode::from(1),
            Kind::Configuration => ExitCode::from(78),
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        for cause in &self.causes {
            write!(f, "\n  caused by: {cause}")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// An error and its causes in one line: `what: why: why that`.
pub(crate) fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let all: Vec<String> = chain(error).map(ToString::to_string).collect();
    all.join(": ")
}

/// An error, what caused it, what caused that.
pub(crate) fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read `/x`")]
    struct Outer(#[source] std::io::Error);

    fn outer() -> Outer {
        Outer(std::io::Error::other("disk is gone"))
    }

    #[test]
    fn an_error_is_shown_with_all_causes_and_the_hint_last() {
        let shown = CommandError::failed("no start")
            .because(&outer())
            .cause("and it rains")
            .hint("take an umbrella")
            .to_string();
        assert_eq!(
            shown,
            "error: no start\n  caused by: cannot read `/x`\n  caused by: disk is gone\n  caused by: and it rains\n  hint: take an umbrella"
        );
    }

    #[test]
    fn an_error_fits_on_one_line() {
        assert_eq!(in_one_line(&outer()), "cannot read `/x`: disk is gone");
    }
}
