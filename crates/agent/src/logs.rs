//! The application's log: written by the agent, read by `lockgate-agent logs`.
//!
//! ```text
//!   stdout ─┐                        ┌─▶ LOG_FILE, LOG_FILE.1 … .5
//!   stderr ─┴▶ collect ─▶ writer ────┴─▶ the agent's stdout
//!                 └─▶ last 100 lines ──▶ crash-N.log, refusal
//! ```
//!
//! One line: `2026-11-22T23:51:00.123Z out listening on 8888`. Streams are `out`,
//! `err`, and `---` for what the agent itself says.

mod collect;
mod crash;
mod file;
mod reader;
mod writer;

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

pub(crate) use collect::Collector;
pub(crate) use crash::{keep_crash, shortened};
pub(crate) use reader::read;
pub(crate) use writer::{Log, Stream, WriterOptions};

/// What to read.
#[derive(Debug, Clone)]
pub(crate) struct ReadOptions {
    /// Which log.
    pub(crate) source: Source,
    /// Go on with lines that come later, across rotation.
    pub(crate) follow: bool,
    /// At most this many of the lines that are there already.
    pub(crate) lines: Option<usize>,
    /// Nothing older than this.
    pub(crate) since: Option<SystemTime>,
}

/// Which log is read.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The log of all starts, `LOG_FILE`.
    File(PathBuf),
    /// The last lines before the newest crash, below the agent's state folder.
    Crash(PathBuf),
}

/// Why a log could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// The file.
    #[error("cannot read the log `{path}`")]
    Read {
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// No crash has been kept.
    #[error("no crash is kept in `{0}`")]
    NoCrash(PathBuf),
    /// The reader of our output is gone or full.
    #[error("cannot write log lines")]
    Write(#[source] io::Error),
}
