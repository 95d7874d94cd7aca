//! What was lost: at which stage, and how.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use super::orders::Class;

/// How far a request had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The connection was being opened.
    Connect,
    /// It was sent, as a whole or in part, and no answer had begun.
    Head,
    /// The answer had begun.
    Body,
    /// The answer was whole.
    Answered,
}

/// How a request was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Nobody listened.
    Refused,
    /// The connection was reset, or ended before the answer was whole.
    Reset,
    /// The answer was not whole in time.
    Late,
    /// The answer said that the server could not.
    Status(u16),
    /// The answer was not what was asked for.
    Wrong,
    /// Too many requests were in flight already.
    Crowded,
    /// Anything else.
    Other,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => write!(f, "refused"),
            Self::Reset => write!(f, "reset"),
            Self::Late => write!(f, "late"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Wrong => write!(f, "wrong answer"),
            Self::Crowded => write!(f, "too many in flight"),
            Self::Other => write!(f, "other"),
        }
    }
}

impl Kind {
    /// What a failed system call means.
    pub(super) fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof => Self::Reset,
            io::ErrorKind::TimedOut => Self::Late,
            _ => Self::Other,
        }
    }

    /// What a failed exchange means.
    pub(super) fn of_hyper(error: &hyper::Error) -> Self {
        if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
            return Self::Reset;
        }
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return Self::of_io(error);
            }
            cause = error.source();
        }
        Self::Other
    }
}

/// A request that got no whole, right answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// What it was.
    pub class: Class,
    /// When it was due, since the start.
    pub due: Duration,
    /// When it was lost, since the start.
    pub at: Duration,
    /// How far it had come.
    pub stage: Stage,
    /// How it was lost.
    pub kind: Kind,
    /// What the system or the server said.
    pub said: String,
    /// The process that gave the last answer on this connection, where one was given.
    pub answered_before: Option<u64>,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Connect => "connecting",
            Stage::Head => "waiting for an answer",
            Stage::Body => "reading the answer",
            Stage::Answered => "having the answer",
        };
        write!(
            f,
            "at {:.3} s ({:.3} s after it was due): {}, {stage}: {}: {}",
            self.at.as_secs_f64(),
            self.at.saturating_sub(self.due).as_secs_f64(),
            self.class.as_str(),
            self.kind,
            self.said
        )?;
        match self.answered_before {
            Some(pid) => write!(f, " (connection of process {pid})"),
            None => write!(f, " (fresh connection)"),
        }
    }
}

/// An error with its causes, in one line.
pub(super) fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_told_apart() {
        for (said, kind) in [
            (io::ErrorKind::ConnectionRefused, Kind::Refused),
            (io::ErrorKind::ConnectionReset, Kind::Reset),
            (io::ErrorKind::BrokenPipe, Kind::Reset),
            (io::ErrorKind::UnexpectedEof, Kind::Reset),
            (io::ErrorKind::AddrInUse, Kind::Other),
        ] {
            assert_eq!(Kind::of_io(&said.into()), kind, "{said}");
        }
    }
}
