//! stub
#![allow(missing_docs, reason = "stub")]
use std::path::{Path, PathBuf};

/// What must not be imported by a back-end bundle.
#[derive(Debug, Clone)]
pub struct Rules { pub rules: Vec<Rule> }
/// One group of forbidden specifiers.
#[derive(Debug, Clone)]
pub struct Rule { /** shown in the report: `React` */ pub label: String, /** globs over specifiers: `react`, `react/*`, `*/frontend.js` */ pub specifiers: Vec<String> }
impl Default for Rules { fn default() -> Self { todo!() } }

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportKind { Require, BundledRequire, Import, ExportFrom, DynamicImport }

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding { pub label: String, pub specifier: String, pub kind: ImportKind, /** from 1 */ pub line: usize, /** from 1, in bytes */ pub column: usize, /** the trimmed source line, at most 160 characters */ pub code: String }

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct BundleReport { pub path: PathBuf, pub size_bytes: u64, pub lines: usize, pub findings: Vec<Finding> }

#[derive(Debug, thiserror::Error)]
pub enum ValidateError { #[error("stub")] Stub }

/// Pure.
pub fn find_imports(_text: &str, _rules: &Rules) -> Result<Vec<Finding>, String> { todo!() }
pub fn validate_bundle(_path: &Path, _rules: &Rules) -> Result<BundleReport, ValidateError> { todo!() }
/// The seed's human output for all bundles.
pub fn render(_reports: &[BundleReport]) -> String { todo!() }
