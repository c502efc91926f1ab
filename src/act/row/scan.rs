//! Finds one row in a session store without parsing the rest.
//!
//! A store may have tens of megabytes, of which one row is wanted, with its exact place and its
//! exact bytes. The store was parsed as a whole when it was observed; here only its structure
//! is followed.

use std::io;
use std::ops::Range;

/// Largest row that is edited. Real ones have up to 100 KiB, most of it skills and reports.
const ROW_BYTES_MAX: usize = 4 << 20;

/// A row, where it stands and what it says.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Located {
    /// Its place in the file: from `{` to behind `}`.
    pub range: Range<u64>,
    /// Its bytes.
    pub text: Vec<u8>,
}

/// Returns the object under `key` at the top level of `bytes`, or `None` if there is none.
///
/// # Errors
///
/// Returns an error if reading fails, the structure is broken, the row is too large, or there
/// are two of that key.
pub(super) fn locate(
    bytes: impl Iterator<Item = io::Result<u8>>,
    key: &str,
) -> io::Result<Option<Located>> {
    let mut scan = Scan::new(key);
    for (at, byte) in bytes.enumerate() {
        scan.step(at as u64, byte?)?;
    }
    if scan.depth != 0 || scan.in_string {
        return Err(broken("it ends in the middle"));
    }
    Ok(scan.found)
}

struct Scan<'a> {
    key: &'a str,
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// At the top level: the next string is a key.
    expects_key: bool,
    /// The key being read, with its quotes.
    token: Vec<u8>,
    /// The value being read belongs to the wanted key.
    wanted: bool,
    start: u64,
    text: Vec<u8>,
    found: Option<Located>,
}

impl<'a> Scan<'a> {
    fn new(key: &'a str) -> Scan<'a> {
        Scan {
            key,
            depth: 0,
            in_string: false,
            escaped: false,
            expects_key: false,
            token: Vec::new(),
            wanted: false,
            start: 0,
            text: Vec::new(),
            found: None,
        }
    }

    fn step(&mut self, at: u64, byte: u8) -> io::Result<()> {
        if self.in_string {
            self.in_string(byte);
            return self.record(byte);
        }
        match byte {
            b'"' => {
                self.in_string = true;
                if self.depth == 1 && self.expects_key {
                    self.token = vec![b'"'];
                }
            }
            b'{' | b'[' => {
                self.depth += 1;
                if self.depth == 1 {
                    self.expects_key = byte == b'{';
                } else if self.depth == 2 && self.wanted {
                    self.start = at;
                    self.text.clear();
                }
            }
            b'}' | b']' => {
                self.record(byte)?;
                return self.close(at);
            }
            b',' if self.depth == 1 => {
                self.expects_key = true;
                self.wanted = false;
            }
            _ => {}
        }
        self.record(byte)
    }

    fn in_string(&mut self, byte: u8) {
        let is_key = self.depth == 1 && self.expects_key;
        // Six bytes, `\uXXXX`, are the longest way to write one.
        if is_key && self.token.len() <= self.key.len() * 6 + 2 {
            self.token.push(byte);
        }
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => {
                self.in_string = false;
                if is_key {
                    self.expects_key = false;
                    let name = serde_json::from_slice::<String>(&self.token);
                    self.wanted = name.is_ok_and(|name| name == self.key);
                }
            }
            _ => {}
        }
    }

    fn record(&mut self, byte: u8) -> io::Result<()> {
        if self.wanted && self.depth >= 2 {
            if self.text.len() == ROW_BYTES_MAX {
                return Err(broken("the row is too large"));
            }
            self.text.push(byte);
        }
        Ok(())
    }

    fn close(&mut self, at: u64) -> io::Result<()> {
        self.depth = self.depth.checked_sub(1).ok_or_else(|| broken("a bracket too many"))?;
        if self.depth == 1 && self.wanted {
            self.wanted = false;
            let text = std::mem::take(&mut self.text);
            if self.found.is_some() {
                return Err(broken("the key is there twice"));
            }
            self.found = Some(Located { range: self.start..at + 1, text });
        }
        Ok(())
    }
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(store: &str, key: &str) -> Option<String> {
        let located = locate(store.bytes().map(Ok), key).unwrap()?;
        let range = located.range.start as usize..located.range.end as usize;
        assert_eq!(store.as_bytes()[range], located.text, "range and text agree");
        Some(String::from_utf8(located.text).unwrap())
    }

    #[test]
    fn finds_the_row_and_nothing_that_looks_like_it() {
        let store =
            r#"{ "x": {"k": {"a":1}}, "s": "\"k\": {", "k" : { "b": [1, "}"] } , "z": {} }"#;
        assert_eq!(find(store, "k").unwrap(), r#"{ "b": [1, "}"] }"#);
        assert_eq!(find(store, "z").unwrap(), "{}");
        assert_eq!(find(store, "a"), None);
        assert_eq!(find(store, "s"), None);
    }

    #[test]
    fn a_key_may_be_written_with_escapes() {
        assert_eq!(find(r#"{"\u006b\n": {"b":1}}"#, "k\n").unwrap(), r#"{"b":1}"#);
    }

    #[test]
    fn a_broken_or_doubtful_store_is_refused() {
        for store in [r#"{"k": {"#, r#"{"k": {}}}"#, r#"{"k": {}, "k": {}}"#, r#"{"k": {"a":""#] {
            assert!(locate(store.bytes().map(Ok), "k").is_err(), "{store}");
        }
    }

    #[test]
    fn a_row_of_another_shape_is_no_object() {
        assert_eq!(find(r#"{"k": 5, "j": "x"}"#, "k"), None);
        assert_eq!(find(r#"[{"k": {}}]"#, "k"), None);
        assert_eq!(find("", "k"), None);
    }
}
