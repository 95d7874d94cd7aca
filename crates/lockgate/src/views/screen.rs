//! Where output goes: data to stdout, everything said about it to stderr.

use std::io::{self, IsTerminal, Write};

use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::{ColorWhen, Format};
use crate::error::CommandError;
use crate::views::paint::Paint;

/// What is known about stdout and stderr.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    /// For whom results are printed.
    pub(crate) format: Format,
    /// Paints what goes to stdout.
    pub(crate) out: Paint,
    /// Paints what goes to stderr.
    pub(crate) err: Paint,
    /// The width of the terminal on stdout, if it is one.
    pub(crate) width: Option<usize>,
    /// Whether stderr is a terminal that can redraw lines.
    pub(crate) live: bool,
}

impl Screen {
    /// The screen of this process.
    #[expect(
        clippy::disallowed_methods,
        reason = "how an error looks must be known before the configuration can be wrong"
    )]
    pub(crate) fn of_process(format: Format, when: ColorWhen) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|value| value == "dumb");
        Self::new(format, when, plain, dumb)
    }

    /// Looks at the terminal. `plain` says that the environment asks for no colour.
    fn new(format: Format, when: ColorWhen, plain: bool, dumb: bool) -> Self {
        let paint = |terminal: bool| {
            Paint::new(match when {
                ColorWhen::Always => true,
                ColorWhen::Never => false,
                ColorWhen::Auto => terminal && !plain && !dumb,
            })
        };
        let (out, err) = (io::stdout(), io::stderr());
        Self {
            format,
            out: paint(out.is_terminal()),
            err: paint(err.is_terminal()),
            width: terminal_size::terminal_size_of(&out).map(|(width, _)| usize::from(width.0)),
            live: err.is_terminal() && !dumb && format == Format::Human,
        }
    }

    /// Whether programs read the results.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints a result. A reader that went away (`| head`) ends the program quietly.
    #[expect(clippy::unused_self, reason = "stands beside `json` and `say`")]
    pub(crate) fn data(&self, text: &str) -> Result<(), CommandError> {
        written(io::stdout().lock().write_all(text.as_bytes()))
    }

    /// Prints a document for programs, on one line, its fields by their names.
    pub(crate) fn document(&self, value: &impl Serialize) -> Result<(), CommandError> {
        let value = serde_json::to_value(value)
            .map_err(|error| CommandError::failed("cannot write JSON").because(&error))?;
        self.json(&value)
    }

    /// Prints a result for programs, on one line.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), CommandError> {
        let mut line = serde_json::to_string(value)
            .map_err(|error| CommandError::failed("cannot write JSON").because(&error))?;
        line.push('\n');
        self.data(&line)
    }

    /// Says something about what is being done; nothing under `--format json`.
    pub(crate) fn say(&self, text: &str) {
        if !self.is_json() {
            // Nobody is left to tell when stderr is gone.
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// Says that something went on but is worth a look.
    pub(crate) fn warn(&self, text: &str) {
        let _ = if self.is_json() {
            to_stderr(&Warning { warning: text })
        } else {
            writeln!(
                io::stderr().lock(),
                "{} {text}",
                self.err.warning("warning:")
            )
        };
    }

    /// Says what can be done next.
    pub(crate) fn hint(&self, text: &str) {
        self.say(&format!("{} {text}", self.err.hint("hint:")));
    }

    /// Prints the error of a command that streams events, and for programs the result that
    /// ends every such stream.
    pub(crate) fn failed(&self, error: &CommandError) {
        self.error(error);
        if self.is_json()
            && let Some(result) = error.to_result()
        {
            // A reader that went away has its answer in the exit code.
            let _ = self.document(&result);
        }
    }

    /// Prints a failed command's error.
    pub(crate) fn error(&self, error: &CommandError) {
        if error.is_said() {
            return;
        }
        let _ = if self.is_json() {
            to_stderr(&error.told())
        } else {
            write!(io::stderr().lock(), "{}", error.render(self.err))
        };
    }
}

/// Something that went on but is worth a look, on standard error.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Warning<'t> {
    /// What about.
    warning: &'t str,
}

fn to_stderr(value: &impl Serialize) -> io::Result<()> {
    let value = serde_json::to_value(value)?;
    writeln!(io::stderr().lock(), "{value}")
}

fn written(result: io::Result<()>) -> Result<(), CommandError> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(CommandError::said()),
        Err(error) => Err(CommandError::failed("cannot write to stdout").because(&error)),
        Ok(()) => Ok(()),
    }
}
