//! Decides whether a back-end bundle is free of front-end imports.
//!
//! ```text
//! text ─▶ parse ─▶ find (every import and require) ─▶ rules ─▶ findings ─▶ report
//! ```
//!
//! A parser reads the bundle, so strings, comments, template text and regular
//! expressions are never mistaken for imports, and no way of writing one is missed.
//! What cannot be read is an error and never clean.
//!
//! Left out for now: where an inlined module came from (source maps and metafiles).

mod find;
mod lines;
mod report;
mod rules;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub use report::render;
pub use rules::{Rule, Rules};

/// How a module is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportKind {
    /// `require("x")`, also as `module.require` or through `createRequire`.
    Require,
    /// A bundler's stand-in for it: `__require("x")`.
    BundledRequire,
    /// `import x from "x"`, `import "x"`.
    Import,
    /// `export … from "x"`.
    ExportFrom,
    /// `import("x")`.
    DynamicImport,
}

/// A forbidden import.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// The rule's label: `React`.
    pub label: String,
    /// What is imported: `react-dom/client`.
    pub specifier: String,
    /// How.
    pub kind: ImportKind,
    /// The specifier's line, from 1.
    pub line: usize,
    /// The specifier's column, from 1, in bytes.
    pub column: usize,
    /// The line, trimmed; of a longer one than 160 characters the part around the specifier.
    pub code: String,
}

/// What was found in one bundle.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct BundleReport {
    /// The bundle, as it was named.
    pub path: PathBuf,
    /// Its size.
    pub size_bytes: u64,
    /// Its number of lines.
    pub lines: usize,
    /// All forbidden imports, in the order of the file.
    pub findings: Vec<Finding>,
}

/// Why a bundle could not be judged. It is not clean.
#[derive(Debug, thiserror::Error)]
pub enum ValidateError {
    /// There is no such file.
    #[error("there is no bundle `{path}`")]
    Missing {
        /// The bundle.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot read the bundle `{path}`")]
    Read {
        /// The bundle.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is nothing but white space in it.
    #[error("the bundle `{path}` is empty")]
    Empty {
        /// The bundle.
        path: PathBuf,
    },
    /// It is no text.
    #[error("the bundle `{path}` is not UTF-8 from byte {offset} on")]
    NotUtf8 {
        /// The bundle.
        path: PathBuf,
        /// The first byte that is none.
        offset: usize,
    },
    /// It is no JavaScript, or only the beginning of one.
    #[error("the bundle `{path}` cannot be parsed: {why}")]
    Unparsable {
        /// The bundle.
        path: PathBuf,
        /// Line, column and what the parser says.
        why: String,
    },
}

/// Finds the forbidden imports of a program. The error says where it cannot be parsed,
/// or which rule is none. Pure.
pub fn find_imports(text: &str, rules: &Rules) -> Result<Vec<Finding>, String> {
    let matcher = rules.matcher()?;
    find::find(text, &matcher)
}

/// Reads and judges one bundle.
pub fn validate_bundle(path: &Path, rules: &Rules) -> Result<BundleReport, ValidateError> {
    let path = path.to_owned();
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(ValidateError::Missing { path });
        }
        Err(source) => return Err(ValidateError::Read { path, source }),
    };
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) => {
            let offset = error.valid_up_to();
            return Err(ValidateError::NotUtf8 { path, offset });
        }
    };
    if text.trim_start_matches('\u{feff}').trim().is_empty() {
        return Err(ValidateError::Empty { path });
    }
    match find_imports(text, rules) {
        Err(why) => Err(ValidateError::Unparsable { path, why }),
        Ok(findings) => Ok(BundleReport {
            path,
            size_bytes: bytes.len() as u64,
            lines: lines::count_lines(text),
            findings,
        }),
    }
}

#[cfg(test)]
mod tests;
