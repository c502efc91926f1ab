//! Requests that change something: what is sent, and what comes back.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::list::name;
use super::speak::{Call, Reply, Scope};
use crate::format::Loose;
use crate::model::{RunId, SessionId, SessionKey, Version};

/// The first version that compares the conversation before it resets it; earlier ones refuse the
/// parameter.
const COMPARES_SESSION: Version = Version::new(2026, 9, 6);

/// The parameters of any of them.
#[derive(Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Params<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a SessionKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_key: Option<&'a SessionKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<&'a RunId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_session_id: Option<&'a SessionId>,
}

/// How far a connection must reach for `call` (measured on 2026.3.24 to 2026.9.6).
///
/// A run that a chat began belongs to the device that began it: to anybody else with write scope
/// the gateway says `unauthorized` (`canRequesterAbortChatRun`, measured on 2026.4.15).
pub(super) fn scope(call: &Call) -> Scope {
    match call {
        Call::Recover { .. } | Call::New { .. } => Scope::Write,
        Call::Abort { .. } | Call::Steer { .. } | Call::Reset { .. } | Call::Tell { .. } => {
            Scope::Admin
        }
    }
}

/// The method and its parameters. `version`: what the gateway at the other end calls itself.
pub(super) fn request(call: &Call, version: Option<Version>) -> (&'static str, Params<'_>) {
    let on = |key| Params { key: Some(key), ..Params::default() };
    match call {
        Call::Abort { key, run } => ("sessions.abort", Params { run_id: run.as_ref(), ..on(key) }),
        Call::Steer { key, message } => {
            ("sessions.steer", Params { message: Some(message), ..on(key) })
        }
        Call::Recover { key } => ("sessions.recover", on(key)),
        Call::Reset { key, expected_session } => {
            let compares = version.is_some_and(|version| version >= COMPARES_SESSION);
            let expected_session_id = expected_session.as_ref().filter(|_| compares);
            ("sessions.reset", Params { expected_session_id, ..on(key) })
        }
        Call::New { key } => ("sessions.send", Params { message: Some("/new"), ..on(key) }),
        Call::Tell { key, text } => (
            "chat.inject",
            Params { session_key: Some(key), message: Some(text), ..Params::default() },
        ),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawReply<'a> {
    #[serde(borrow, default)]
    status: Loose<'a>,
    #[serde(borrow, default)]
    run_id: Loose<'a>,
    #[serde(borrow, default)]
    aborted_run_id: Loose<'a>,
    #[serde(borrow, default)]
    session_id: Loose<'a>,
    #[serde(borrow, default)]
    key: Loose<'a>,
    #[serde(borrow, default)]
    entry: Option<&'a RawValue>,
    #[serde(borrow, default)]
    continuation: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inner<'a> {
    #[serde(borrow, default)]
    session_id: Loose<'a>,
    #[serde(borrow, default)]
    run_id: Loose<'a>,
    #[serde(borrow, default)]
    status: Loose<'a>,
}

/// Reads the answer to `call`; `None` if it is no object.
pub(super) fn reply(call: &Call, payload: &RawValue) -> Option<Reply> {
    let raw: RawReply<'_> = serde_json::from_str(payload.get()).ok()?;
    let inner = |raw: Option<&RawValue>| {
        raw.and_then(|raw| serde_json::from_str::<Inner<'_>>(raw.get()).ok().map(Named::of))
    };
    let entry = inner(raw.entry).unwrap_or_default();
    let begun = inner(raw.continuation).unwrap_or_default();
    let run = name(raw.aborted_run_id).or_else(|| name(raw.run_id)).or(begun.run_id);
    let successor = match call {
        Call::Recover { .. } => name(raw.key).map(SessionKey),
        Call::Abort { .. }
        | Call::Steer { .. }
        | Call::Reset { .. }
        | Call::New { .. }
        | Call::Tell { .. } => None,
    };
    Some(Reply {
        status: name(raw.status).or(begun.status),
        run: run.map(RunId),
        session_id: name(raw.session_id).or(entry.session_id).map(SessionId),
        successor,
    })
}

#[derive(Default)]
struct Named {
    session_id: Option<String>,
    run_id: Option<String>,
    status: Option<String>,
}

impl Named {
    fn of(inner: Inner<'_>) -> Named {
        Named {
            session_id: name(inner.session_id),
            run_id: name(inner.run_id),
            status: name(inner.status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(call: &Call, version: Version, asked: &str) {
        let (method, params) = request(call, Some(version));
        assert_eq!(format!("{method} {}", serde_json::to_string(&params).unwrap()), asked);
    }

    #[test]
    fn only_parameters_that_the_version_knows_are_sent() {
        let (old, new) = (Version::new(2026, 7, 1), Version::new(2026, 9, 6));
        let reset = Call::Reset { key: "k".into(), expected_session: Some("s".into()) };
        check(&reset, old, r#"sessions.reset {"key":"k"}"#);
        check(&reset, new, r#"sessions.reset {"key":"k","expectedSessionId":"s"}"#);
        let abort = Call::Abort { key: "k".into(), run: Some(RunId("r".to_owned())) };
        check(&abort, old, r#"sessions.abort {"key":"k","runId":"r"}"#);
        check(&Call::New { key: "k".into() }, old, r#"sessions.send {"key":"k","message":"/new"}"#);
        let tell = Call::Tell { key: "k".into(), text: "t".to_owned() };
        check(&tell, old, r#"chat.inject {"sessionKey":"k","message":"t"}"#);
        assert!(!serde_json::to_string(&request(&reset, None).1).unwrap().contains("expected"));
    }

    #[test]
    fn a_recovered_session_is_told_by_its_new_key() {
        let text = r#"{"ok":true,"key":"agent:main:dashboard:1","sessionId":"s",
            "continuation":{"status":"started","runId":"r"}}"#;
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        let reply = reply(&Call::Recover { key: "k".into() }, raw).unwrap();
        assert_eq!(reply.successor, Some("agent:main:dashboard:1".into()));
        assert_eq!((reply.run, reply.session_id), (Some(RunId("r".to_owned())), Some("s".into())));
    }

    #[test]
    fn an_abort_of_nothing_names_no_run() {
        let text = r#"{"ok":true,"abortedRunId":null,"status":"no-active-run","extra":{}}"#;
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        let reply = reply(&Call::Abort { key: "k".into(), run: None }, raw).unwrap();
        assert_eq!((reply.status.as_deref(), reply.run), (Some("no-active-run"), None));
    }
}
