//! A marked tree: what a file says, with the place of every key and value.
//!
//! The parser stops at the first error. To find what else is wrong, it is started anew at the
//! next section that begins in the first column.

use super::build::Builder;
use super::problem::Mark;

/// How often parsing is taken up again after an error.
const STARTS_MAX: usize = 50;

/// A value and its place.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) mark: Mark,
    pub(super) shape: Shape,
    /// True if the parser stopped within it: what is missing may have been there.
    pub(super) is_cut: bool,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Shape {
    /// Text, with what stood there without quotes.
    Text { text: String, is_plain: bool },
    /// A list.
    List(Vec<Node>),
    /// Keys and values.
    Map(Vec<Entry>),
    /// Not understood, and reported already.
    Broken,
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) mark: Mark,
    pub(super) value: Node,
}

/// What is not YAML, or more of it than a configuration needs.
pub(super) type Flaw = (Mark, String);

impl Node {
    /// Returns true for `key:` with nothing behind it, and for `~` and `null`.
    pub(super) fn is_empty(&self) -> bool {
        match &self.shape {
            Shape::Text { text, is_plain } => {
                *is_plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            Shape::Map(entries) => entries.is_empty() && !self.is_cut,
            Shape::List(_) | Shape::Broken => false,
        }
    }

    pub(super) fn broken(mark: Mark) -> Node {
        Node { mark, shape: Shape::Broken, is_cut: true }
    }
}

/// Reads a text. Returns what it says as far as it is YAML (nothing for an empty file), and
/// what is not.
pub(super) fn read(text: &str) -> (Option<Node>, Vec<Flaw>) {
    let mut flaws: Vec<Flaw> = Vec::new();
    let mut root: Option<Node> = None;
    let mut start = 1;
    for _ in 0..STARTS_MAX {
        let mut builder = Builder::new(text, start);
        let part = builder.document();
        let Some(stop) = builder.finish(&mut flaws) else {
            join(&mut root, part);
            break;
        };
        let resumed = resume(text, start, stop);
        join(&mut root, part);
        let Some(next) = resumed else { break };
        forget_from(&mut root, next);
        start = next;
    }
    (root, flaws)
}

/// Adds the sections of a later part.
fn join(root: &mut Option<Node>, part: Option<Node>) {
    match (root.as_mut(), part) {
        (_, None) => {}
        (None, part) => *root = part,
        (Some(Node { shape: Shape::Map(entries), is_cut, .. }), Some(part)) => {
            *is_cut |= part.is_cut;
            if let Shape::Map(more) = part.shape {
                entries.extend(more);
            }
        }
        (Some(_), Some(_)) => {}
    }
}

/// Drops what begins where parsing is taken up again, so that it is not read twice.
fn forget_from(root: &mut Option<Node>, line: usize) {
    if let Some(Node { shape: Shape::Map(entries), .. }) = root {
        entries.retain(|entry| entry.mark.line < line);
    }
}

/// Returns the line of the first section that begins where parsing stopped, or after it.
fn resume(text: &str, start: usize, stop: usize) -> Option<usize> {
    let first = stop.max(start + 1);
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let mut sections = lines.filter(|(_, line)| {
        line.starts_with(|c: char| c.is_ascii_alphabetic()) && line.contains(':')
    });
    sections.find(|(number, _)| *number >= first).map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_and_value_has_its_place() {
        check(
            "a: 1\n# é\nbb:\n  c: \"é\"  # x\n  d: [ x, y ]\ne: {f: g}\n",
            "1:1+1 a=1:4+1 1\n3:1+2 bb={4:3+1 c=4:6+3 é\n5:3+1 d=[5:8+1 x, 5:11+1 y]}\n\
             6:1+1 e={6:5+1 f=6:8+1 g",
            &[],
        );
    }

    #[test]
    fn parsing_is_taken_up_again_at_the_next_section() {
        check(
            "a: 1\nb: [1, 2\nc: 3\nd: {x: \"1}\ne: 5\n",
            "1:1+1 a=1:4+1 1\n2:1+1 b=[2:5+1 1]\n3:1+1 c=3:4+1 3\n4:1+1 d={4:5+1 x=!}\n5:1+1 e=5:4+1 5",
            &[
                "3:2 not YAML: illegal placement of ':' indicator",
                "4:8 not YAML: while scanning a quoted scalar, found unexpected end of stream",
            ],
        );
    }

    #[test]
    fn an_empty_file_says_nothing() {
        assert!(read("").0.is_none());
        assert!(read("# only a comment\n").0.is_none());
    }

    #[track_caller]
    fn check(text: &str, want: &str, flaws: &[&str]) {
        let (root, found) = read(text);
        let found: Vec<_> =
            found.iter().map(|(at, text)| format!("{}:{} {text}", at.line, at.column)).collect();
        let shown = root.map_or_else(String::new, |root| show(&root));
        let shown = shown.trim_start_matches('{').trim_end_matches('}');
        assert_eq!((shown, found), (want, flaws.iter().map(|f| (*f).to_owned()).collect()));
    }

    fn show(node: &Node) -> String {
        match &node.shape {
            Shape::Broken => "!".to_owned(),
            Shape::Text { text, .. } => format!("{} {text}", place(node.mark)),
            Shape::List(items) => {
                format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", "))
            }
            Shape::Map(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|e| format!("{} {}={}", place(e.mark), e.key, show(&e.value)))
                    .collect();
                format!("{{{}}}", entries.join("\n"))
            }
        }
    }

    fn place(mark: Mark) -> String {
        format!("{}:{}+{}", mark.line, mark.column, mark.width)
    }
}
