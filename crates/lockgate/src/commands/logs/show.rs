//! How a line looks: whose it is, when it was written, what it says.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use lockgate_model::{GatewayName, LogLine, LogStream, ServiceName};
use schemars::JsonSchema;
use serde::Serialize;

use super::whose::Whose;
use crate::error::CommandError;
use crate::views::paint::Paint;
use crate::views::screen::Screen;

/// How much is printed at once.
const BATCH: usize = 64 * 1024;

/// Ends whatever colour the application has begun.
const RESET: &str = "\u{1b}[0m";

/// What is asked for to be said of lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Whose they are.
    pub(super) names: bool,
    /// When they were written.
    pub(super) timestamps: bool,
}

/// Prints lines.
#[derive(Debug)]
pub(super) struct Show {
    screen: Screen,
    style: Style,
    /// What is to be printed.
    batch: String,
}

/// What is said of a line besides its text.
#[derive(Debug, Clone, Copy)]
struct Style {
    paint: Paint,
    timestamps: bool,
    /// The width of the names; `None` where they are left away.
    names: Option<usize>,
    /// How many logs there are; the name of a single one needs not be said.
    logs: usize,
}

/// A line for programs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Line")]
pub(crate) struct Described<'a> {
    /// The gateway whose line it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<&'a GatewayName>,
    /// The service whose line it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a ServiceName>,
    #[serde(flatten)]
    line: &'a LogLine,
}

impl<'a> Described<'a> {
    fn new(whose: &'a Whose, line: &'a LogLine) -> Self {
        let (gateway, service) = match whose {
            Whose::Gateway(gateway) => (Some(gateway), None),
            Whose::Service(_, service) => (None, Some(service)),
        };
        Self {
            gateway,
            service,
            line,
        }
    }
}

impl Show {
    pub(super) fn new(screen: Screen, look: Look) -> Self {
        Self {
            screen,
            style: Style {
                paint: screen.out,
                timestamps: look.timestamps,
                names: look.names.then_some(0),
                logs: 0,
            },
            batch: String::new(),
        }
    }

    /// Makes room for these names.
    pub(super) fn widen(&mut self, all: &[Whose]) {
        self.style.logs += all.len();
        if let Some(width) = &mut self.style.names {
            let widest = all.iter().map(|whose| whose.short().len()).max();
            *width = (*width).max(widest.unwrap_or_default());
        }
    }

    /// Prints a line, soon.
    pub(super) fn line(&mut self, whose: &Whose, line: &LogLine) -> Result<(), CommandError> {
        if self.screen.is_json() {
            return self.screen.json(&Described::new(whose, line));
        }
        self.style.write(&mut self.batch, whose, line);
        if self.batch.len() >= BATCH {
            self.flush()?;
        }
        Ok(())
    }

    /// Prints what is to be printed.
    pub(super) fn flush(&mut self) -> Result<(), CommandError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let printed = self.screen.data(&self.batch);
        self.batch.clear();
        printed
    }
}

impl Style {
    fn write(self, to: &mut String, whose: &Whose, line: &LogLine) {
        let paint = self.paint;
        if let Some(width) = self.names.filter(|_| self.logs > 1) {
            let name = format!("{:width$} |", whose.short());
            *to += &paint.series(whose.series(), &name);
            to.push(' ');
        }
        if self.timestamps
            && let Some(time) = line.time
        {
            let time = UNIX_EPOCH + Duration::from_millis(time);
            let time = humantime::format_rfc3339_millis(time).to_string();
            *to += &paint.dim(&time);
            to.push(' ');
        }
        // Writing to a String cannot fail.
        let _ = match line.stream {
            Some(LogStream::Agent) => {
                writeln!(to, "{}", paint.dim(&format!("--- {}", line.text)))
            }
            _ if paint.is_on() && line.text.contains('\u{1b}') => {
                writeln!(to, "{}{RESET}", line.text)
            }
            _ => writeln!(to, "{}", line.text),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(on: bool) -> Style {
        Style {
            paint: Paint::new(on),
            timestamps: false,
            names: Some(5),
            logs: 2,
        }
    }

    fn line(stream: LogStream, text: &str) -> LogLine {
        LogLine {
            crash: None,
            time: Some(1_800_000_000_123),
            stream: Some(stream),
            text: text.to_owned(),
        }
    }

    fn check(style: Style, number: u32, line: &LogLine, expected: &str) {
        let gateway = GatewayName::parse(&format!("gw-pool-dev-001-{number}")).unwrap();
        let mut text = String::new();
        style.write(&mut text, &Whose::Gateway(gateway), line);
        assert_eq!(text, format!("{expected}\n"));
    }

    #[test]
    fn a_line_begins_with_its_gateway_and_on_demand_with_its_time() {
        let out = line(LogStream::Out, "hello");
        let plain = style(false);
        check(plain, 0, &out, "gw-0  | hello");
        check(plain, 12, &line(LogStream::Err, "oh"), "gw-12 | oh");
        check(
            plain,
            0,
            &line(LogStream::Agent, "starting"),
            "gw-0  | --- starting",
        );
        let timed = Style {
            timestamps: true,
            ..plain
        };
        check(timed, 0, &out, "gw-0  | 2027-01-15T08:00:00.123Z hello");
        let bare = Style {
            names: None,
            ..plain
        };
        check(bare, 0, &out, "hello");
        let alone = Style { logs: 1, ..plain };
        check(alone, 0, &out, "hello");
        check(
            plain,
            0,
            &line(LogStream::Out, "\u{1b}[31mred"),
            "gw-0  | \u{1b}[31mred",
        );
    }

    #[test]
    fn gateways_differ_in_colour_and_applications_do_not_colour_each_other() {
        let out = line(LogStream::Out, "hello");
        check(style(true), 0, &out, "\u{1b}[36mgw-0  |\u{1b}[0m hello");
        check(style(true), 1, &out, "\u{1b}[33mgw-1  |\u{1b}[0m hello");
        check(style(true), 10, &out, "\u{1b}[36mgw-10 |\u{1b}[0m hello");
        let red = line(LogStream::Out, "\u{1b}[31mred");
        let expected = "\u{1b}[36mgw-0  |\u{1b}[0m \u{1b}[31mred\u{1b}[0m";
        check(style(true), 0, &red, expected);
    }

    #[test]
    fn programs_get_the_whole_name_and_all_that_is_known() {
        let gateway = GatewayName::parse("gw-pool-dev-001-0").unwrap();
        let line = &line(LogStream::Err, "oh");
        let described = |whose| serde_json::to_string(&Described::new(&whose, line)).unwrap();
        let text = described(Whose::Gateway(gateway.clone()));
        let expected =
            r#"{"gateway":"gw-pool-dev-001-0","time":1800000000123,"stream":"err","text":"oh"}"#;
        assert_eq!(text, expected);
        let service = ServiceName::parse("ganymede").unwrap();
        let text = described(Whose::Service(gateway.env(), service));
        let expected = r#"{"service":"ganymede","time":1800000000123,"stream":"err","text":"oh"}"#;
        assert_eq!(text, expected);
    }
}
