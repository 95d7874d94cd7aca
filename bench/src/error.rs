//! Why a benchmark could not measure.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Why a benchmark could not measure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// Something that has to be built before.
    #[error("`{path}` is not there; {hint}")]
    NotBuilt {
        /// What is missing.
        path: PathBuf,
        /// What makes it.
        hint: &'static str,
    },
    /// A system call failed.
    #[error("cannot {act} `{path}`")]
    Io {
        /// What was tried.
        act: &'static str,
        /// The file or program.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A program ended with a failure.
    #[error("`{command}` failed with {status}:\n{output}")]
    Program {
        /// The command line.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it wrote.
        output: String,
    },
    /// Something did not come in time.
    #[error("{what} did not come within {seconds} s; log:\n{log}")]
    TooLate {
        /// What was waited for.
        what: String,
        /// For how long.
        seconds: u64,
        /// The end of what the program wrote.
        log: String,
    },
    /// A program answered something else than expected.
    #[error("{what}")]
    Unexpected {
        /// What came, and what should have.
        what: String,
    },
    /// Our own packing failed.
    #[error("cannot pack")]
    Pack(#[from] lockgate_builds::pack::PackError),
    /// Our own judgement failed.
    #[error("cannot validate")]
    Validate(#[from] lockgate_builds::validate::ValidateError),
    /// Our own store failed.
    #[error("cannot store")]
    Store(#[from] lockgate_builds::store::StoreError),
}

impl BenchError {
    /// For `map_err`: names the act and the path of a failed system call.
    pub(crate) fn io(act: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io {
            act,
            path: path.to_owned(),
            source,
        }
    }

    /// What came too late, with what the programs wrote meanwhile.
    pub(crate) fn with_log(self, log: impl FnOnce() -> String) -> Self {
        match self {
            Self::TooLate { what, seconds, .. } => Self::TooLate {
                what,
                seconds,
                log: log(),
            },
            other => other,
        }
    }

    /// The error with its causes, a line each.
    pub(crate) fn rendered(&self) -> String {
        let mut text = format!("error: {self}\n");
        let mut cause = self.source();
        while let Some(error) = cause {
            let _ = writeln!(text, "  caused by: {error}");
            cause = error.source();
        }
        text
    }
}
