//! A question that only a person can answer.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::error::CommandError;

/// Asks on a terminal. Elsewhere nobody can answer, so `without`, which says how not to be asked, is
/// the error.
pub(super) fn agreed(question: &str, without: CommandError) -> Result<bool, CommandError> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(without);
    }
    let mut terminal = io::stderr().lock();
    let mut answer = String::new();
    write!(terminal, "{question} [y/N] ")
        .and_then(|()| terminal.flush())
        .and_then(|()| io::stdin().lock().read_line(&mut answer))
        .map_err(|error| CommandError::failed("cannot ask").because(&error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
