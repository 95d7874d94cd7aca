//! The application's log: written by the agent, read by `lockgate-agent logs`.
//!
//! ```text
//!   stdout ─┐             ┌─▶ queue ─▶ file ─▶ LOG_FILE, LOG_FILE.1 … .5 ─▶ tail ─▶ reader
//!   stderr ─┴▶ collect ───┴─▶ queue ─▶ pipe ─▶ the agent's stdout
//!                 └─▶ last 100 lines ──▶ crash-N.log, refusal
//! ```
//!
//! One line: `2026-11-22T23:51:00.123Z out listening on 8888`. Streams are `out`,
//! `err`, and `---` for what the agent itself says.

mod collect;
mod crash;
mod file;
mod line;
mod own;
mod pipe;
mod print;
mod queue;
mod reader;
mod tail;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::SystemTime;

pub(crate) use collect::Collector;
pub(crate) use crash::{keep_crash, shortened};
pub(crate) use lockgate_model::LogStream as Stream;
pub(crate) use own::{OwnLog, say};
pub(crate) use reader::read;
pub(crate) use writer::{Log, WriterOptions};

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
    /// Print one JSON object a line.
    pub(crate) json: bool,
}

#[cfg(test)]
impl ReadOptions {
    /// All that is there, as it is.
    fn all(source: Source) -> Self {
        Self {
            source,
            follow: false,
            lines: None,
            since: None,
            json: false,
        }
    }
}

/// Which log is read.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The log of all starts, `LOG_FILE`.
    File(PathBuf),
    /// The last lines before crashes, kept below the agent's state folder.
    Crash(PathBuf, WhichCrash),
}

/// Which of the crashes that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhichCrash {
    /// The last one.
    Newest,
    /// The one with this number.
    Number(u64),
    /// One after the other.
    All,
    /// When and why only, of all.
    List,
}

impl FromStr for WhichCrash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "newest" => Ok(Self::Newest),
            "all" => Ok(Self::All),
            "list" => Ok(Self::List),
            number => number
                .parse()
                .map(Self::Number)
                .map_err(|_| "expected a number, `newest`, `all` or `list`"),
        }
    }
}

impl fmt::Display for WhichCrash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "crash {number}"),
            Self::Newest | Self::All | Self::List => f.write_str("crash"),
        }
    }
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
    /// No such crash has been kept.
    #[error("no {0} is kept in `{1}`")]
    NoCrash(WhichCrash, PathBuf),
    /// The reader of our output is gone or full.
    #[error("cannot write log lines")]
    Write(#[source] io::Error),
}
