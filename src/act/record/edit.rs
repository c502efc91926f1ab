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
