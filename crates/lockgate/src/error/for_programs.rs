//! An error as programs read it.

use schemars::JsonSchema;
use serde::Serialize;

use super::Kind;

/// What failed, why, and what to do next.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(crate) struct Described<'e> {
    /// What sort of failure it is.
    pub(super) kind: Kind,
    /// The process's exit code.
    pub(super) exit_code: u8,
    /// What failed.
    pub(super) message: &'e str,
    /// Its causes, the nearest first.
    pub(super) caused_by: &'e [String],
    /// What to do next.
    pub(super) hints: &'e [String],
}

/// A failed command, on standard error.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Failure")]
pub(crate) struct Told<'e> {
    /// What failed.
    pub(super) error: Described<'e>,
}

/// The last line of a command that failed before there was anything to report on.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Ended<'e> {
    /// There was nothing to report on.
    Result {
        /// Always false.
        ok: bool,
        /// What failed.
        error: Described<'e>,
    },
}
