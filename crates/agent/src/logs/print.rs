//! Lines on their way out: as they are, or for programs.

use std::io::Write;

use lockgate_model::{LogEvent, LogLine, LogNews};

use super::LogError;
use super::line;

/// Where lines are written, and how.
pub(super) struct Printer<'a> {
    out: &'a mut dyn Write,
    json: bool,
    /// The crash that is being shown.
    pub(super) crash: Option<u64>,
}

impl<'a> Printer<'a> {
    pub(super) fn new(out: &'a mut dyn Write, json: bool) -> Self {
        Self {
            out,
            json,
            crash: None,
        }
    }

    /// Writes a line, which has its end.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<(), LogError> {
        if !self.json {
            return self.out.write_all(line).map_err(LogError::Write);
        }
        let line = match self.crash {
            None => line::parse(line),
            Some(_) => LogLine {
                crash: self.crash,
                ..line::parse(line)
            },
        };
        self.event(&LogEvent::Line(line))
    }

    /// Tells programs that all that was there is told.
    pub(super) fn caught_up(&mut self) -> Result<(), LogError> {
        if self.json {
            let event = LogNews::CaughtUp;
            self.event(&LogEvent::Told { event })?;
        }
        self.flush()
    }

    fn event(&mut self, event: &LogEvent) -> Result<(), LogError> {
        let mut line = serde_json::to_vec(event).map_err(|error| LogError::Write(error.into()))?;
        line.push(b'\n');
        self.out.write_all(&line).map_err(LogError::Write)
    }

    pub(super) fn flush(&mut self) -> Result<(), LogError> {
        self.out.flush().map_err(LogError::Write)
    }
}
