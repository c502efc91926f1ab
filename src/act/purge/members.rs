//! Takes one member out of a JSON object, or puts it back, and leaves every other byte as it is.

use std::ops::Range;

use serde::de::IgnoredAny;

/// Deepest nesting that is followed.
const DEPTH_MAX: usize = 128;

/// What is left of a text, and the member that was taken out of it.
type Taken = (Vec<u8>, Vec<u8>);

/// Returns `json` without the member at `path`, and that member as it was written; `None` if it is
/// not there.
///
/// # Errors
///
/// Returns the reason, for people, if the text is no JSON, a place on the way is no object, or a key
/// is there twice.
pub(super) fn take(json: &[u8], path: &[String]) -> Result<Option<Taken>, String> {
    let Some((object, at)) = find(json, path)? else { return Ok(None) };
    let member = object.members[at].clone();
    // With the comma before it, else with the one after it.
    let range = match (at.checked_sub(1), object.members.get(at + 1)) {
        (Some(before), _) => object.members[before].end..member.end,
        (None, Some(next)) => member.start..next.start,
        (None, None) => member.clone(),
    };
    let after = [&json[..range.start], &json[range.end..]].concat();
    check(&after)?;
    Ok(Some((after, json[member].to_vec())))
}

/// Returns `json` with `member` (key and value, as it was written) as the last one of the object that
/// `path` leads to, its last part left out; `None` if a member of that name is there.
///
/// # Errors
///
/// As [`take`], and if that object is not there.
pub(super) fn put(json: &[u8], path: &[String], member: &[u8]) -> Result<Option<Vec<u8>>, String> {
    if find(json, path)?.is_some() {
        return Ok(None);
    }
    let (_, parents) = path.split_last().ok_or("no place was named")?;
    let mut object = object(json, start(json))?;
    for key in parents {
        let at = object.named(json, key)?.ok_or("the object that it belongs to is gone")?;
        object = self::object(json, value_of(json, &object.members[at])?)?;
    }
    let (place, comma): (usize, &[u8]) = match object.members.last() {
        Some(last) => (last.end, b","),
        None => (object.open + 1, b""),
    };
    let after = [&json[..place], comma, member, &json[place..]].concat();
    check(&after)?;
    Ok(Some(after))
}

fn check(json: &[u8]) -> Result<(), String> {
    serde_json::from_slice::<IgnoredAny>(json)
        .map(drop)
        .map_err(|error| format!("no JSON: {error}"))
}

/// An object, with the place of each member: from its key to behind its value.
struct Object {
    open: usize,
    members: Vec<Range<usize>>,
}

impl Object {
    /// Returns which member has this name.
    fn named(&self, json: &[u8], key: &str) -> Result<Option<usize>, String> {
        let mut found = None;
        for (at, member) in self.members.iter().enumerate() {
            let name = &json[member.start..string(json, member.start)?];
            if serde_json::from_slice::<String>(name).is_ok_and(|name| name == key) {
                if found.is_some() {
                    return Err(format!("the key `{key}` is there twice"));
                }
                found = Some(at);
            }
        }
        Ok(found)
    }
}

/// Returns the object that has the member at `path`, and which one that is.
fn find(json: &[u8], path: &[String]) -> Result<Option<(Object, usize)>, String> {
    check(json)?;
    let mut at = start(json);
    let mut found = None;
    for key in path {
        let object = object(json, at)?;
        let Some(member) = object.named(json, key)? else { return Ok(None) };
        at = value_of(json, &object.members[member])?;
        found = Some((object, member));
    }
    Ok(found)
}

fn start(json: &[u8]) -> usize {
    space(json, 0)
}

/// Reads the object that begins at `open`.
fn object(json: &[u8], open: usize) -> Result<Object, String> {
    if json.get(open) != Some(&b'{') {
        return Err("what should hold it is no object".to_owned());
    }
    let (mut members, mut at) = (Vec::new(), space(json, open + 1));
    while json.get(at) == Some(&b'"') {
        let value = value_of(json, &(at..json.len()))?;
        let end = value_end(json, value)?;
        members.push(at..end);
        at = space(json, end);
        if json.get(at) == Some(&b',') {
            at = space(json, at + 1);
        }
    }
    Ok(Object { open, members })
}

/// Where the value of a member begins.
fn value_of(json: &[u8], member: &Range<usize>) -> Result<usize, String> {
    let colon = space(json, string(json, member.start)?);
    match json.get(colon) {
        Some(b':') => Ok(space(json, colon + 1)),
        _ => Err(broken()),
    }
}

/// Where the string that begins at `at` is over.
fn string(json: &[u8], at: usize) -> Result<usize, String> {
    let mut escaped = false;
    for (end, byte) in json.iter().enumerate().skip(at + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Ok(end + 1),
            _ => {}
        }
    }
    Err(broken())
}

fn value_end(json: &[u8], start: usize) -> Result<usize, String> {
    let (mut at, mut depth) = (start, 0_usize);
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => at = string(json, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                at += 1;
            }
            b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t' if depth == 0 => return Ok(at),
            _ => at += 1,
        }
        if depth > DEPTH_MAX {
            return Err("it is nested too deeply".to_owned());
        }
        if depth == 0 && matches!(byte, b'"' | b'}' | b']') {
            return Ok(at);
        }
    }
    if depth == 0 && at > start { Ok(at) } else { Err(broken()) }
}

fn space(json: &[u8], at: usize) -> usize {
    let rest = json.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count()
}

fn broken() -> String {
    "it ends in the middle".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(path: &[&str]) -> Vec<String> {
        path.iter().map(|&part| part.to_owned()).collect()
    }

    /// Takes the member out and puts it back.
    #[track_caller]
    fn check(json: &str, at: &[&str], after: &str, back: &str) {
        let at = path(at);
        let (got, member) = take(json.as_bytes(), &at).unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&got), after);
        let put = put(&got, &at, &member).unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&put), back);
    }

    #[test]
    fn one_member_goes_and_every_other_byte_stays() {
        check(
            "{\n  \"a\": {\"x\": \"}\\\"\"},\n  \"b\": [1, {\"c\": 2}] ,\n  \"c\": null\n}\n",
            &["b"],
            "{\n  \"a\": {\"x\": \"}\\\"\"} ,\n  \"c\": null\n}\n",
            "{\n  \"a\": {\"x\": \"}\\\"\"} ,\n  \"c\": null,\"b\": [1, {\"c\": 2}]\n}\n",
        );
        check(r#"{"a":1,"b":2}"#, &["a"], r#"{"b":2}"#, r#"{"b":2,"a":1}"#);
        check(r#"{ "a":1 }"#, &["a"], "{  }", r#"{"a":1  }"#);
        check(
            r#"{"version":2,"runs":{"r":{"endedAt":5},"s":{}}}"#,
            &["runs", "r"],
            r#"{"version":2,"runs":{"s":{}}}"#,
            r#"{"version":2,"runs":{"s":{},"r":{"endedAt":5}}}"#,
        );
        check(
            r#"{"k\u0041":-1.5e3,"z":""}"#,
            &["kA"],
            r#"{"z":""}"#,
            r#"{"z":"","k\u0041":-1.5e3}"#,
        );
    }

    #[test]
    fn what_is_not_there_is_not_taken_and_what_is_there_is_not_put_over() {
        assert_eq!(take(br#"{"a":{"b":1}}"#, &path(&["b"])), Ok(None));
        assert_eq!(take(br#"{"a":{"b":1}}"#, &path(&["c", "b"])), Ok(None));
        assert_eq!(put(br#"{"a":1}"#, &path(&["a"]), br#""a":2"#), Ok(None));
        assert!(put(br#"{"a":1}"#, &path(&["runs", "r"]), br#""r":2"#).is_err());
    }

    #[test]
    fn what_is_broken_or_doubtful_is_refused() {
        for json in ["", "[]", "{", r#"{"a":1,"a":2}"#, r#"{"a":1}}"#, r#"{"a""#, "{a:1}"] {
            assert!(take(json.as_bytes(), &path(&["a"])).is_err(), "{json}");
        }
        assert!(take(br#"{"a":5}"#, &path(&["a", "b"])).is_err());
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert!(take(deep.as_bytes(), &path(&["a"])).is_err());
    }
}
