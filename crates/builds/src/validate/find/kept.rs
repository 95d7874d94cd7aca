//! Modules that a bundler keeps under a key, and who asks for them.
//!
//! webpack makes a module of each import from outside: `"react": m => { m.exports =
//! require("react") }`, and asks for it by its key. Whether the program can do without it,
//! the places say where it is asked for.

use std::collections::HashMap;

/// Longer ones are no keys.
const LONGEST_KEY: usize = 200;

/// Keys as they stand in the text, without quotes.
#[derive(Debug, Default)]
pub(super) struct Kept<'t> {
    /// The key of the module that is being read.
    pub(super) key: Option<&'t str>,
    /// For each key that a call has: whether all of those calls are guarded.
    asked: HashMap<&'t str, bool>,
}

impl<'t> Kept<'t> {
    /// A call with this text as its first argument.
    pub(super) fn ask(&mut self, argument: &'t str, guarded: bool) {
        if argument.len() <= LONGEST_KEY {
            let all = self.asked.entry(plain(argument)).or_insert(true);
            *all &= guarded;
        }
    }

    /// Whether a module is asked for, and everybody who does can do without it.
    pub(super) fn is_guarded(&self, key: &str) -> bool {
        self.asked.get(key) == Some(&true)
    }
}

/// A key without its quotes.
pub(super) fn plain(key: &str) -> &str {
    key.trim_matches(['"', '\'', '`'])
}
