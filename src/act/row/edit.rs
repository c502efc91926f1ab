//! Edits the text of one row and leaves every other byte of it as it is.

use crate::act::object::Object;

/// Writes the end of a run into a row: status `failed`, and `endedAt` and `runtimeMs` where they
/// are missing. New members are laid out as `status` is.
///
/// # Errors
///
/// Returns why the row cannot be edited: no object, no `status`, or a member twice.
pub(super) fn settle(text: &[u8], ended_at: i64, runtime_ms: i64) -> Result<Vec<u8>, String> {
    let row = Object::read(text)?;
    let status = row.one("status")?.ok_or("it has no `status`")?;
    let layout = row.layout(status).ok_or("its `status` is written in an unknown way")?;

    let mut end = br#""failed""#.to_vec();
    for (name, value) in [("endedAt", ended_at), ("runtimeMs", runtime_ms)] {
        if row.one(name)?.is_none() {
            end.push(b',');
            end.extend(layout.member(name, value.to_string().as_bytes()));
        }
    }
    Ok(row.with(vec![(status, end)]))
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
