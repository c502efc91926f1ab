//! Requests that change something: what is sent, and what comes back.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::list::name;
use super::speak::{Call, Reply, Scope};
use crate::format::Loose;
use crate::model::{RunId, SessionId, SessionKey, Version};

/// Every request that changes something is answered within a second on an idle gateway.
const WITHIN: Duration = Duration::from_secs(15);
/// A reset took up to 24.8 s on 2026.4.15, whose hook asks the hung model for a name.
const RESET_WITHIN: Duration = Duration::from_secs(30);
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
pub(super) fn scope(call: &Call) -> Scope {
    match call {
        Call::Abort { .. } | Call::Steer { .. } | Call::Recover { .. } | Call::New { .. } => {
            Scope::Write
        }
        Call::Reset { .. } | Call::Tell { .. } => Scope::Admin,
    }
}

/// How long its answer may take.
pub(super) fn within(call: &Call) -> Duration {
    match call {
        Call::Reset { .. } => RESET_WITHIN,
        Call::Abort { .. }
        | Call::Steer { .. }
        | Call::Recover { .. }
        | Call::New { .. }
        | Call::Tell { .. } => WITHIN,
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
