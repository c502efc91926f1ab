//! The text of one file, as far as it can be judged before it is parsed.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::problem::{Mark, Problem, is_unsafe};

/// Largest file that is read. The parser behind the checks needs quadratic time on some input.
const BYTES_MAX: u64 = 64 * 1024;

/// Most unprintable characters that are reported one by one.
const CONTROLS_MAX: usize = 10;

/// How far a tab reaches in most editors.
const TAB: usize = 8;

/// The text of one file.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    lines: Vec<String>,
    /// The same lines with spaces for tabs in indentation: a file with tabs is refused, and
    /// its other mistakes are to be found all the same.
    pub(super) yaml: String,
    /// By how many characters the indentation of each line grew.
    grown: Vec<usize>,
    /// What is wrong with the text itself.
    pub(super) flaws: Vec<Problem>,
}

impl Source {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is too large, or is not UTF-8.
    pub(super) fn read(path: &Path) -> Result<Source, Problem> {
        let refuse = |text: &str| Problem::new(path.to_owned(), Mark::START, text, "");
        let bytes = bytes(path).map_err(|error| refuse(&format!("cannot be read: {error}")))?;
        Source::new(path, bytes)
    }

    /// Takes the bytes of a file.
    ///
    /// # Errors
    ///
    /// They are too many, or not UTF-8.
    pub(super) fn new(path: &Path, bytes: Vec<u8>) -> Result<Source, Problem> {
        let refuse = |at, text: &str| Problem::new(path.to_owned(), at, text, "");
        if bytes.len() as u64 > BYTES_MAX {
            let text = "larger than 64 KiB, the most a configuration may have";
            return Err(refuse(Mark::START, text));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            refuse(after(&error.as_bytes()[..valid]), "not UTF-8; save the file as UTF-8")
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut source = Source {
            path: path.to_owned(),
            lines: text.lines().map(str::to_owned).collect(),
            yaml: String::new(),
            grown: Vec::new(),
            flaws: Vec::new(),
        };
        source.expand();
        Ok(source)
    }

    /// States a problem at a place of the expanded text.
    pub(super) fn problem(&self, at: Mark, text: &str) -> Problem {
        let grown = self.grown.get(at.line - 1).copied().unwrap_or(0);
        let column = at.column.saturating_sub(grown).max(1);
        self.problem_at(Mark { column, ..at }, text)
    }

    /// Returns true if the line has unprintable characters, so that all else is in doubt.
    pub(super) fn is_garbled(&self, line: usize) -> bool {
        self.line(line).contains(is_foreign)
    }

    fn problem_at(&self, at: Mark, text: &str) -> Problem {
        Problem::new(self.path.clone(), at, text, self.line(at.line))
    }

    fn line(&self, line: usize) -> &str {
        self.lines.get(line - 1).map_or("", String::as_str)
    }

    fn expand(&mut self) {
        let (mut yaml, mut grown, mut flaws) = (String::new(), Vec::new(), Vec::new());
        let mut controls = 0;
        for (index, line) in self.lines.iter().enumerate() {
            let content = line.trim_start_matches([' ', '\t']);
            let indent = &line[..line.len() - content.len()];
            let is_comment = content.is_empty() || content.starts_with('#');
            if let (Some(tab), false) = (indent.find('\t'), is_comment) {
                let at = Mark { line: index + 1, column: tab + 1, width: 1 };
                flaws.push(self.problem_at(at, "a tab; indent with spaces"));
            }
            if let Some(at) = foreign(line, index + 1).filter(|_| controls < CONTROLS_MAX) {
                controls += 1;
                flaws.push(self.problem_at(at, "an unprintable character; delete it"));
            }
            let width = if is_comment { indent.len() } else { width(indent) };
            yaml.extend(std::iter::repeat_n(' ', width));
            yaml.extend(content.chars().map(|c| if is_foreign(c) { '\u{fffd}' } else { c }));
            yaml.push('\n');
            grown.push(width - indent.len());
        }
        (self.yaml, self.grown, self.flaws) = (yaml, grown, flaws);
    }
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns the place right after a valid text.
fn after(valid: &[u8]) -> Mark {
    let text = String::from_utf8_lossy(valid);
    let line = text.matches('\n').count() + 1;
    let column = text.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    Mark { line, column, width: 1 }
}

fn foreign(line: &str, number: usize) -> Option<Mark> {
    let at = line.chars().position(is_foreign)?;
    Some(Mark { line: number, column: at + 1, width: 1 })
}

/// A tab inside a line is harmless.
fn is_foreign(character: char) -> bool {
    character != '\t' && is_unsafe(character)
}

fn width(indent: &str) -> usize {
    indent.chars().fold(0, |width, c| if c == '\t' { (width / TAB + 1) * TAB } else { width + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_content() {
        assert_eq!(source(b"\xef\xbb\xbfinterval: 30s\r\n").unwrap().yaml, "interval: 30s\n");
    }

    #[test]
    fn says_where_it_stops_being_utf8() {
        let problem = source(
            "interval: 30s\n# é"
                .as_bytes()
                .iter()
                .chain(b"\xff")
                .copied()
                .collect::<Vec<_>>()
                .as_slice(),
        )
        .unwrap_err();
        assert_eq!((problem.line, problem.column), (2, 4));
    }

    #[test]
    fn a_file_of_64_kib_is_read_and_a_byte_more_is_not() {
        assert!(source(&vec![b'#'; 65_536]).is_ok());
        let problem = source(&vec![b'#'; 65_537]).unwrap_err();
        assert_eq!(problem.text, "larger than 64 KiB, the most a configuration may have");
    }

    #[test]
    fn tabs_indent_no_key_but_may_stand_elsewhere() {
        let source = source(b"limits:\n  \tcooldown: 15m\n\t# note\n\t\ninterval:\t30s").unwrap();
        assert_eq!(source.flaws.len(), 1);
        assert_eq!((source.flaws[0].line, source.flaws[0].column), (2, 3));
        assert!(source.yaml.contains("\n        cooldown"), "{}", source.yaml);
        let at = Mark { line: 2, column: 9, width: 8 };
        assert_eq!(source.problem(at, "x").column, 4, "a column of the real line");
    }

    #[test]
    fn unprintable_characters_have_their_place() {
        let source = source("interval: 3\u{1b}0s\nx: \u{202e}\n".as_bytes()).unwrap();
        let places: Vec<_> = source.flaws.iter().map(|p| (p.line, p.column)).collect();
        assert_eq!(places, [(1, 12), (2, 4)]);
        assert!(source.is_garbled(1) && !source.is_garbled(3));
    }

    fn source(bytes: &[u8]) -> Result<Source, Problem> {
        Source::new(Path::new("c.yaml"), bytes.to_vec())
    }
}
