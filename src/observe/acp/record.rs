//! One session record of acpx.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;

use super::pid_of;
use crate::format::Loose;
use crate::model::{RecordMode, SessionKey, UnixMillis};

const SCHEMA: &str = "acpx.session.v1";

/// Most text of one record that is kept. The gateway's records have about 500 bytes.
const TEXT_BYTES_MAX: usize = 2048;

/// What a record says; where it is, is not known here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Content {
    pub(super) record_id: String,
    pub(super) session_key: SessionKey,
    pub(super) backing_id: Option<String>,
    pub(super) mode: RecordMode,
    pub(super) command: String,
    pub(super) cwd: PathBuf,
    pub(super) pid: Option<i32>,
    pub(super) agent_started_at: Option<UnixMillis>,
    pub(super) is_closed: bool,
    pub(super) closed_at: Option<UnixMillis>,
}

/// Reads a record. `Ok(None)`: its schema is another one, or it has none.
///
/// Unknown fields are ignored, of a repeated one the last counts, as in JavaScript. A field that
/// only some judgements need is `None` where it has no usable shape.
///
/// # Errors
///
/// Returns the reason, without quoting the file: it is no JSON object, or a record of this schema
/// without one of the fields that acpx itself insists on (2026.4.15 to 2026.7.1).
pub(super) fn parse(json: &[u8]) -> Result<Option<Content>, String> {
    let text = std::str::from_utf8(json).map_err(|_| "not UTF-8".to_owned())?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let fields = deserializer.deserialize_map(Fields::default()).map_err(why)?;
    deserializer.end().map_err(why)?;
    fields.into_content()
}

fn why(error: serde_json::Error) -> String {
    match error.classify() {
        Category::Data => "not a session record".to_owned(),
        _ => format!("not JSON: {error}"),
    }
}

#[derive(Default)]
struct Fields<'de> {
    schema: Option<Cow<'de, str>>,
    record_id: Option<Cow<'de, str>>,
    name: Option<Cow<'de, str>>,
    backing_id: Option<Cow<'de, str>>,
    command: Option<Cow<'de, str>>,
    cwd: Option<Cow<'de, str>>,
    pid: Option<i32>,
    agent_started_at: Option<UnixMillis>,
    is_closed: bool,
    closed_at: Option<UnixMillis>,
}

impl<'de> Visitor<'de> for Fields<'de> {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session record")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        while let Some(field) = map.next_key::<Loose<'de>>()? {
            let text_of = match field.text().as_deref() {
                Some("schema") => &mut self.schema,
                Some("acpx_record_id") => &mut self.record_id,
                Some("name") => &mut self.name,
                Some("acp_session_id") => &mut self.backing_id,
                Some("agent_command") => &mut self.command,
                Some("cwd") => &mut self.cwd,
                Some("pid") => {
                    self.pid = pid_of(&map.next_value::<Loose<'_>>()?);
                    continue;
                }
                Some("agent_started_at") => {
                    self.agent_started_at = instant(map.next_value()?);
                    continue;
                }
                Some("closed") => {
                    self.is_closed = map.next_value::<Loose<'_>>()? == Loose::Bool(true);
                    continue;
                }
                Some("closed_at") => {
                    self.closed_at = instant(map.next_value()?);
                    continue;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *text_of = map.next_value::<Loose<'de>>()?.text().filter(|text| !text.is_empty());
        }
        Ok(self)
    }
}

impl Fields<'_> {
    fn into_content(self) -> Result<Option<Content>, String> {
        if self.schema.as_deref() != Some(SCHEMA) {
            return Ok(None);
        }
        let texts = [&self.record_id, &self.name, &self.backing_id, &self.command, &self.cwd];
        if texts.into_iter().flatten().map(|text| text.len()).sum::<usize>() > TEXT_BYTES_MAX {
            return Err("has longer fields than acpx writes".to_owned());
        }
        let needed = |text: Option<Cow<'_, str>>, field: &str| {
            text.map(Cow::into_owned).ok_or_else(|| format!("has no usable {field}"))
        };
        let record_id = needed(self.record_id, "acpx_record_id")?;
        // Records of acpx's own command line have no name; the gateway's always do.
        let session_key = SessionKey(self.name.map_or_else(|| record_id.clone(), Cow::into_owned));
        Ok(Some(Content {
            mode: mode(&record_id, &session_key),
            session_key,
            backing_id: self.backing_id.map(Cow::into_owned),
            command: needed(self.command, "agent_command")?,
            cwd: needed(self.cwd, "cwd")?.into(),
            record_id,
            pid: self.pid,
            agent_started_at: self.agent_started_at,
            is_closed: self.is_closed,
            closed_at: self.closed_at,
        }))
    }
}

fn instant(value: Loose<'_>) -> Option<UnixMillis> {
    UnixMillis::from_rfc3339(&value.text()?)
}

/// A oneshot record's id is the session key, `:oneshot:` and a UUID (2026.4.15 to 2026.7.1).
fn mode(record_id: &str, session_key: &SessionKey) -> RecordMode {
    let rest = record_id.strip_prefix(session_key.0.as_str());
    match rest.and_then(|rest| rest.strip_prefix(":oneshot:")) {
        Some(rest) if is_uuid(rest) => RecordMode::Oneshot,
        _ => RecordMode::Persistent,
    }
}

/// As `crypto.randomUUID` writes them: in lower case.
fn is_uuid(text: &str) -> bool {
    const DASHES: [usize; 4] = [8, 13, 18, 23];
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match byte {
            b'-' => DASHES.contains(&at),
            b'0'..=b'9' | b'a'..=b'f' => !DASHES.contains(&at),
            _ => false,
        })
}

/// Returns the name of the file of a record, as `encodeURIComponent` makes it.
pub(super) fn file_name(record_id: &str) -> String {
    let mut name = String::with_capacity(record_id.len() + 16);
    for byte in record_id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name + ".json"
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "agent:claude:acp:a6238e66-5172-4d81-95af-2c5e35a97b19";
    const UUID: &str = "f11c23bc-b420-46d5-8091-5ced33445637";

    fn json(more: &str) -> String {
        format!(
            r#"{{"schema":"acpx.session.v1","acpx_record_id":"r","acp_session_id":"s",
                "agent_command":"c","cwd":"/w","name":"r"{more}}}"#
        )
    }

    fn read(json: &str) -> Content {
        parse(json.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn reads_what_2026_4_15_writes() {
        let id = format!("{KEY}:oneshot:{UUID}");
        let json = format!(
            r#"{{
  "schema": "acpx.session.v1",
  "acpx_record_id": "{id}",
  "acp_session_id": "1329ae43-4151-4d5e-be18-4672e35dbb5d",
  "agent_command": "/usr/bin/node /opt/fake-acp-agent.mjs",
  "cwd": "/home/user/.openclaw/workspace",
  "name": "{KEY}",
  "event_log": {{ "active_path": "/x", "segment_count": 5, "last_write_error": null }},
  "closed": true,
  "closed_at": "2026-11-20T07:34:33.303Z",
  "pid": 14518,
  "agent_started_at": "2026-11-20T07:34:33.161Z",
  "title": null,
  "messages": [ {{ "User": {{ "content": [ {{ "Text": "\"closed\": false, \u00e9" }} ] }} }} ],
  "acpx": {{}}
}}
"#
        );
        let want = Content {
            record_id: id,
            session_key: KEY.into(),
            backing_id: Some("1329ae43-4151-4d5e-be18-4672e35dbb5d".to_owned()),
            mode: RecordMode::Oneshot,
            command: "/usr/bin/node /opt/fake-acp-agent.mjs".to_owned(),
            cwd: "/home/user/.openclaw/workspace".into(),
            pid: Some(14518),
            agent_started_at: Some(UnixMillis(1_795_160_073_161)),
            is_closed: true,
            closed_at: Some(UnixMillis(1_795_160_073_303)),
        };
        assert_eq!(read(&json), want);
    }

    #[test]
    fn only_the_exact_shape_is_a_oneshot() {
        #[track_caller]
        fn check(id: &str, want: RecordMode) {
            assert_eq!(mode(id, &KEY.into()), want, "{id}");
        }
        check(&format!("{KEY}:oneshot:{UUID}"), RecordMode::Oneshot);
        check(KEY, RecordMode::Persistent);
        check(&format!("{KEY}:oneshot:"), RecordMode::Persistent);
        check(&format!("{KEY}:oneshot:{UUID}x"), RecordMode::Persistent);
        check(&format!("{KEY}:oneshot:{}", &UUID[1..]), RecordMode::Persistent);
        check(&format!("{KEY}:oneshot:{}", UUID.to_uppercase()), RecordMode::Persistent);
        check(&format!("{KEY}:oneshot:{}", UUID.replace('-', "0")), RecordMode::Persistent);
        check(&format!("{KEY}:oneshot:{}", "-".repeat(36)), RecordMode::Persistent);
        check(&format!("x{KEY}:oneshot:{UUID}"), RecordMode::Persistent);
        check(&format!("agent:other:acp:1:oneshot:{UUID}"), RecordMode::Persistent);
    }

    #[test]
    fn a_pid_or_a_time_of_no_use_is_none() {
        for pid in ["0", "1", "-1", "4194305", "99999999999999999999", "1.5", "\"7\"", "[7]"] {
            assert_eq!(read(&json(&format!(r#","pid":{pid}"#))).pid, None, "{pid}");
        }
        assert_eq!(read(&json(r#","pid":2"#)).pid, Some(2));
        for at in ["\"yesterday\"", "7", "null", "\"2026-11-20\"", "{}"] {
            let read = read(&json(&format!(r#","agent_started_at":{at},"closed_at":{at}"#)));
            assert_eq!((read.agent_started_at, read.closed_at), (None, None), "{at}");
        }
    }

    #[test]
    fn only_true_is_closed_and_the_last_of_a_repeated_field_counts() {
        for closed in ["1", "\"true\"", "null", "{}", "[true]"] {
            assert!(!read(&json(&format!(r#","closed":{closed}"#))).is_closed, "{closed}");
        }
        assert!(!read(&json(r#","closed":true,"closed":false"#)).is_closed);
        assert_eq!(read(&json(r#","pid":7,"pid":8"#)).pid, Some(8));
        assert_eq!(read(&json(r#","pid":7,"pid":"x""#)).pid, None);
        assert_eq!(parse(json(r#","schema":"other""#).as_bytes()), Ok(None));
    }

    #[test]
    fn another_schema_is_ignored_and_a_broken_record_is_an_error() {
        #[track_caller]
        fn check(json: &[u8], want: Result<(), &str>) {
            let want = want.map(|()| None).map_err(str::to_owned);
            assert_eq!(parse(json), want, "{}", json.escape_ascii());
        }
        check(b"{}", Ok(()));
        check(br#"{"schema":"acpx.session.v2","cwd":7}"#, Ok(()));
        check(br#"{"schema":["acpx.session.v1"]}"#, Ok(()));
        check(br#"{"schema":"acpx.session.v1"}"#, Err("has no usable acpx_record_id"));
        let no_cwd = json(r#","cwd":7"#);
        check(no_cwd.as_bytes(), Err("has no usable cwd"));
        for other in ["[]", "7", "null", "\"x\""] {
            check(other.as_bytes(), Err("not a session record"));
        }
        let long = json(&format!(r#","agent_command":"{}""#, "x".repeat(TEXT_BYTES_MAX)));
        check(long.as_bytes(), Err("has longer fields than acpx writes"));
        check(b"", Err("not JSON: EOF while parsing a value at line 1 column 0"));
        check(b"{\"a\":\"\xff\"}", Err("not UTF-8"));
        let twice = json("") + "{}";
        assert!(parse(twice.as_bytes()).unwrap_err().starts_with("not JSON: trailing"));
    }

    #[test]
    fn no_torn_prefix_is_a_record() {
        let whole = json(r#","messages":[{"a":"\u00e9"}],"pid":41"#);
        for end in 0..whole.len() {
            assert!(parse(&whole.as_bytes()[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = "[".repeat(2_000_000) + &"]".repeat(2_000_000);
        assert_eq!(read(&json(&format!(r#","messages":{deep},"pid":9"#))).pid, Some(9));
        let open = "{\"a\":".repeat(500_000);
        assert!(parse(open.as_bytes()).is_err());
    }

    #[test]
    fn a_file_is_named_as_encode_uri_component_names_it() {
        let id = format!("{KEY}:oneshot:{UUID}");
        assert_eq!(file_name(&id), format!("{}%3Aoneshot%3A{UUID}.json", KEY.replace(':', "%3A")));
        assert_eq!(file_name("a-_.!~*'()/é\u{1b}"), "a-_.!~*'()%2F%C3%A9%1B.json");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, at in 0_usize..200, with: u8) {
            let _ = parse(&bytes);
            let mut whole = json(r#","pid":41,"messages":[{"a":1}]"#).into_bytes();
            let at = at % whole.len();
            whole[at] = with;
            let _ = parse(&whole);
        }
    }
}
