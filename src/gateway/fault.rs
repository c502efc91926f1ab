//! What went wrong, as one of the kinds that have a next step.

use std::io;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::format::Loose;
use crate::model::{RpcFailure, RpcFault};
use crate::text;

/// Longest text of the gateway's that is repeated.
const TEXT_CHARS_MAX: usize = 200;
/// Longest wait that a gateway may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Why there is no answer, and when it is worth asking again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fault {
    /// What is told.
    pub(super) failure: RpcFailure,
    /// After how long the gateway asked to be asked again.
    pub(super) retry_after: Option<Duration>,
    /// Whether a request was sent to which no answer came.
    pub(super) is_unanswered: bool,
}

impl Fault {
    pub(super) fn new(fault: RpcFault, text: impl Into<String>) -> Fault {
        Fault {
            failure: RpcFailure { fault, text: text.into() },
            retry_after: None,
            is_unanswered: false,
        }
    }

    pub(super) fn kind(&self) -> RpcFault {
        self.failure.fault
    }

    /// The address does not answer as it should at the level of TCP.
    pub(super) fn of_socket(url: &str, error: &io::Error) -> Fault {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                Fault::new(RpcFault::Refused, format!("nobody listens on {url}"))
            }
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => {
                Fault::new(RpcFault::Closed, format!("{url} broke the connection"))
            }
            io::ErrorKind::FileTooLarge => Fault::new(
                RpcFault::TooLarge,
                format!("{url} sent more than is read before a gateway has said hello"),
            ),
            io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable => {
                Fault::new(RpcFault::Refused, format!("{url} cannot be reached: {error}"))
            }
            _ => Fault::new(RpcFault::Internal, format!("cannot connect to {url}: {error}")),
        }
    }

    /// The conversation broke at the level of WebSocket.
    pub(super) fn of_websocket(url: &str, error: &WsError) -> Fault {
        match error {
            WsError::Io(error) => Fault::of_socket(url, error),
            WsError::ConnectionClosed | WsError::AlreadyClosed => {
                Fault::new(RpcFault::Closed, format!("{url} closed the connection"))
            }
            WsError::Capacity(error) => Fault::new(
                RpcFault::TooLarge,
                format!("{url} sent more than is read: {}", quoted(&error.to_string())),
            ),
            WsError::Http(response) => not_a_gateway(url, &format!("HTTP {}", response.status())),
            WsError::Protocol(error) if is_broken(error) => {
                Fault::new(RpcFault::Closed, format!("{url} broke the connection"))
            }
            WsError::Protocol(_) | WsError::Utf8(_) | WsError::HttpFormat(_) => {
                not_a_gateway(url, "no WebSocket")
            }
            _ => Fault::new(RpcFault::Internal, format!("cannot speak with {url}: {error}")),
        }
    }

    /// It closed the connection, perhaps with a reason.
    pub(super) fn of_close(url: &str, frame: Option<&CloseFrame>) -> Fault {
        let Some(frame) = frame else {
            return Fault::new(RpcFault::Closed, format!("{url} closed the connection"));
        };
        let (code, reason) = (u16::from(frame.code), quoted(frame.reason.as_str()));
        let text = format!("{url} closed the connection: {code} {reason}");
        match code {
            // "Try again later": what a starting gateway says (2026.5.7 and later).
            1013 => Fault {
                failure: RpcFailure { fault: RpcFault::Unavailable, text },
                retry_after: Some(RETRY_AFTER),
                is_unanswered: false,
            },
            1009 => Fault::new(RpcFault::TooLarge, text),
            _ => Fault::new(RpcFault::Closed, text),
        }
    }

    /// It answered a request with an error.
    ///
    /// Source: errors of 2026.3.24 to 2026.9.6, run for real. The code alone does not tell: up to
    /// 2026.7.1 almost everything is `INVALID_REQUEST`.
    pub(super) fn of_answer(method: &str, error: Option<&RawValue>) -> Fault {
        let error: Answered<'_> =
            error.and_then(|error| serde_json::from_str(error.get()).ok()).unwrap_or_default();
        let code = error.code.text().unwrap_or_default();
        let message = error.message.text().unwrap_or_default();
        let details: Details<'_> =
            error.details.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
        let detail = details.code.text().unwrap_or_default();
        let kind = kind(&code, &detail, &message);
        let retry_after = (kind == RpcFault::Unavailable).then(|| wait(&error.retry_after_ms));
        let text = format!("`{method}` was refused: {}", quoted(&message));
        Fault { failure: RpcFailure { fault: kind, text }, retry_after, is_unanswered: false }
    }
}

pub(super) fn not_a_gateway(url: &str, what: &str) -> Fault {
    Fault::new(RpcFault::NotAGateway, format!("what answers on {url} is no gateway: {what}"))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answered<'a> {
    #[serde(borrow)]
    code: Loose<'a>,
    #[serde(borrow)]
    message: Loose<'a>,
    #[serde(borrow)]
    retry_after_ms: Loose<'a>,
    #[serde(borrow)]
    details: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details<'a> {
    #[serde(borrow)]
    code: Loose<'a>,
}

fn kind(code: &str, detail: &str, message: &str) -> RpcFault {
    match (code, detail) {
        ("UNAVAILABLE", _) => RpcFault::Unavailable,
        (_, "PROTOCOL_MISMATCH") => RpcFault::ProtocolMismatch,
        (_, "MISSING_SCOPE") => RpcFault::MissingScope,
        (_, "PAIRING_REQUIRED" | "DEVICE_IDENTITY_REQUIRED") | ("NOT_PAIRED", _) => {
            RpcFault::PairingRequired
        }
        (_, detail) if detail.starts_with("AUTH_") || detail.starts_with("DEVICE_AUTH_") => {
            RpcFault::Unauthorized
        }
        _ if message.starts_with("missing scope") => RpcFault::MissingScope,
        // Up to 2026.5.7 without a code of its own.
        _ if message.starts_with("protocol mismatch") => RpcFault::ProtocolMismatch,
        _ if message.contains("pairing required") => RpcFault::PairingRequired,
        // What `sessions.abort` and `sessions.steer` say, on every version, of a run that another client
        // began: only an admin may end it. Also of an embedded run of a subagent (#111887).
        _ if message == "unauthorized" => RpcFault::MissingScope,
        _ if message.starts_with("unauthorized:") => RpcFault::Unauthorized,
        _ if message.starts_with("unknown method") || message.starts_with("invalid ") => {
            RpcFault::Unsupported
        }
        _ => RpcFault::Refusal,
    }
}

fn wait(millis: &Loose<'_>) -> Duration {
    match millis {
        Loose::Integer(millis) => {
            Duration::from_millis(u64::try_from(*millis).unwrap_or(0)).min(RETRY_AFTER_MAX)
        }
        _ => RETRY_AFTER,
    }
}

fn is_broken(error: &tokio_tungstenite::tungstenite::error::ProtocolError) -> bool {
    use tokio_tungstenite::tungstenite::error::ProtocolError;
    matches!(
        error,
        ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete
    )
}

/// A text of the gateway's, short and on one line.
pub(super) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(TEXT_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    text::escape(&short).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: &str, kind: RpcFault) {
        let raw: &RawValue = serde_json::from_str(error).unwrap();
        let fault = Fault::of_answer("connect", Some(raw));
        assert_eq!(fault.kind(), kind, "{error}");
        assert_eq!(fault.retry_after.is_some(), kind == RpcFault::Unavailable);
    }

    #[test]
    fn what_real_gateways_answered_has_a_kind() {
        use RpcFault::*;
        check(
            r#"{"code":"INVALID_REQUEST","message":"unauthorized: gateway token mismatch","details":{"code":"AUTH_TOKEN_MISMATCH"}}"#,
            Unauthorized,
        );
        check(
            r#"{"code":"INVALID_REQUEST","message":"missing scope: operator.write"}"#,
            MissingScope,
        );
        check(
            r#"{"code":"FORBIDDEN","message":"x","details":{"code":"MISSING_SCOPE"}}"#,
            MissingScope,
        );
        check(
            r#"{"code":"INVALID_REQUEST","message":"protocol mismatch","details":{"expectedProtocol":3}}"#,
            ProtocolMismatch,
        );
        check(r#"{"code":"NOT_PAIRED","message":"pairing required"}"#, PairingRequired);
        check(
            r#"{"code":"UNAVAILABLE","message":"gateway starting; retry shortly","retryable":true,"retryAfterMs":500}"#,
            Unavailable,
        );
        check(r#"{"code":"INVALID_REQUEST","message":"unknown method: a.b"}"#, Unsupported);
        check(
            r#"{"code":"INVALID_REQUEST","message":"invalid sessions.list params: at root"}"#,
            Unsupported,
        );
        check(
            r#"{"code":"INVALID_REQUEST","message":"Session k changed before reset. Retry.","details":{"reason":"session-changed"}}"#,
            Refusal,
        );
        check(r#"{"code":"INVALID_REQUEST","message":"unauthorized"}"#, MissingScope);
    }

    #[test]
    fn an_error_of_no_known_shape_is_a_refusal_with_a_bounded_text_on_one_line() {
        for error in ["null", "7", "[]", r#"{"code":7,"message":{},"details":[]}"#] {
            check(error, RpcFault::Refusal);
        }
        let long = format!(r#"{{"message":"a\nb{}"}}"#, "x".repeat(1_000));
        let raw: &RawValue = serde_json::from_str(&long).unwrap();
        let text = Fault::of_answer("m", Some(raw)).failure.text;
        assert!(text.chars().count() < 250 && !text.contains('\n'), "{text}");
        assert_eq!(Fault::of_answer("m", None).kind(), RpcFault::Refusal);
    }

    #[test]
    fn a_wait_that_is_asked_for_is_bounded() {
        assert_eq!(wait(&Loose::Integer(500)), Duration::from_millis(500));
        assert_eq!(wait(&Loose::Integer(i64::MAX)), RETRY_AFTER_MAX);
        assert_eq!(wait(&Loose::Integer(-1)), Duration::ZERO);
        assert_eq!(wait(&Loose::Null), RETRY_AFTER);
    }
}
