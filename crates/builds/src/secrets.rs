//! Finds secrets in what is packed: nothing secret travels along.
//!
//! ```text
//! bytes ─▶ marks (one pass) ─▶ rules look around each ─▶ hits ─▶ whose file is it?
//! ```
//!
//! Offline, and by form alone: tokens that say what they are, private keys, addresses with a
//! password in them. What only looks random is left alone, since every bundle is full of
//! digests. A hit is shown by its rule and a fingerprint, never by itself.

mod origin;
mod report;
mod rules;
mod scan;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lockgate_model::FilePath;

pub use report::render;
pub use rules::{RULES, RuleName};

/// A secret in a file of a build.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecretHit {
    /// The file in the build: `app-gateway/main.js`.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The source file that the place came from, where a map tells.
    pub source: Option<String>,
    /// The line in it, from 1.
    pub source_line: Option<usize>,
    /// The rule: `github-token`.
    pub rule: &'static str,
    /// What it is, for people: `GitHub token`.
    pub title: &'static str,
    /// Tells this secret from others without telling it: 12 hex digits of the SHA-256 over
    /// rule and secret.
    pub fingerprint: String,
    /// Whether the build is refused for it. In files of installed packages only private keys
    /// are that bad.
    pub refused: bool,
}

/// Scans files: their places in the build, and on disk. A file that cannot be read is left
/// to whoever packs it.
pub fn scan(files: &BTreeMap<FilePath, PathBuf>) -> Vec<SecretHit> {
    let mut hits = Vec::new();
    for (place, path) in files {
        let Ok(bytes) = std::fs::read(path) else {
            continue;
        };
        let found = scan::scan(&bytes);
        if !found.is_empty() {
            hits.extend(origin::attribute(place.as_str(), path, &bytes, found));
        }
    }
    hits.sort();
    hits
}

/// Scans one text as the file of a build. Pure.
pub fn scan_text(file: &str, text: &[u8]) -> Vec<SecretHit> {
    origin::attribute(file, Path::new(""), text, scan::scan(text))
}

#[cfg(test)]
mod tests;
