//! What an engine did not do, with where it was asked.

use std::path::PathBuf;

use bollard::errors::Error;

use super::super::address::EngineAddress;
use super::{ANSWER, OLDEST_API};
use crate::error::in_one_line;

/// What an engine did not do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// Nobody is there.
    #[error("no engine answers at `{address}`")]
    Away {
        /// Where it was asked.
        address: EngineAddress,
        /// The cause.
        source: Error,
    },
    /// Somebody is there and says nothing.
    #[error(
        "the engine at `{address}` does not answer within {}",
        humantime::format_duration(ANSWER)
    )]
    Silent {
        /// Where it was asked.
        address: EngineAddress,
    },
    /// It went away.
    #[error("the engine at `{address}` tells nothing any more")]
    Closed {
        /// Where it was asked.
        address: EngineAddress,
    },
    /// A gateway's token cannot be read.
    #[error("`{path}` cannot be read")]
    Token {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// What was copied out of a container cannot be kept.
    #[error("`{path}` cannot be written")]
    Copy {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It speaks too old a language.
    #[error("the engine at `{address}` speaks API {api}, needed is {}.{} or newer (Docker 20.10)", OLDEST_API.0, OLDEST_API.1)]
    TooOld {
        /// Where it was asked.
        address: EngineAddress,
        /// What it speaks.
        api: String,
    },
    /// It refused.
    #[error("the engine at `{address}` did not {act}")]
    Refused {
        /// Where it was asked.
        address: EngineAddress,
        /// What it should have done.
        act: String,
        /// The cause.
        source: Error,
    },
    /// A network through which nothing reaches the host.
    #[error(
        "the network `{network}` of the engine at `{address}` has no gateway address: containers in it do not reach the build server"
    )]
    NoGateway {
        /// Where it was asked.
        address: EngineAddress,
        /// The network.
        network: String,
    },
}

impl EngineError {
    /// The error and its causes on one line.
    pub(crate) fn in_one_line(&self) -> String {
        in_one_line(self)
    }

    /// Whether the engine said that there is no such thing.
    pub(crate) fn is_missing(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether the engine said that this does not go with what is, such as a container that does not run.
    pub(crate) fn is_conflict(&self) -> bool {
        self.status() == Some(409)
    }

    /// Whether it is so again until somebody does something about it: the engine has said no. One
    /// that is busy with the same container (409) may say yes in a moment.
    pub(crate) fn lasts(&self) -> bool {
        match self {
            Self::Refused { .. } => self.status().is_some_and(|status| status != 409),
            Self::Token { .. } | Self::NoGateway { .. } => true,
            Self::Away { .. }
            | Self::Silent { .. }
            | Self::Closed { .. }
            | Self::Copy { .. }
            | Self::TooOld { .. } => false,
        }
    }

    fn status(&self) -> Option<u16> {
        match self {
            Self::Refused {
                source: Error::DockerResponseServerError { status_code, .. },
                ..
            } => Some(*status_code),
            _ => None,
        }
    }
}
