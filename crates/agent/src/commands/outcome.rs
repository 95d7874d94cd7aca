//! How a command ended, in the words of the scripts that call it.

use std::io::{self, Write as _};

use crate::error::CommandError;

/// Writes `{"status": "ok"}` or `{"status": "error", "error": "…"}` to stdout.
pub(super) fn tell(done: Result<(), CommandError>) -> Result<(), CommandError> {
    let line = line(done.as_ref().err());
    match writeln!(io::stdout().lock(), "{line}") {
        // Whoever read has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => done,
        Err(error) => Err(CommandError::failed("cannot write to stdout").because(&error)),
        Ok(()) => done,
    }
}

/// Byte for byte as the shell system wrote it, with a space after each colon.
fn line(error: Option<&CommandError>) -> String {
    match error {
        None => r#"{"status": "ok"}"#.to_owned(),
        Some(error) => {
            let text = serde_json::Value::from(error.in_one_line());
            format!(r#"{{"status": "error", "error": {text}}}"#)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_lines_that_scripts_know() {
        assert_eq!(line(None), r#"{"status": "ok"}"#);
        let error = CommandError::failed("no").cause("line 1: `\"`");
        assert_eq!(
            line(Some(&error)),
            r#"{"status": "error", "error": "no: line 1: `\"`"}"#
        );
    }
}
