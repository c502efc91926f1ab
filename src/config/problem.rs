//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::PathBuf;

/// Most problems that are kept. A file with more is not a configuration.
pub(super) const PROBLEMS_MAX: usize = 100;

/// Most characters of a source line that are shown.
const SHOWN_MAX: usize = 160;

/// A place in a file. Counts characters, as editors do.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Mark {
    /// From 1.
    pub(super) line: usize,
    /// From 1.
    pub(super) column: usize,
    /// How many characters are meant.
    pub(super) width: usize,
}

impl Mark {
    /// The first character of a file.
    pub(super) const START: Mark = Mark { line: 1, column: 1, width: 1 };
}

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The file, as it was named or found.
    pub file: PathBuf,
    /// The line, from 1. A file that cannot be read at all has its problem at 1:1.
    pub line: usize,
    /// The column of the key or value, from 1, in characters.
    pub column: usize,
    /// Key path, what is wrong, what was expected. One line, safe for a terminal.
    pub text: String,
    width: usize,
    /// The part of the line around the place, with `skipped` characters left out before it.
    source: String,
    skipped: usize,
}

impl Problem {
    /// States a problem. `source` is the line of the file, empty if there is none.
    pub(super) fn new(file: PathBuf, at: Mark, text: &str, source: &str) -> Problem {
        let skipped = if at.column > SHOWN_MAX { at.column - SHOWN_MAX / 2 } else { 0 };
        let source: String = source.chars().skip(skipped).take(SHOWN_MAX).map(one_column).collect();
        Problem {
            file,
            line: at.line,
            column: at.column,
            text: printable(text),
            width: at.width.max(1),
            source: source.trim_end().to_owned(),
            skipped,
        }
    }

    fn fmt_source(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self.column - 1 - self.skipped;
        let width = self.width.min(self.source.chars().count().saturating_sub(before)).max(1);
        let line = self.line.to_string();
        let margin = " ".repeat(line.len());
        write!(f, "\n {line} | {}", self.source)?;
        write!(f, "\n {margin} | {}{}", " ".repeat(before), "^".repeat(width))
    }
}

impl fmt::Display for Problem {
    /// `FILE:LINE:COLUMN: text`, then the source line and a line with carets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = printable(&self.file.to_string_lossy());
        write!(f, "{file}:{}:{}: {}", self.line, self.column, self.text)?;
        if self.source.is_empty() { Ok(()) } else { self.fmt_source(f) }
    }
}

/// Everything that is wrong, in the order of the files and of their lines; 100 at most.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problems {
    kept: Vec<Problem>,
    has_more: bool,
}

impl Problems {
    /// Collects problems that are in order already.
    pub(super) fn new(mut kept: Vec<Problem>) -> Problems {
        let has_more = kept.len() > PROBLEMS_MAX;
        kept.truncate(PROBLEMS_MAX);
        Problems { kept, has_more }
    }

    /// Returns each problem.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.kept.iter()
    }

    /// Returns true if there were more than are kept.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.has_more
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    /// Every problem with its place, and how many there are on the last line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.kept {
            writeln!(f, "{problem}")?;
        }
        let more = if self.has_more { "more than " } else { "" };
        let count = self.kept.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(f, "{more}{count} {noun} in the configuration")
    }
}

impl std::error::Error for Problems {}

/// Escapes what could move the cursor, forge a line or turn the direction of reading.
fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unsafe(character) {
            safe.extend(character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Keeps the carets in place below a source line, where an escape would move them.
fn one_column(character: char) -> char {
    match character {
        '\t' => ' ',
        other if is_unsafe(other) => '\u{fffd}',
        other => other,
    }
}

/// Returns true for control characters, line separators and direction marks.
pub(super) fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_at_the_place() {
        let at = Mark { line: 12, column: 3, width: 4 };
        let problem = Problem::new("c.yaml".into(), at, "unknown key `abcd`", "\tcabcd: 1");
        let want = "c.yaml:12:3: unknown key `abcd`\n 12 |  cabcd: 1\n    |   ^^^^";
        assert_eq!(problem.to_string(), want);
    }

    #[test]
    fn counts_on_the_last_line() {
        let one = || Problem::new("c.yaml".into(), Mark::START, "cannot be read", "");
        let text = Problems::new(vec![one()]).to_string();
        assert_eq!(text, "c.yaml:1:1: cannot be read\n1 problem in the configuration");
        let many = Problems::new((0..150).map(|_| one()).collect());
        assert_eq!((many.iter().count(), many.has_more()), (100, true));
        assert!(many.to_string().ends_with(
            "
more than 100 problems in the configuration"
        ));
    }

    #[test]
    fn hostile_text_can_neither_move_the_cursor_nor_forge_a_line() {
        let source = "\u{1b}[2Jx\u{202e}".repeat(100);
        for column in [1, 7, 160, 161, 600, 9_999] {
            let at = Mark { line: 1, column, width: usize::MAX };
            let problem = Problem::new("a\nb".into(), at, "\u{1b}\r\n", &source);
            let text = problem.to_string();
            assert!(!text.contains(['\u{1b}', '\r', '\u{202e}']), "{text:?}");
            assert_eq!(text.lines().count(), if column < 900 { 3 } else { 1 }, "{text}");
            assert!(text.len() < 2_000, "{}", text.len());
        }
    }
}
