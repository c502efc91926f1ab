//! Edits the text of a record and leaves every other byte of it as it is.

use crate::act::object::{Layout, Object};
use crate::model::UnixMillis;

/// Marks a record as closed; `None` if it is that already. What is missing is laid out as `closed`
/// is, and follows it.
///
/// # Errors
///
/// Returns why the record cannot be edited: not one object, of another session, a member twice, or
/// one of an unknown shape.
pub(super) fn close(
    text: &[u8],
    record_id: &str,
    at: UnixMillis,
) -> Result<Option<Vec<u8>>, String> {
    let record = Object::read(text)?;
    let value = |name: &str| Ok::<_, String>(record.one(name)?.map(|found| record.value(found)));
    if value("schema")? != Some(br#""acpx.session.v1""#) {
        return Err("it is no record of a known kind".to_owned());
    }
    let id = value("acpx_record_id")?.map(serde_json::from_slice::<String>);
    if !id.is_some_and(|id| id.is_ok_and(|id| id == record_id)) {
        return Err("it is the record of another session".to_owned());
    }
    let closed = record.one("closed")?.ok_or("it has no `closed`")?;
    match record.value(closed) {
        b"true" => return Ok(None),
        b"false" => {}
        _ => return Err("its `closed` is of an unknown shape".to_owned()),
    }

    let layout = record.layout(closed).ok_or("its `closed` is written in an unknown way")?;
    let mut end = b"true".to_vec();
    let mut edits = Vec::new();
    for (name, new) in
        [("closed_at", closed_at(value("closed_at")?, at)), ("acpx", acpx(value("acpx")?, layout))]
    {
        let new = new.map_err(|why| format!("`{name}`: {why}"))?;
        match record.one(name)? {
            Some(member) => edits.push((member, new)),
            None => end.extend([b",", layout.member(name, &new).as_slice()].concat()),
        }
    }
    edits.push((closed, end));
    Ok(Some(record.with(edits)))
}

const UNKNOWN: &str = "it is of an unknown shape";

/// One that is there stays.
fn closed_at(old: Option<&[u8]>, at: UnixMillis) -> Result<Vec<u8>, String> {
    match old {
        None | Some(b"null") => Ok(format!("\"{at}\"").into_bytes()),
        Some(old @ [b'"', ..]) => Ok(old.to_vec()),
        Some(_) => Err(UNKNOWN.to_owned()),
    }
}

/// `acpx` with `reset_on_next_ensure`, where the members beside it are laid out as `outer`.
fn acpx(old: Option<&[u8]>, outer: Layout<'_>) -> Result<Vec<u8>, String> {
    const NAME: &str = "reset_on_next_ensure";
    let old = old.unwrap_or(b"{}");
    let acpx = Object::read(old).map_err(|why| format!("{UNKNOWN}: {why}"))?;
    if let Some(member) = acpx.one(NAME)? {
        return match acpx.value(member) {
            b"true" | b"false" => Ok(acpx.with(vec![(member, b"true".to_vec())])),
            _ => Err(UNKNOWN.to_owned()),
        };
    }
    let Some(last) = acpx.last() else {
        // One level deeper than `acpx` itself, as `JSON.stringify` indents.
        let indent = outer.before.strip_prefix(b"\n").unwrap_or_default();
        let inner = Layout { before: &[outer.before, indent].concat(), ..outer };
        return Ok([b"{", inner.member(NAME, b"true").as_slice(), outer.before, b"}"].concat());
    };
    let layout = acpx.layout(last).unwrap_or(outer);
    let end = [acpx.value(last), b",", layout.member(NAME, b"true").as_slice()].concat();
    Ok(acpx.with(vec![(last, end)]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const AT: UnixMillis = UnixMillis(1_795_159_292_734);

    fn closed(text: &str) -> Result<Option<String>, String> {
        let after = close(text.as_bytes(), "r", AT)?;
        Ok(after.map(|after| String::from_utf8(after).unwrap()))
    }

    /// Both of a record that says what one says, and `before` or `after`.
    #[track_caller]
    fn check(before: &str, after: &str) {
        let record =
            |rest: &str| format!(r#"{{"schema":"acpx.session.v1","acpx_record_id":"r",{rest}}}"#);
        assert_eq!(closed(&record(before)), Ok(Some(record(after))));
    }

    #[test]
    fn closes_in_the_layout_of_the_record_and_keeps_every_other_byte() {
        check(
            "\n  \"closed\": false,\n  \"a\" : [ 1,2 ],\n  \"acpx\": {}\n",
            "\n  \"closed\": true,\n  \"closed_at\": \"2026-11-20T07:21:32.734Z\",\n  \"a\" : [ 1,2 ],\n  \
             \"acpx\": {\n    \"reset_on_next_ensure\": true\n  }\n",
        );
        check(
            r#""closed":false,"acpx":{}"#,
            r#""closed":true,"closed_at":"2026-11-20T07:21:32.734Z","acpx":{"reset_on_next_ensure":true}"#,
        );
        check(
            r#""acpx" : { "a": 1 } , "closed" : false"#,
            r#""acpx" : { "a": 1, "reset_on_next_ensure": true } , "closed" : true, "closed_at" : "2026-11-20T07:21:32.734Z""#,
        );
    }

    #[test]
    fn what_is_there_stays_or_is_set() {
        check(
            r#""closed":false,"closed_at":null,"acpx":{"reset_on_next_ensure":false,"b":2}"#,
            r#""closed":true,"closed_at":"2026-11-20T07:21:32.734Z","acpx":{"reset_on_next_ensure":true,"b":2}"#,
        );
        check(
            r#""closed_at":"earlier","closed":false,"acpx":{"reset_on_next_ensure":true}"#,
            r#""closed_at":"earlier","closed":true,"acpx":{"reset_on_next_ensure":true}"#,
        );
        check(
            r#""closed":false"#,
            r#""closed":true,"closed_at":"2026-11-20T07:21:32.734Z","acpx":{"reset_on_next_ensure":true}"#,
        );
    }

    #[test]
    fn text_that_looks_like_a_member_is_none() {
        check(
            r#""m":["\"closed\":false",{"closed":false,"acpx":{}}],"closed":false,"closed_at":"x","acpx":{"reset_on_next_ensure":true}"#,
            r#""m":["\"closed\":false",{"closed":false,"acpx":{}}],"closed":true,"closed_at":"x","acpx":{"reset_on_next_ensure":true}"#,
        );
    }

    #[test]
    fn a_closed_record_needs_nothing() {
        let text = r#"{"schema":"acpx.session.v1","acpx_record_id":"r","closed":true}"#;
        assert_eq!(closed(text), Ok(None));
    }

    #[test]
    fn a_doubtful_record_is_refused() {
        let good = r#"{"schema":"acpx.session.v1","acpx_record_id":"r","closed":false,"acpx":{}}"#;
        assert!(closed(good).is_ok_and(|after| after.is_some()));
        for (from, to) in [
            ("acpx.session.v1", "acpx.session.v2"),
            (r#""schema":"acpx.session.v1","#, ""),
            (r#""r""#, r#""other""#),
            (r#""r""#, "7"),
            (r#""acpx_record_id":"r","#, ""),
            ("false", r#""false""#),
            ("false", "0"),
            ("false", "null"),
            (r#""closed":false,"#, ""),
            (r#""closed""#, r#""c\u006cosed""#),
            (r#""closed":false"#, r#""closed":false,"closed":false"#),
            (r#""closed":false"#, r#""closed":false,"closed":true"#),
            (r#""closed":false"#, r#""closed":false,"closed_at":1"#),
            (r#""closed":false"#, r#""closed":false,"closed_at":null,"closed_at":null"#),
            (r#""r""#, r#""r","acpx_record_id":"r""#),
            ("{}", "null"),
            ("{}", "[]"),
            ("{}", r#"{"reset_on_next_ensure":1}"#),
            ("{}", r#"{"reset_on_next_ensure":false,"reset_on_next_ensure":false}"#),
            ("{}}", "{}"),
            ("{}}", "{}}{}"),
            ("{}}", "{}}]"),
            ("{\"schema", "[{\"schema"),
        ] {
            let text = good.replacen(from, to, 1);
            assert_ne!(text, good, "{from}");
            assert!(closed(&text).is_err(), "{text}");
        }
        let text = [good.as_bytes(), b"\xff"].concat();
        assert!(close(&text, "r", AT).is_err());
    }

    proptest! {
        #[test]
        fn only_what_it_says_is_changed(
            texts in proptest::collection::vec(".*", 4),
            (is_pretty, at, acpx) in (any::<bool>(), 0..5_usize, 0..3_usize),
        ) {
            let acpx = [None, Some(json!({})), Some(json!({ "mode": texts[3] }))][acpx].clone();
            let mut members = vec![
                ("schema", json!("acpx.session.v1")),
                ("acpx_record_id", json!(texts[0])),
                ("messages", json!([{ "closed": false, "text": texts[1] }])),
                ("title", json!(texts[2])),
            ];
            members.insert(at, ("closed", json!(false)));
            members.extend(acpx.map(|acpx| ("acpx", acpx)));
            let before: Value =
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let text = if is_pretty {
                serde_json::to_string_pretty(&before).unwrap()
            } else {
                before.to_string()
            };

            let after = close(text.as_bytes(), &texts[0], AT).unwrap().unwrap();
            let after: Value = serde_json::from_slice(&after).unwrap();
            let mut want = before;
            want["closed"] = json!(true);
            want["closed_at"] = json!("2026-11-20T07:21:32.734Z");
            want["acpx"]["reset_on_next_ensure"] = json!(true);
            prop_assert_eq!(after, want);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = close(&bytes, "r", AT);
        }
    }
}
