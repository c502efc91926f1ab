//! `POST /tools/invoke`: has the gateway load a backing session into a new one.
//!
//! `sessions_spawn` is a tool of agents and no method of the RPC; this is the only way to it on every
//! version (2026.3.24 to 2026.9.6).

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};

use super::fault::{Fault, not_a_gateway, quoted};
use super::keeper::Aim;
use super::line::is_right;
use super::link::LinkSettings;
use super::list::name;
use super::socket::{Address, Socket};
use super::speak::{CallError, Scope};
use super::target::Credentials;
use crate::format::Loose;
use crate::model::{Restore, RpcFault, SessionKey};

/// The real answer has 1 KiB.
const BYTES_MAX: u64 = 1 << 20;

/// Connects, makes sure that it is the right gateway, asks once and hangs up. Takes `within` at the
/// longest. Returns the key of the new session.
pub(super) async fn run(
    settings: &LinkSettings,
    aim: &Aim,
    restore: &Restore,
    within: Duration,
) -> Result<SessionKey, CallError> {
    let deadline = Instant::now() + within;
    let spawned = spawn(settings, aim, restore, deadline).await;
    spawned.map_err(|fault| CallError { is_unknown: fault.is_unanswered, failure: fault.failure })
}

async fn spawn(
    settings: &LinkSettings,
    aim: &Aim,
    restore: &Restore,
    deadline: Instant,
) -> Result<SessionKey, Fault> {
    let url = &aim.target.url;
    let deaf = |what: &str| Fault::new(RpcFault::Deaf, format!("{url} {what}"));
    let connect_by = deadline.min(Instant::now() + settings.bounds.challenge);
    let connected = timeout_at(connect_by, Socket::connect(&aim.target)).await;
    let mut socket = connected.map_err(|_| deaf("accepts no connection"))??;
    // After the connection: whoever listens now is whom it was made to.
    is_right(settings, Scope::Admin, aim)?;
    let request = request(aim, restore)?;
    let mut bytes = Vec::new();
    let exchanged = timeout_at(deadline, async {
        socket.write_all(request.as_bytes()).await?;
        socket.take(BYTES_MAX).read_to_end(&mut bytes).await
    });
    let unanswered = |fault: Fault| Fault { is_unanswered: true, ..fault };
    match exchanged.await {
        Err(_) => return Err(unanswered(deaf("does not answer `sessions_spawn`"))),
        Ok(Err(error)) => return Err(unanswered(Fault::of_socket(url, &error))),
        Ok(Ok(_)) => {}
    }
    read(url, &bytes)
}

/// A oneshot session: one that stays wants a thread to be bound to, and there is none out here.
fn request(aim: &Aim, restore: &Restore) -> Result<String, Fault> {
    let Some(Address { host, port, .. }) = Address::parse(&aim.target.url) else {
        return Err(not_a_gateway(&aim.target.url, "no address"));
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let secret = match &aim.target.credentials {
        Credentials::Token(secret) | Credentials::Password(secret) => {
            format!("Authorization: Bearer {}\r\n", secret.reveal())
        }
        Credentials::None => "X-OpenClaw-Scopes: operator.write\r\n".to_owned(),
    };
    let body = json!({
        "tool": "sessions_spawn",
        "sessionKey": restore.requester,
        "args": {
            "runtime": "acp",
            "agentId": restore.agent,
            "task": restore.task,
            "mode": "run",
            "cwd": restore.cwd.to_string_lossy(),
            "resumeSessionId": restore.id,
        },
    })
    .to_string();
    Ok(format!(
        "POST /tools/invoke HTTP/1.1\r\nHost: {host}:{port}\r\n{secret}Content-Type: application/json\r\n\
         Accept: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    ))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refused<'a> {
    #[serde(borrow, rename = "type")]
    kind: Loose<'a>,
    #[serde(borrow)]
    message: Loose<'a>,
}

#[derive(Deserialize)]
struct Done<'a> {
    #[serde(borrow)]
    details: &'a RawValue,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details<'a> {
    #[serde(borrow)]
    status: Loose<'a>,
    #[serde(borrow)]
    error: Loose<'a>,
    #[serde(borrow)]
    child_session_key: Loose<'a>,
}

/// Reads the answer. What cannot be read may have been done all the same.
fn read(url: &str, bytes: &[u8]) -> Result<SessionKey, Fault> {
    let (status, body) = parts(bytes).ok_or_else(|| unread(url, "no HTTP"))?;
    let answer: Answer<'_> =
        body.and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    match status {
        200 => {
            let done =
                answer.result.and_then(|raw| serde_json::from_str::<Done<'_>>(raw.get()).ok());
            let done = done.ok_or_else(|| unread(url, "an answer of an unknown form"))?;
            accepted(url, serde_json::from_str(done.details.get()).unwrap_or_default())
        }
        400..=499 => Err(refusal(url, status, answer.error)),
        // The tool threw: it may have done something before.
        _ => Err(unread(url, &format!("HTTP {status}"))),
    }
}

fn accepted(url: &str, details: Details<'_>) -> Result<SessionKey, Fault> {
    let key = name(details.child_session_key).map(SessionKey);
    match (details.status.text().as_deref(), key) {
        (Some("accepted"), Some(key)) => Ok(key),
        // It names a session: that was begun, and may still be there.
        (_, Some(_)) | (Some("accepted") | None, None) => {
            Err(unread(url, &quoted(&details.error.text().unwrap_or_default())))
        }
        (Some(_), None) => {
            let why = quoted(&details.error.text().unwrap_or_default());
            Err(Fault::new(RpcFault::Refusal, format!("`sessions_spawn` was refused: {why}")))
        }
    }
}

/// It did not let us: nothing was done.
fn refusal(url: &str, status: u16, error: Option<&RawValue>) -> Fault {
    let refused: Refused<'_> =
        error.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let (kind, why) = (refused.kind.text(), quoted(&refused.message.text().unwrap_or_default()));
    let fault = match (status, kind.as_deref()) {
        (401, _) => RpcFault::Unauthorized,
        (403, Some("forbidden")) => RpcFault::MissingScope,
        (404, Some("not_found")) => RpcFault::Unsupported,
        (404 | 405, _) => return not_a_gateway(url, &format!("HTTP {status}")),
        (429, _) => RpcFault::Unavailable,
        _ => RpcFault::Refusal,
    };
    Fault::new(fault, format!("`sessions_spawn` was refused: HTTP {status}: {why}"))
}

fn unread(url: &str, what: &str) -> Fault {
    let text = format!("{url} did not say what became of `sessions_spawn`: {what}");
    Fault { is_unanswered: true, ..Fault::new(RpcFault::Unsupported, text) }
}

/// The status of an answer that ends with the connection, and its body by its braces.
fn parts(bytes: &[u8]) -> Option<(u16, Option<&str>)> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.starts_with("HTTP/1."))?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
    let braces = body.and_then(|body| body.get(body.find('{')?..=body.rfind('}')?));
    Some((status, braces))
}

#[cfg(test)]
mod tests;
