//! Makes text from outside safe to show.
//!
//! Session keys, labels, paths and argv are chosen by others. Printed as they are, they could
//! forge a log line, recolour a terminal, or read as something else than they say.

mod command;

use std::borrow::Cow;
use std::fmt::Write;

pub use command::command;

/// Returns `text` on one line and without anything a terminal or a reader would misread.
///
/// Escaped are control characters (`\n`, `\x1b`, `\u{9b}`), line separators, bidirectional
/// overrides and characters that show nothing (`\u{202e}`). Everything else stays, the backslash
/// too: the result is for people, it is not meant to be read back.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if text.chars().any(misleads) { Cow::Owned(escaped(text)) } else { Cow::Borrowed(text) }
}

/// Returns `bytes` as text, escaped like [`escape`], with `\xff` for what is not UTF-8.
#[must_use]
pub fn escape_bytes(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return escape(text);
    }
    let mut out = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        out.push_str(&escape(chunk.valid()));
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    Cow::Owned(out)
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if !misleads(c) => out.push(c),
            c if c.is_ascii() => drop(write!(out, "\\x{:02x}", u32::from(c))),
            c => drop(write!(out, "\\u{{{:x}}}", u32::from(c))),
        }
    }
    out
}

/// The zero-width joiners U+200C and U+200D are not in the list: scripts and emoji need them.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Direction marks, embeddings, overrides and isolates.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Line and paragraph separators.
            | '\u{2028}' | '\u{2029}'
            // Invisible: soft hyphen, fillers, zero-width space, operators, byte order mark, tags.
            | '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'
            | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, want: &str) {
        assert_eq!(escape(text), want);
        assert_eq!(escape_bytes(text.as_bytes()), want);
    }

    #[test]
    fn leaves_what_people_write_alone() {
        check("", "");
        check("agent:main:main", "agent:main:main");
        check("C:\\n is no newline", "C:\\n is no newline");
        check("Grüße, 会話, שלום, 👩\u{200d}💻", "Grüße, 会話, שלום, 👩\u{200d}💻");
        assert!(matches!(escape("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn forges_no_line_and_no_colour() {
        check("a\nERROR b", "a\\nERROR b");
        check("a\r\tb", "a\\r\\tb");
        check("\u{1b}[31mred\u{7}", "\\x1b[31mred\\x07");
        check("\u{9b}31m\u{7f}\0", "\\u{9b}31m\\x7f\\x00");
        check("a\u{2028}b\u{2029}", "a\\u{2028}b\\u{2029}");
    }

    #[test]
    fn shows_what_turns_or_hides_text() {
        check("agent:\u{202e}niam", "agent:\\u{202e}niam");
        check("\u{2066}x\u{2069}\u{61c}", "\\u{2066}x\\u{2069}\\u{61c}");
        check("ma\u{200b}in\u{feff}\u{e0041}", "ma\\u{200b}in\\u{feff}\\u{e0041}");
    }

    #[test]
    fn shows_bytes_that_are_no_text() {
        assert_eq!(escape_bytes(b"a\xff\nb\xe2\x82"), "a\\xff\\nb\\xe2\\x82");
        assert_eq!(escape_bytes(b"\x80"), "\\x80");
    }

    proptest! {
        #[test]
        fn nothing_that_misleads_survives(bytes: Vec<u8>) {
            prop_assert!(!escape_bytes(&bytes).chars().any(misleads));
        }

        #[test]
        fn escaping_twice_is_escaping_once(text: String) {
            let once = escape(&text).into_owned();
            prop_assert_eq!(escape(&once), once.as_str());
        }
    }
}
