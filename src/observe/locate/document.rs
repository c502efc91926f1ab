//! Reads a JSON5 document of somebody else, within bounds.

use std::cell::Cell;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Longest file that is read. The gateway itself reads included files up to 2 MiB.
const BYTES_MAX: u64 = 4 << 20;
/// Deepest nesting. The parser recurses once per level, so this bounds its stack.
pub(super) const DEPTH_MAX: usize = 256;
/// Most values in one document: what 4 MiB of `[],[],…` would cost in memory is not.
const VALUES_MAX: usize = 200_000;

/// Reads the file at `path`. `Ok(None)` means that there is none.
///
/// # Errors
///
/// Returns a reason that contains nothing of the file's content: it holds secrets.
pub(super) fn read(path: &Path) -> Result<Option<Value>, String> {
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    parse(text.strip_prefix('\u{feff}').unwrap_or(&text)).map(Some)
}

fn read_text(path: &Path) -> io::Result<String> {
    // A FIFO would block the open for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = String::new();
    File::open(path)?.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(io::Error::other("larger than 4 MiB"));
    }
    Ok(text)
}

/// Parses JSON5 text.
///
/// # Errors
///
/// Returns the kind and place of the error, without the text around it.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let left = Cell::new(VALUES_MAX);
    let mut parser = json5::Deserializer::from_str(text);
    Bounded { depth: DEPTH_MAX, left: &left }
        .deserialize(&mut parser)
        .map_err(|error| format!("not JSON5: {error}"))
}

/// One value, at most `depth` levels deep, of a document with `left` values to go.
#[derive(Clone, Copy)]
struct Bounded<'a> {
    depth: usize,
    left: &'a Cell<usize>,
}

impl Bounded<'_> {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deeply"))?;
        Ok(Bounded { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<Value, D::Error> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| D::Error::custom("too many values"))?);
        parser.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON5 value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            map.insert(key, entries.next_value_seed(inner)?);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_json5_adds_to_json() {
        let value = parse("{ // note\n port: 0x10, 'a': [1, .5, +2,], b: Infinity, }").unwrap();
        assert_eq!(value["port"], 16);
        assert_eq!(value["a"].as_array().unwrap().len(), 3);
        assert_eq!(value["b"], Value::Null);
    }

    #[test]
    fn nesting_is_refused_before_the_stack_ends() {
        for text in ["[".repeat(100_000), "{a:".repeat(100_000), "[{a:".repeat(100_000)] {
            assert!(parse(&text).unwrap_err().contains("nested too deeply"));
        }
        let fits = format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        assert!(parse(&fits).is_ok());
        assert!(parse(&format!("[{fits}]")).is_err());
    }

    #[test]
    fn a_flood_of_values_is_refused() {
        assert!(parse(&format!("[{}]", "[],".repeat(VALUES_MAX))).unwrap_err().contains("values"));
    }

    #[test]
    fn an_error_tells_nothing_of_the_content() {
        let reason = parse("{ token: 'hunter2' oops }").unwrap_err();
        assert!(!reason.contains("hunter2") && !reason.contains("oops"), "{reason}");
    }

    #[test]
    fn what_is_no_text_is_an_error_and_what_is_absent_is_none() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(&dir.path().join("none")), Ok(None));
        assert!(read(dir.path()).is_err());
        std::fs::write(dir.path().join("bin"), [0xff, 0xfe]).unwrap();
        assert!(read(&dir.path().join("bin")).is_err());
    }
}
