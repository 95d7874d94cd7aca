//! A text that must not be shown.

use std::fmt;

/// A secret: it has no `Display`, and `Debug` prints `Secret(…)`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Keeps a secret text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
