//! Whether output is coloured.

use std::io::IsTerminal;

use crate::logging;
use crate::report::Paint;

/// `--color`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum ColorChoice {
    /// If it goes to a terminal that has colours, and `NO_COLOR` is not set.
    Auto,
    /// Yes.
    Always,
    /// No.
    Never,
}

impl ColorChoice {
    /// Decides for standard output.
    #[must_use]
    pub fn paint(self) -> Paint {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        match self {
            ColorChoice::Always => Paint::Ansi,
            ColorChoice::Auto if !plain && std::io::stdout().is_terminal() => Paint::Ansi,
            ColorChoice::Auto | ColorChoice::Never => Paint::Plain,
        }
    }
}

impl From<ColorChoice> for logging::Color {
    fn from(choice: ColorChoice) -> Self {
        match choice {
            ColorChoice::Auto => logging::Color::Auto,
            ColorChoice::Always => logging::Color::Always,
            ColorChoice::Never => logging::Color::Never,
        }
    }
}
