//! From the events of the YAML parser to a marked tree, until the first error.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::problem::Mark;
use super::tree::{Entry, Flaw, Node, Shape};

/// Deepest nesting. The parser behind the checks needs quadratic time on deep nesting.
const DEPTH_MAX: usize = 64;

/// Most keys and values. Thousands of overrides fit; the parser needs quadratic time on some input.
const NODES_MAX: usize = 20_000;

/// Builds the tree of one part of a text.
pub(super) struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    text: &'a str,
    /// Lines before the part that is parsed.
    skipped: usize,
    depth: usize,
    nodes: usize,
    flaws: Vec<Flaw>,
    /// The line of the error that ended the parsing.
    stopped: Option<usize>,
}

impl<'a> Builder<'a> {
    /// Begins at the line `start`, from 1.
    pub(super) fn new(text: &'a str, start: usize) -> Builder<'a> {
        let skipped = start - 1;
        let offset = text.split_inclusive('\n').take(skipped).map(str::len).sum();
        let part = text.get(offset..).unwrap_or("");
        let parser = Parser::new_from_str(part);
        Builder { parser, text, skipped, depth: 0, nodes: 0, flaws: Vec::new(), stopped: None }
    }

    /// Hands over what was found, and returns the line at which parsing stopped early.
    pub(super) fn finish(self, flaws: &mut Vec<Flaw>) -> Option<usize> {
        for flaw in self.flaws {
            // A part that begins at the line of an error meets that error again.
            if !flaws.iter().any(|(mark, _)| mark.line == flaw.0.line) {
                flaws.push(flaw);
            }
        }
        self.stopped
    }

    /// Reads the only document there may be; `None` if nothing is there.
    pub(super) fn document(&mut self) -> Option<Node> {
        let mut root = None;
        while let Some((event, span)) = self.next() {
            match event {
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                Event::DocumentStart(_) if root.is_some() => {
                    let text = "a second document; a file is one document, delete the `---`";
                    self.flaws.push((self.mark(span), text.to_owned()));
                    return root;
                }
                Event::DocumentStart(_) => {}
                node => root = Some(self.node(node, span)),
            }
        }
        root
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Node {
        let mark = self.mark(span);
        self.depth += 1;
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            self.stop(mark, "more keys and values than a configuration has".to_owned());
            return Node::broken(mark);
        }
        if self.depth > DEPTH_MAX {
            self.stop(mark, DEPTH.to_owned());
            return Node::broken(mark);
        }
        let node = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_extras(mark, anchor, tag.is_some());
                self.scalar(&text, matches!(style, ScalarStyle::Plain), span)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_extras(mark, anchor, tag.is_some());
                self.list(mark)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_extras(mark, anchor, tag.is_some());
                self.map(mark)
            }
            Event::Alias(_) => {
                self.flaws.push((mark, ALIAS.to_owned()));
                Node::broken(mark)
            }
            _ => Node::broken(mark),
        };
        self.depth -= 1;
        node
    }

    fn scalar(&mut self, text: &str, is_plain: bool, span: Span) -> Node {
        let mark = self.mark(span);
        if is_plain && span.start.line() < span.end.line() {
            self.flaws.push((mark, LINES.to_owned()));
            return Node::broken(mark);
        }
        // The span of a quoted text reaches over the blanks behind it.
        let width = text.chars().count() + if is_plain { 0 } else { 2 };
        let mark = Mark { width: mark.width.min(width).max(1), ..mark };
        let shape = Shape::Text { text: text.to_owned(), is_plain };
        Node { mark, shape, is_cut: false }
    }

    fn list(&mut self, mark: Mark) -> Node {
        let mut items = Vec::new();
        let is_cut = loop {
            match self.next() {
                None => break true,
                Some((Event::SequenceEnd, _)) => break false,
                Some((event, span)) => items.push(self.node(event, span)),
            }
        };
        Node { mark, shape: Shape::List(items), is_cut }
    }

    fn map(&mut self, mark: Mark) -> Node {
        let mut entries = Vec::new();
        let is_cut = loop {
            let (event, span) = match self.next() {
                None => break true,
                Some((Event::MappingEnd, _)) => break false,
                Some(next) => next,
            };
            let key = self.node(event, span);
            let value = match self.next() {
                Some((event, span)) => self.node(event, span),
                None => Node::broken(key.mark),
            };
            match key.shape {
                Shape::Text { text, .. } => {
                    entries.push(Entry { key: text, mark: key.mark, value });
                }
                Shape::Broken => {}
                Shape::List(_) | Shape::Map(_) => {
                    self.flaws.push((key.mark, "a key must be a word".to_owned()));
                }
            }
        };
        Node { mark, shape: Shape::Map(entries), is_cut }
    }

    fn next(&mut self) -> Option<(Event<'a>, Span)> {
        if self.stopped.is_some() {
            return None;
        }
        match self.parser.next_event()? {
            Ok(event) => Some(event),
            Err(error) => {
                self.refuse(&error);
                None
            }
        }
    }

    fn refuse(&mut self, error: &ScanError) {
        let marker = *error.marker();
        let mark = self.mark(Span::empty(marker));
        let line = self.text.lines().nth(mark.line - 1).unwrap_or("");
        let near: String = line.chars().skip(mark.column.saturating_sub(2)).take(2).collect();
        let text = match error.info() {
            "recursion limit exceeded" => DEPTH.to_owned(),
            _ if near.contains('*') => ALIAS.to_owned(),
            info if near.contains(['@', '`', '%']) => {
                format!("not YAML: {info}; quote text that begins so")
            }
            info => format!("not YAML: {info}"),
        };
        self.stop(mark, text);
    }

    fn stop(&mut self, mark: Mark, text: String) {
        self.flaws.push((mark, text));
        self.stopped = Some(mark.line);
    }

    fn refuse_extras(&mut self, mark: Mark, anchor: usize, has_tag: bool) {
        if anchor != 0 {
            self.flaws.push((mark, "anchors are not supported; write the value out".to_owned()));
        }
        if has_tag {
            self.flaws.push((mark, "tags are not supported; delete it".to_owned()));
        }
    }

    fn mark(&self, span: Span) -> Mark {
        let (start, end) = (span.start, span.end);
        let is_one_line = start.line() == end.line();
        let width = if is_one_line { end.col().saturating_sub(start.col()) } else { 1 };
        Mark {
            line: start.line().max(1) + self.skipped,
            column: start.col() + 1,
            width: width.max(1),
        }
    }
}

const DEPTH: &str = "nested too deeply";

const ALIAS: &str = "aliases are not supported; text that begins with `*` must be quoted: `\"*\"`";

const LINES: &str = "goes on in the next line; look at its indentation";

#[cfg(test)]
mod tests {
    use super::super::tree::read;
    use super::*;

    #[test]
    fn what_a_configuration_does_not_need_is_refused() {
        let cases = [
            ("a: &x 1", "1:4 anchors are not supported; write the value out"),
            ("a: !t 2", "1:4 tags are not supported; delete it"),
            ("a: *x", ALIAS_AT_4),
            ("a: *", ALIAS_AT_4),
            ("a: *:cron", ALIAS_AT_4),
            ("a: @x", "1:4 not YAML: unexpected character: `@'; quote text that begins so"),
            ("a: 1\n---", "2:1 a second document; a file is one document, delete the `---`"),
            ("a: b\n  c", "1:4 goes on in the next line; look at its indentation"),
            ("? [a]\n: 1", "1:3 a key must be a word"),
        ];
        for (text, want) in cases {
            let flaws = read(&format!("{text}\nz: 1\n")).1;
            let found: Vec<_> = flaws
                .iter()
                .map(|(at, text)| format!("{}:{} {text}", at.line, at.column))
                .collect();
            assert_eq!(found, [want]);
        }
    }

    const ALIAS_AT_4: &str = "1:4 aliases are not supported; text that begins with `*` must be \
                              quoted: `\"*\"`";

    #[test]
    fn deep_nesting_stops_early() {
        for text in
            ["[".repeat(65_000), "{a: ".repeat(16_000), "- ".repeat(32_000), "? ".repeat(32_000)]
        {
            let (_, flaws) = read(&text);
            assert_eq!(flaws.last().unwrap().1, DEPTH, "{}", &text[..4]);
        }
        assert!(read(&format!("a: {}{}", "[".repeat(62), "]".repeat(62))).1.is_empty());
    }
}
