//! Frames, as far as anybody here looks at them.
//!
//! What a frame carries is borrowed from it and skipped, not built: of an event that holds text of a
//! message, only its name, its stream and whose run it is are looked at.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::format::Loose;

/// A request.
#[derive(Serialize)]
pub(super) struct Request<'a, P> {
    pub(super) r#type: &'static str,
    pub(super) id: &'a str,
    pub(super) method: &'a str,
    pub(super) params: P,
}

/// Something the gateway said.
#[derive(Debug)]
pub(super) enum Frame<'a> {
    /// The answer to a request.
    Answer {
        id: Cow<'a, str>,
        is_ok: bool,
        payload: Option<&'a RawValue>,
        error: Option<&'a RawValue>,
    },
    /// An event; `seq` counts those that are sent to everyone.
    Event { name: Cow<'a, str>, seq: Option<i64>, payload: Option<&'a RawValue> },
    /// Anything else that is JSON.
    Other,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    r#type: Loose<'a>,
    #[serde(borrow, default)]
    id: Loose<'a>,
    #[serde(borrow, default)]
    ok: Loose<'a>,
    #[serde(borrow, default)]
    event: Loose<'a>,
    #[serde(borrow, default)]
    seq: Loose<'a>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// Reads one frame; `None` if it is no JSON object.
pub(super) fn read(text: &str) -> Option<Frame<'_>> {
    if !text.starts_with('{') {
        return None;
    }
    let frame: Envelope<'_> = serde_json::from_str(text).ok()?;
    Some(match frame.r#type.text().as_deref() {
        Some("res") => {
            let Some(id) = frame.id.text() else { return Some(Frame::Other) };
            let is_ok = frame.ok == Loose::Bool(true);
            Frame::Answer { id, is_ok, payload: frame.payload, error: frame.error }
        }
        Some("event") => {
            let Some(name) = frame.event.text() else { return Some(Frame::Other) };
            let seq = frame.seq.integer();
            let seq = if let crate::model::Field::Value(seq) = seq { Some(seq) } else { None };
            Frame::Event { name, seq, payload: frame.payload }
        }
        _ => Frame::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_and_an_event_are_told_apart() {
        let text = r#"{"type":"res","id":"a","ok":true,"payload":{"x":1}}"#;
        let Some(Frame::Answer { id, is_ok: true, payload, error: None }) = read(text) else {
            panic!("{text}");
        };
        assert_eq!((&*id, payload.unwrap().get()), ("a", r#"{"x":1}"#));
        let text = r#"{"type":"event","event":"tick","payload":{},"seq":3}"#;
        assert!(matches!(read(text), Some(Frame::Event { seq: Some(3), .. })));
    }

    #[test]
    fn what_is_no_frame_is_no_frame() {
        for text in ["", "7", "[]", "{", "null", "\u{0}", "{\"type\":\"res\"", "<html>"] {
            assert!(read(text).is_none(), "{text}");
        }
        for text in ["{}", r#"{"type":7}"#, r#"{"type":"res","id":7}"#, r#"{"type":"event"}"#] {
            assert!(matches!(read(text), Some(Frame::Other)), "{text}");
        }
    }

    #[test]
    fn depth_costs_no_stack_and_half_a_surrogate_no_frame() {
        let deep = "[".repeat(2_000_000) + &"]".repeat(2_000_000);
        let text = format!(r#"{{"type":"event","event":"chat","payload":{deep}}}"#);
        assert!(matches!(read(&text), Some(Frame::Event { .. })));
        assert!(read(&deep).is_none());
        let text = r#"{"type":"event","event":"chat","payload":{"text":"\ud83d"}}"#;
        assert!(matches!(read(text), Some(Frame::Event { .. })));
    }
}
