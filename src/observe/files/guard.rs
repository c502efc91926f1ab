//! Bounds what a streaming parser would otherwise keep of a hostile file.

use std::io::{self, Read};

/// Deepest nesting that is read. The parser keeps one byte for each level of what it skips.
const DEPTH_MAX: u32 = 1 << 16;

/// Longest text that is read: the parser keeps the whole of a name. Prompts have up to 100 kB.
const TEXT_BYTES_MAX: usize = 4 << 20;

/// A reader of JSON that fails where the text is not UTF-8, nests too deeply, or has a string
/// that is too long.
pub(in crate::observe) struct Guard<R> {
    inner: R,
    depth: u32,
    /// Bytes of the string that is being read, if one is.
    text: Option<usize>,
    is_escaped: bool,
    /// The first bytes of a character that the last read cut.
    cut: Vec<u8>,
}

impl<R: Read> Guard<R> {
    /// Guards `inner`.
    pub(in crate::observe) fn new(inner: R) -> Guard<R> {
        Guard { inner, depth: 0, text: None, is_escaped: false, cut: Vec::new() }
    }
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let chunk = buffer.get(..count).unwrap_or_default();
        self.check_utf8(chunk).map_err(invalid)?;
        self.check_shape(chunk).map_err(invalid)?;
        Ok(count)
    }
}

impl<R> Guard<R> {
    fn check_shape(&mut self, chunk: &[u8]) -> Result<(), &'static str> {
        for &byte in chunk {
            match &mut self.text {
                Some(length) => {
                    *length += 1;
                    if *length > TEXT_BYTES_MAX {
                        return Err("a string of more than 4 MiB");
                    }
                    if byte < b' ' {
                        return Err("a control character in a string");
                    }
                    if self.is_escaped {
                        self.is_escaped = false;
                    } else if byte == b'\\' {
                        self.is_escaped = true;
                    } else if byte == b'"' {
                        self.text = None;
                    }
                }
                None => match byte {
                    b'"' => self.text = Some(0),
                    b'[' | b'{' => self.depth += 1,
                    b']' | b'}' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                },
            }
            if self.depth > DEPTH_MAX {
                return Err("nested more than 65536 deep");
            }
        }
        Ok(())
    }

    fn check_utf8(&mut self, mut chunk: &[u8]) -> Result<(), &'static str> {
        while !self.cut.is_empty()
            && let Some((&first, rest)) = chunk.split_first()
        {
            chunk = rest;
            self.cut.push(first);
            match cut_character(&self.cut) {
                Ok([]) => self.cut.clear(),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
        if self.cut.is_empty() {
            self.cut.extend(cut_character(chunk)?);
        }
        Ok(())
    }
}

/// Returns the bytes of an unfinished character at the end of `text`.
fn cut_character(text: &[u8]) -> Result<&[u8], &'static str> {
    match std::str::from_utf8(text) {
        Ok(_) => Ok(&[]),
        Err(error) if error.error_len().is_none() => {
            Ok(text.get(error.valid_up_to()..).unwrap_or_default())
        }
        Err(_) => Err("not UTF-8"),
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes one at a time, so that every character and escape is cut somewhere.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(1);
            let (first, rest) = self.0.split_at(count);
            buffer[..count].copy_from_slice(first);
            self.0 = rest;
            Ok(count)
        }
    }

    #[track_caller]
    fn check(text: &[u8], want: Result<(), &str>) {
        let mut bytes = Vec::new();
        let whole = Guard::new(text).read_to_end(&mut bytes).map(drop);
        let drip = Guard::new(Drip(text)).read_to_end(&mut bytes).map(drop);
        for got in [whole, drip] {
            assert_eq!(got.map_err(|error| error.to_string()), want.map_err(str::to_owned));
        }
    }

    #[test]
    fn passes_what_a_gateway_writes() {
        check("{\"grüße 🎉\":{\"a\":[\"\\\"[[[\\\\\"]}}".as_bytes(), Ok(()));
    }

    #[test]
    fn stops_at_what_is_not_utf8() {
        check(b"{\"a\xff\":1}", Err("not UTF-8"));
        check(b"{\"a\xc3\":1}", Err("not UTF-8"));
        check(b"{\"\xed\xa0\x80\":1}", Err("not UTF-8"));
    }

    #[test]
    fn stops_at_a_depth_no_gateway_reaches_but_not_at_brackets_in_text() {
        let deepest = DEPTH_MAX as usize;
        check("[".repeat(deepest).as_bytes(), Ok(()));
        check("[".repeat(deepest + 1).as_bytes(), Err("nested more than 65536 deep"));
        check("[]".repeat(deepest).as_bytes(), Ok(()));
        check(format!("\"{}\"", "[".repeat(deepest + 1)).as_bytes(), Ok(()));
    }

    #[test]
    fn stops_at_an_endless_string() {
        let longest = "a".repeat(TEXT_BYTES_MAX - 1);
        check(format!("\"{longest}\"").as_bytes(), Ok(()));
        check(format!("\"{longest}aa\"").as_bytes(), Err("a string of more than 4 MiB"));
    }
}
