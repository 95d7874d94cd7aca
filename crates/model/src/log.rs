//! A line of an application's log, as the agent tells it to programs.

use serde::{Deserialize, Serialize};

/// Where a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum LogStream {
    /// The application's stdout.
    Out,
    /// The application's stderr.
    Err,
    /// The agent itself.
    Agent,
}

/// One line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogLine {
    /// The crash that it belongs to, where a crash is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crash: Option<u64>,
    /// When it was written, UNIX milliseconds; `None` where nothing says so.
    pub time: Option<u64>,
    /// Who wrote it; `None` where nothing says so.
    pub stream: Option<LogStream>,
    /// What it says, without its end.
    pub text: String,
}

/// What `lockgate-agent logs --format json` prints: one a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LogEvent {
    /// A line.
    Line(LogLine),
    /// Something else than a line.
    Told {
        /// What.
        event: LogNews,
    },
}

/// What there is to tell between lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogNews {
    /// All that was there is told; what follows is new.
    CaughtUp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(event: &LogEvent, expected: &str) {
        assert_eq!(serde_json::to_string(event).unwrap(), expected);
        assert_eq!(serde_json::from_str::<LogEvent>(expected).unwrap(), *event);
    }

    #[test]
    fn lines_and_news_are_told_apart() {
        let mut line = LogLine {
            crash: None,
            time: Some(1),
            stream: Some(LogStream::Agent),
            text: "{\"event\":\"caught_up\"}".to_owned(),
        };
        check(
            &LogEvent::Line(line.clone()),
            r#"{"time":1,"stream":"agent","text":"{\"event\":\"caught_up\"}"}"#,
        );
        line = LogLine {
            crash: Some(3),
            ..LogLine::default()
        };
        check(
            &LogEvent::Line(line),
            r#"{"crash":3,"time":null,"stream":null,"text":""}"#,
        );
        let event = LogNews::CaughtUp;
        check(&LogEvent::Told { event }, r#"{"event":"caught_up"}"#);
    }
}
