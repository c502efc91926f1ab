//! One record of the gateway's JSON log.

use serde_json::Value;

use super::sign;
use crate::model::UnixMillis;

/// Longest line that is read. What is of interest has some 2 KiB, most of it about the logger.
const LINE_MAX: usize = 32 * 1024;

/// Longest text that is looked through.
const TEXT_MAX: usize = 4 * 1024;

/// A message, and when it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Line {
    /// Without colours and control characters.
    pub(super) text: String,
    pub(super) at: UnixMillis,
}

/// Returns the lines that may say something about a fault.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = Line> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| line.len() <= LINE_MAX);
    lines
        .filter_map(|line| std::str::from_utf8(line).ok())
        .filter(|line| sign::may_tell(line))
        .filter_map(read)
}

/// The message stands under `message` (2026.9.6), or under the number behind that of the name of
/// the subsystem (all versions).
fn read(line: &str) -> Option<Line> {
    let record: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    let texts = ["message", "1", "0", "2"].into_iter().filter_map(text);
    let text_of_fault = texts.map(plain).find(|text| sign::may_tell(text))?;
    let date = record.pointer("/_meta/date").and_then(Value::as_str);
    let at = text("time").or(date).and_then(UnixMillis::from_rfc3339)?;
    Some(Line { text: text_of_fault, at })
}

/// Cuts colours (`ESC [ … m`) and every other control character.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if out.len() >= TEXT_MAX {
            break;
        }
        match c {
            '\u{1b}' => {
                let mut sequence = rest.clone();
                if sequence.next() == Some('[') {
                    // Parameters, then one letter.
                    rest = sequence;
                    let _ = rest.find(|c| c.is_ascii_alphabetic());
                }
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WAIT: &str = "lane wait exceeded: lane=session:a waitedMs=1 queueAhead=0";

    #[track_caller]
    fn check(line: &str, want: Option<(&str, i64)>) {
        let found: Vec<_> = lines(line.as_bytes()).collect();
        let found = found.first().map(|line| (line.text.as_str(), line.at.0));
        assert_eq!(found, want, "{line}");
    }

    #[test]
    fn the_message_of_every_version_is_found() {
        let of = |more: &str| format!(r#"{{{more},"time":"1970-01-01T01:00:01.000+01:00"}}"#);
        check(&of(&format!(r#""0":"{{\"subsystem\":\"x\"}}","1":"{WAIT}""#)), Some((WAIT, 1_000)));
        check(&of(&format!(r#""1":"cut","message":"{WAIT}""#)), Some((WAIT, 1_000)));
        check(&of(&format!(r#""0":"{WAIT}""#)), Some((WAIT, 1_000)));
        let meta = format!(r#"{{"1":"{WAIT}","_meta":{{"date":"1970-01-01T00:00:02Z"}}}}"#);
        check(&meta, Some((WAIT, 2_000)));
    }

    #[test]
    fn what_says_nothing_of_a_fault_or_no_time_is_left_out() {
        check("", None);
        check(WAIT, None);
        check(r#"{"1":"all is well","time":"1970-01-01T00:00:01Z"}"#, None);
        check(&format!(r#"{{"1":"{WAIT}"}}"#), None);
        check(&format!(r#"{{"1":["{WAIT}"],"time":"1970-01-01T00:00:01Z"}}"#), None);
        let long = "x".repeat(LINE_MAX);
        check(&format!(r#"{{"1":"{WAIT}","z":"{long}","time":"1970-01-01T00:00:01Z"}}"#), None);
    }

    #[test]
    fn colours_and_control_characters_are_cut() {
        assert_eq!(plain("\u{1b}[33mstuck\u{1b}[39m session\u{7}"), "stuck session ");
        assert_eq!(plain("a\u{1b}b\u{1b}[31"), "ab");
        assert_eq!(plain(&"x".repeat(9_000)).len(), TEXT_MAX);
    }

    proptest! {
        #[test]
        fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = lines(&bytes).count();
        }

        #[test]
        fn no_text_causes_a_panic(text in "\\PC{0,80}") {
            let line = serde_json::json!({ "1": format!("{WAIT}{text}"), "time": text }).to_string();
            let _ = lines(line.as_bytes()).count();
            let _ = plain(&text);
        }
    }
}
