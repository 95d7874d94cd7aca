//! An engine's output: pieces of text, with colours, as plain lines.

/// Makes lines of pieces.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    begun: String,
}

impl Lines {
    /// The lines that end in this piece.
    pub(crate) fn push(&mut self, piece: &str) -> Vec<String> {
        self.begun.push_str(piece);
        let Some(end) = self.begun.rfind('\n') else {
            return Vec::new();
        };
        let rest = self.begun.split_off(end + 1);
        let whole = std::mem::replace(&mut self.begun, rest);
        whole.lines().map(plain).collect()
    }

    /// What is left when nothing more comes.
    pub(crate) fn rest(&mut self) -> Option<String> {
        let rest = plain(&std::mem::take(&mut self.begun));
        (!rest.is_empty()).then_some(rest)
    }
}

/// The line without colours and without space around it. Engines paint what a step
/// writes to its standard error.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // `ESC [ … m`, or what else ends with a letter.
            chars.find(char::is_ascii_alphabetic);
        } else if !c.is_control() || c == '\t' {
            text.push(c);
        }
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_plain_lines() {
        let mut lines = Lines::default();
        assert!(lines.push("Step 1/9 :").is_empty());
        assert_eq!(
            lines.push(" FROM x\n ---> 12\nv2"),
            ["Step 1/9 : FROM x", "---> 12"]
        );
        assert_eq!(lines.push("\u{1b}[91m4\u{1b}[0m\r\n"), ["v24"]);
        lines.push("end");
        assert_eq!(lines.rest().as_deref(), Some("end"));
        assert_eq!(lines.rest(), None);
    }
}
