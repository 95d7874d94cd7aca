//! Colour by meaning. Every text reads the same without it.

use clap::builder::styling::{AnsiColor, Color, Effects, Style};

/// What a piece of text means to its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// A name worth finding.
    Strong,
    /// Secondary.
    Dim,
    /// As it should be.
    Good,
    /// On its way, or worth a look.
    Busy,
    /// Wrong.
    Bad,
}

/// Colours that differ from their neighbours; red is left to what is wrong.
const SERIES: [AnsiColor; 10] = [
    AnsiColor::Cyan,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::BrightCyan,
    AnsiColor::BrightYellow,
    AnsiColor::BrightGreen,
    AnsiColor::BrightMagenta,
    AnsiColor::BrightBlue,
];

/// Paints text, or leaves it as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// A painter that paints when `on`.
    pub(crate) fn new(on: bool) -> Self {
        Self { on }
    }

    /// Whether anything is painted.
    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    /// The text in a tone's colour.
    pub(crate) fn tone(self, tone: Tone, text: &str) -> String {
        let style = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Strong => Style::new().effects(Effects::BOLD),
            Tone::Dim => Style::new().effects(Effects::DIMMED),
            Tone::Good => color(AnsiColor::Green),
            Tone::Busy => color(AnsiColor::Yellow),
            Tone::Bad => color(AnsiColor::Red),
        };
        self.wrap(style, text)
    }

    /// `error:`
    pub(crate) fn error(self, text: &str) -> String {
        self.wrap(color(AnsiColor::Red).effects(Effects::BOLD), text)
    }

    /// `warning:`
    pub(crate) fn warning(self, text: &str) -> String {
        self.wrap(color(AnsiColor::Yellow).effects(Effects::BOLD), text)
    }

    /// `hint:`
    pub(crate) fn hint(self, text: &str) -> String {
        self.wrap(color(AnsiColor::Cyan).effects(Effects::BOLD), text)
    }

    /// Secondary text.
    pub(crate) fn dim(self, text: &str) -> String {
        self.tone(Tone::Dim, text)
    }

    /// A name worth finding.
    pub(crate) fn strong(self, text: &str) -> String {
        self.tone(Tone::Strong, text)
    }

    /// The text in a colour of its own among many.
    pub(crate) fn series(self, number: u32, text: &str) -> String {
        let count = u32::try_from(SERIES.len()).unwrap_or(u32::MAX);
        let at = usize::try_from(number % count).unwrap_or_default();
        let style = SERIES.get(at).map_or_else(Style::new, |it| color(*it));
        self.wrap(style, text)
    }

    fn wrap(self, style: Style, text: &str) -> String {
        if self.on && !text.is_empty() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

fn color(color: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(color)))
}
