//! Edits the text of one row and leaves every other byte of it as it is.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Writes the end of a run into a row: status `failed`, and `endedAt` and `runtimeMs` where they
/// are missing. New members are laid out as `status` is.
///
/// # Errors
///
/// Returns why the row cannot be edited: no object, no `status`, or a member twice.
pub(super) fn settle(text: &[u8], ended_at: i64, runtime_ms: i64) -> Result<Vec<u8>, String> {
    let members = members(text)?;
    let one = |name: &str| {
        let mut found = members.iter().filter(|member| member.name == name);
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(format!("`{name}` is there twice")),
            (first, None) => Ok(first),
        }
    };
    let status = one("status")?.ok_or("it has no `status`")?;
    let layout = Layout::of(text, status).ok_or("its `status` is written in an unknown way")?;

    let mut edited = text[..status.value.start].to_vec();
    edited.extend_from_slice(br#""failed""#);
    for (name, value) in [("endedAt", ended_at), ("runtimeMs", runtime_ms)] {
        if one(name)?.is_none() {
            edited.push(b',');
            edited.extend_from_slice(layout.before);
            edited.extend_from_slice(format!("\"{name}\"").as_bytes());
            edited.extend_from_slice(layout.between);
            edited.extend_from_slice(value.to_string().as_bytes());
        }
    }
    edited.extend_from_slice(&text[status.value.end..]);
    Ok(edited)
}

struct Member {
    name: String,
    value: Range<usize>,
}

/// The white space around a member.
struct Layout<'a> {
    before: &'a [u8],
    between: &'a [u8],
}

impl<'a> Layout<'a> {
    fn of(text: &'a [u8], member: &Member) -> Option<Layout<'a>> {
        let quoted = format!("\"{}\"", member.name);
        let head = &text[..member.value.start];
        let colon = head.iter().rposition(|byte| *byte == b':')?;
        let key_end = colon - blanks_before(&head[..colon]);
        let key_start = key_end.checked_sub(quoted.len())?;
        if &head[key_start..key_end] != quoted.as_bytes() {
            return None;
        }
        let before = &head[key_start - blanks_before(&head[..key_start])..key_start];
        Some(Layout { before, between: &head[key_end..] })
    }
}

fn blanks_before(text: &[u8]) -> usize {
    text.iter().rev().take_while(|byte| byte.is_ascii_whitespace()).count()
}

fn members(text: &[u8]) -> Result<Vec<Member>, String> {
    struct Members<'a>(&'a [u8]);

    impl<'de> Visitor<'de> for Members<'de> {
        type Value = Vec<Member>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Member>, A::Error> {
            let mut members = Vec::new();
            while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                let start = value.get().as_ptr() as usize - self.0.as_ptr() as usize;
                members.push(Member { name, value: start..start + value.get().len() });
            }
            Ok(members)
        }
    }

    let mut reader = serde_json::Deserializer::from_slice(text);
    reader.deserialize_map(Members(text)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &str, after: &str) {
        let edited = settle(before.as_bytes(), 20, 15).unwrap();
        assert_eq!(String::from_utf8(edited).unwrap(), after);
    }

    #[test]
    fn keeps_order_layout_and_every_other_byte() {
        check(
            "{\n    \"a\": 1,\n    \"status\": \"running\",\n    \"z\": [ ]\n  }",
            "{\n    \"a\": 1,\n    \"status\": \"failed\",\n    \"endedAt\": 20,\n    \"runtimeMs\": 15,\n    \"z\": [ ]\n  }",
        );
        check(r#"{"status":"running"}"#, r#"{"status":"failed","endedAt":20,"runtimeMs":15}"#);
    }

    #[test]
    fn an_end_that_is_there_stays() {
        check(
            r#"{"status":"running","endedAt":7,"runtimeMs":2}"#,
            r#"{"status":"failed","endedAt":7,"runtimeMs":2}"#,
        );
        check(
            r#"{"endedAt":7, "status" : "running"}"#,
            r#"{"endedAt":7, "status" : "failed", "runtimeMs" : 15}"#,
        );
    }

    #[test]
    fn text_that_looks_like_a_member_is_none() {
        check(
            r#"{"x":"\"status\":\"running\"","y":{"status":"running"},"status":"running","endedAt":1,"runtimeMs":1}"#,
            r#"{"x":"\"status\":\"running\"","y":{"status":"running"},"status":"failed","endedAt":1,"runtimeMs":1}"#,
        );
    }

    #[test]
    fn a_doubtful_row_is_refused() {
        for text in [
            "[]",
            "{}",
            r#"{"status":"running","status":"running"}"#,
            r#"{"status":"running","endedAt":1,"endedAt":2}"#,
            r#"{"\u0073tatus":"running"}"#,
            r#"{"status":"running""#,
        ] {
            assert!(settle(text.as_bytes(), 20, 15).is_err(), "{text}");
        }
    }
}
