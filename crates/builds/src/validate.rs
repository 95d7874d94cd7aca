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
//! What the bundle was made of tells the metafile or the source map: so code that lies in
//! it is found as well as what it imports, and the imports that brought it.

pub(crate) mod bundled;
mod composition;
mod deep;
mod explain;
mod find;
mod fix;
mod frame;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod graph;
mod inside;
mod lines;
mod map;
mod metafile;
mod modules;
mod report;
mod rules;
mod sizes;
mod sources;
mod types;
mod ways;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

pub use composition::ToldBy;
pub use frame::Frame;
pub use report::{github, render, sarif};
pub use rules::{Allowed, Rule, Rules, Severity};
pub use sizes::{Difference, Part, Sizes, difference, sizes};

use composition::Sayings;
use explain::{Case, Explained};

/// Some editors begin a file with it; it belongs to no line.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// How a module is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// It lies in the bundle.
    Inlined,
    /// Only types of it are imported, and nothing of it reaches the bundle.
    TypeOnly,
}

/// Something forbidden in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// The rule's label: `React`.
    pub label: String,
    /// How bad it is.
    pub severity: Severity,
    /// Whether the program goes on without it: `try { require("x") } catch {}`.
    pub guarded: bool,
    /// What is imported: `react-dom/client`. Of code in the bundle, its package or file.
    pub specifier: String,
    /// How.
    pub kind: ImportKind,
    /// The line of the specifier, or of the first code of it, from 1; 0 where that is not known.
    pub line: usize,
    /// The column, from 1, in characters; 0 where the line is not known.
    pub column: usize,
    /// The line, trimmed; of a longer one than 160 characters the part around the place.
    pub code: String,
    /// Of code in the bundle: how many bytes.
    pub bytes: Option<u64>,
    /// Of code in the bundle: of how many files.
    pub modules: Option<usize>,
    /// Where the import stands in the sources, where the map tells.
    pub original: Option<Original>,
    /// The imports that brought it, from the entry point on; empty where nobody knows.
    pub chain: Vec<Link>,
    /// What to change, where that is known.
    pub fix: Option<Fix>,
    /// The lines to look at, where the source is there.
    pub frame: Option<Frame>,
}

/// A line of a source file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Original {
    /// The file, from the workspace.
    pub file: String,
    /// From 1.
    pub line: usize,
}

/// One import on the way to a finding.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Link {
    /// The file that imports, from the workspace.
    pub file: String,
    /// Its line, where that is known.
    pub line: Option<usize>,
    /// What it imports, as it says it.
    pub imports: String,
    /// Whether it passes it on: `export … from`.
    pub passed_on: bool,
}

/// A change that gets front-end code out of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fix {
    /// Which one.
    pub kind: FixKind,
    /// The file to change, from the workspace.
    pub file: String,
    /// The line in it, where that is known.
    pub line: Option<usize>,
    /// What to do there.
    pub advice: String,
}

/// The changes that help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum FixKind {
    /// `import type` where only types are used.
    TypeKeyword,
    /// An index for the back end exports front-end code.
    BackEndIndex,
    /// One file holds both.
    MixedFile,
    /// The TypeScript configuration takes files with markup in.
    ExcludeMarkup,
    /// An installed package brings it.
    Package,
}

/// What the rules forbid and lockgate.toml allows.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AllowedFinding {
    /// The label of the rule that forbids it.
    pub label: String,
    /// Package, file or specifier.
    pub what: String,
    /// Why it is allowed.
    pub reason: String,
}

/// What was found in one bundle.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BundleReport {
    /// The bundle, as it was named.
    pub path: PathBuf,
    /// Its size.
    pub size_bytes: u64,
    /// Its number of lines.
    pub lines: usize,
    /// All forbidden imports in the order of the file, then the code that lies in it.
    pub findings: Vec<Finding>,
    /// What is allowed.
    pub allowed: Vec<AllowedFinding>,
    /// Who says which code lies in the bundle.
    pub told_by: ToldBy,
    /// What could not be used, each a sentence.
    pub notes: Vec<String>,
    /// Whether the workspace is one of Nx, whose cache may hide a change.
    pub nx: bool,
}

impl BundleReport {
    /// Whether nothing in it keeps the bundle from being packed.
    pub fn is_clean(&self) -> bool {
        let errors = |finding: &Finding| finding.severity == Severity::Error;
        !self.findings.iter().any(errors)
    }
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
    let matcher = rules.matcher("")?;
    let case = Case {
        root: Path::new(""),
        text: text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text),
        matcher: &matcher,
        guarded: rules.guarded,
        types: rules.types,
    };
    Ok(judge(&case, Sayings::default)?.findings)
}

/// Reads and judges one bundle. Its path, and those that a report names, count from `root`.
pub fn validate_bundle(
    root: &Path,
    path: &Path,
    rules: &Rules,
) -> Result<BundleReport, ValidateError> {
    let full = root.join(path);
    let text = text(&full)?;
    let bundle = path.to_string_lossy();
    let unparsable = |why| ValidateError::Unparsable {
        path: full.clone(),
        why,
    };
    let matcher = rules.matcher(&bundle).map_err(unparsable)?;
    let case = Case {
        root,
        text: text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text),
        matcher: &matcher,
        guarded: rules.guarded,
        types: rules.types,
    };
    let gather = || composition::gather(root, &bundle, case.text, rules.metafile.as_deref());
    let Explained {
        findings,
        allowed,
        told_by,
        notes,
    } = judge(&case, gather).map_err(unparsable)?;
    Ok(BundleReport {
        path: path.to_owned(),
        size_bytes: text.len() as u64,
        lines: lines::count_lines(&text),
        nx: !findings.is_empty() && explain::is_nx(root, &bundle),
        findings,
        allowed,
        told_by,
        notes,
    })
}

/// Parses a bundle while what is said of it is gathered, and explains what was found.
fn judge(case: &Case, gather: impl FnOnce() -> Sayings) -> Result<Explained, String> {
    let (said, sayings) = mpsc::channel();
    let work = move || {
        let found = find::find(case.text, case.matcher)?;
        // Whoever gathers sends, or is gone with all of this.
        let sayings = sayings.recv().unwrap_or_default();
        let types = types::types(case, &sayings);
        let mut explained = explain::explain(case, found, sayings);
        explained.findings.extend(types);
        Ok(explained)
    };
    let meanwhile = move || {
        // Nobody waits for it where the bundle cannot be parsed.
        let _ = said.send(gather());
    };
    deep::deep(work, meanwhile)?
}

/// The text of a bundle.
fn text(path: &Path) -> Result<String, ValidateError> {
    let path = path.to_owned();
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(ValidateError::Missing { path });
        }
        Err(source) => return Err(ValidateError::Read { path, source }),
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let (path, offset) = (path.clone(), error.utf8_error().valid_up_to());
        ValidateError::NotUtf8 { path, offset }
    })?;
    if text.trim_start_matches(BYTE_ORDER_MARK).trim().is_empty() {
        return Err(ValidateError::Empty { path });
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
