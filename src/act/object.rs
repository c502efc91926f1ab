//! One JSON object as text: where its members stand, and how it is edited without touching any
//! other byte.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Most members. The richest objects that are edited have about a hundred.
const MEMBERS_MAX: usize = 10_000;

/// The text of one object, and its members in their order.
pub(super) struct Object<'a> {
    text: &'a [u8],
    members: Vec<Member>,
}

/// One member.
pub(super) struct Member {
    name: String,
    /// The place of its value.
    value: Range<usize>,
}

/// The white space around a member.
#[derive(Clone, Copy)]
pub(super) struct Layout<'a> {
    /// Before its name.
    pub before: &'a [u8],
    /// Between its name and its value, with the colon.
    pub between: &'a [u8],
}

impl<'a> Object<'a> {
    /// Reads `text`, which must be one object and nothing else.
    ///
    /// # Errors
    ///
    /// Returns why it is none.
    pub(super) fn read(text: &'a [u8]) -> Result<Object<'a>, String> {
        let mut reader = serde_json::Deserializer::from_slice(text);
        let members = reader.deserialize_map(Members(text));
        let members = members.and_then(|members| reader.end().map(|()| members));
        Ok(Object { text, members: members.map_err(|error| error.to_string())? })
    }

    /// Returns the member of that name.
    ///
    /// # Errors
    ///
    /// Returns an error if it is there twice: readers do not agree which one counts.
    pub(super) fn one(&self, name: &str) -> Result<Option<&Member>, String> {
        let mut found = self.members.iter().filter(|member| member.name == name);
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(format!("`{name}` is there twice")),
            (first, None) => Ok(first),
        }
    }

    /// Returns the last member; `None` if there is none.
    pub(super) fn last(&self) -> Option<&Member> {
        self.members.last()
    }

    /// Returns the text of a member's value.
    pub(super) fn value(&self, member: &Member) -> &'a [u8] {
        &self.text[member.value.clone()]
    }

    /// Returns how a member is laid out; `None` if its name is written with escapes.
    pub(super) fn layout(&self, member: &Member) -> Option<Layout<'a>> {
        let quoted = format!("\"{}\"", member.name);
        let head = &self.text[..member.value.start];
        let colon = head.iter().rposition(|byte| *byte == b':')?;
        let key_end = colon - blanks_before(&head[..colon]);
        let key_start = key_end.checked_sub(quoted.len())?;
        if &head[key_start..key_end] != quoted.as_bytes() {
            return None;
        }
        let before = &head[key_start - blanks_before(&head[..key_start])..key_start];
        Some(Layout { before, between: &head[key_end..] })
    }

    /// Returns the text with other values in the place of those of `edits`, each of another
    /// member.
    pub(super) fn with(&self, mut edits: Vec<(&Member, Vec<u8>)>) -> Vec<u8> {
        edits.sort_by_key(|(member, _)| member.value.start);
        let (mut edited, mut at) = (Vec::with_capacity(self.text.len() + 256), 0);
        for (member, value) in edits {
            edited.extend_from_slice(&self.text[at..member.value.start]);
            edited.extend_from_slice(&value);
            at = member.value.end;
        }
        edited.extend_from_slice(&self.text[at..]);
        edited
    }
}

impl Layout<'_> {
    /// Returns the text of a member, laid out so.
    pub(super) fn member(self, name: &str, value: &[u8]) -> Vec<u8> {
        [self.before, format!("\"{name}\"").as_bytes(), self.between, value].concat()
    }
}

fn blanks_before(text: &[u8]) -> usize {
    text.iter().rev().take_while(|byte| byte.is_ascii_whitespace()).count()
}

struct Members<'a>(&'a [u8]);

impl<'de> Visitor<'de> for Members<'de> {
    type Value = Vec<Member>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Member>, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
            if members.len() == MEMBERS_MAX {
                return Err(A::Error::custom(format!("it has more than {MEMBERS_MAX} members")));
            }
            let start = value.get().as_ptr() as usize - self.0.as_ptr() as usize;
            members.push(Member { name, value: start..start + value.get().len() });
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_object_and_nothing_else_is_read() {
        for text in ["", "[]", "1", "{", "{} {}", "{}x", r#"{"a":}"#, r#"{"a":1,}"#, "\u{feff}{}"] {
            assert!(Object::read(text.as_bytes()).is_err(), "{text}");
        }
        for text in ["{}", " {\"a\": 1}\n"] {
            assert!(Object::read(text.as_bytes()).is_ok(), "{text}");
        }
    }

    #[test]
    fn neither_depth_nor_number_of_members_is_a_danger() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        let read = Object::read(deep.as_bytes());
        assert!(read.is_err() || read.is_ok_and(|object| object.members.len() == 1));
        let many = format!("{{{}\"b\":1}}", "\"a\":1,".repeat(MEMBERS_MAX));
        assert!(Object::read(many.as_bytes()).is_err_and(|why| why.contains("members")));
    }

    #[test]
    fn a_member_that_is_there_twice_is_none() {
        let object = Object::read(br#"{"a":1,"b":{"a":2},"\u0061":3}"#).unwrap();
        assert!(object.one("a").is_err());
        assert_eq!(object.value(object.one("b").unwrap().unwrap()), br#"{"a":2}"#);
        assert!(object.one("c").unwrap().is_none());
    }
}
