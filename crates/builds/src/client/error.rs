//! What can go wrong between a client and its server.

use std::time::Duration;

use http::StatusCode;

/// Why a request got no usable answer. Every variant names the URL.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The text is no URL that can be asked.
    #[error("`{url}` is not a server's URL: {rule}")]
    Url {
        /// The text as it was given.
        url: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// A request could not be made from its parts.
    #[error("cannot ask `{url}`")]
    Request {
        /// What should have been asked.
        url: String,
        /// The part that cannot be sent.
        #[source]
        source: http::Error,
    },
    /// Nobody listens there, or the network refuses.
    #[error("cannot connect to `{url}`")]
    Connect {
        /// What was asked.
        url: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// No connection came about in time.
    #[error("cannot connect to `{url}` within {}", humantime::format_duration(*.within))]
    Unreachable {
        /// What was asked.
        url: String,
        /// How long it was tried.
        within: Duration,
    },
    /// The connection broke, or what came was not HTTP.
    #[error("the exchange with `{url}` broke")]
    Exchange {
        /// What was asked.
        url: String,
        /// Where it broke.
        #[source]
        source: hyper::Error,
    },
    /// The answer did not come in time.
    #[error("`{url}` did not answer within {}", humantime::format_duration(*.within))]
    Late {
        /// What was asked.
        url: String,
        /// How long was waited.
        within: Duration,
    },
    /// The server answered, and the answer is no.
    #[error("`{url}` answered {status}{}", words(.text))]
    Status {
        /// What was asked.
        url: String,
        /// The status of the answer.
        status: StatusCode,
        /// The server's own words; empty when it said nothing.
        text: String,
    },
    /// The two programs speak versions that do not fit.
    #[error("`{url}` cannot be asked by this program{}", words(.text))]
    Gap {
        /// What was asked.
        url: String,
        /// The server's words: both versions, and the command that closes the gap.
        text: String,
    },
    /// The body is longer than it may be.
    #[error("the answer of `{url}` is longer than {limit_bytes} bytes")]
    TooLong {
        /// What was asked.
        url: String,
        /// The most that is read.
        limit_bytes: usize,
    },
    /// The body is not the JSON that was expected, or a body could not be written as JSON.
    #[error("the JSON of `{url}` is not what was expected")]
    Json {
        /// What was asked.
        url: String,
        /// What does not fit, with line and column.
        #[source]
        source: serde_json::Error,
    },
}

impl ClientError {
    /// Whether no server was reached at all: another address may do better.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Unreachable { .. })
    }

    /// The status, when the server answered with one.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::Gap { .. } => Some(StatusCode::UPGRADE_REQUIRED),
            _ => None,
        }
    }

    pub(crate) fn late(url: &str, within: Duration) -> Self {
        Self::Late {
            url: url.to_owned(),
            within,
        }
    }
}

fn words(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}
