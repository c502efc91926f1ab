//! The handshake: what the gateway asks, what we say, and what it says then.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::device::Device;
use super::list::name;
use super::speak::Scope;
use super::target::Credentials;
use crate::format::Loose;
use crate::model::Version;

/// A gateway-client in backend mode with a device key is the one combination that has the asked
/// scopes on every version and is not paired by it (measured on 2026.3.24 to 2026.9.6).
const CLIENT: &str = "gateway-client";
const MODE: &str = "backend";
const ROLE: &str = "operator";
const SHOWN_NAME: &str = "clawarden";
/// What operators spoke up to 2026.5.7, and what they speak from 2026.7.1.
const PROTOCOLS: (u8, u8) = (3, 4);
const TICK: Duration = Duration::from_secs(30);

/// What the gateway wants signed.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Challenge {
    nonce: String,
    at: i64,
}

#[derive(Deserialize)]
struct RawChallenge<'a> {
    #[serde(borrow, default)]
    nonce: Loose<'a>,
    #[serde(borrow, default)]
    ts: Loose<'a>,
}

impl Challenge {
    /// Reads the payload of `connect.challenge`.
    pub(super) fn read(payload: &RawValue) -> Option<Challenge> {
        let raw: RawChallenge<'_> = serde_json::from_str(payload.get()).ok()?;
        let Loose::Integer(at) = raw.ts else { return None };
        Some(Challenge { nonce: name(raw.nonce)?, at })
    }
}

/// The parameters of `connect`. Every version refuses any that it does not know.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Connect<'a> {
    min_protocol: u8,
    max_protocol: u8,
    client: Client,
    role: &'static str,
    scopes: &'static [&'static str],
    caps: [&'static str; 0],
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<Auth<'a>>,
    device: Signed<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Client {
    id: &'static str,
    mode: &'static str,
    version: &'static str,
    platform: &'static str,
    display_name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Auth<'a> {
    Token(&'a str),
    Password(&'a str),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Signed<'a> {
    id: String,
    public_key: String,
    signature: String,
    signed_at: i64,
    nonce: &'a str,
}

/// Returns what answers `challenge`.
pub(super) fn connect<'a>(
    challenge: &'a Challenge,
    device: &Device,
    credentials: &'a Credentials,
    scope: Scope,
) -> Connect<'a> {
    let id = device.id();
    let text = signed_text(challenge, &id, credentials, scope);
    Connect {
        min_protocol: PROTOCOLS.0,
        max_protocol: PROTOCOLS.1,
        client: Client {
            id: CLIENT,
            mode: MODE,
            version: env!("CARGO_PKG_VERSION"),
            platform: std::env::consts::OS,
            display_name: SHOWN_NAME,
        },
        role: ROLE,
        scopes: scopes(scope),
        caps: [],
        auth: match credentials {
            Credentials::Token(token) => Some(Auth::Token(token.reveal())),
            Credentials::Password(password) => Some(Auth::Password(password.reveal())),
            Credentials::None => None,
        },
        device: Signed {
            signature: device.sign(&text),
            id,
            public_key: device.public_key(),
            signed_at: challenge.at,
            nonce: &challenge.nonce,
        },
    }
}

/// The text of which the device shows that it knows it. Signed at the gateway's own time: clocks
/// may differ.
fn signed_text(challenge: &Challenge, id: &str, credentials: &Credentials, scope: Scope) -> String {
    let token = match credentials {
        Credentials::Token(token) => token.reveal(),
        // A password is not in it, on any version.
        Credentials::Password(_) | Credentials::None => "",
    };
    let (scopes, at) = (scopes(scope).join(","), challenge.at);
    let (nonce, platform) = (&challenge.nonce, std::env::consts::OS);
    // The last part is the family of the device, of which nothing was said.
    format!("v3|{id}|{CLIENT}|{MODE}|{ROLE}|{scopes}|{at}|{token}|{nonce}|{platform}|")
}

fn scopes(scope: Scope) -> &'static [&'static str] {
    match scope {
        Scope::Read => &["operator.read"],
        Scope::Write => &["operator.read", "operator.write"],
        Scope::Admin => &["operator.read", "operator.write", "operator.admin"],
    }
}

/// What the gateway says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Hello {
    pub(super) version: Option<Version>,
    pub(super) protocol: u8,
    pub(super) boot_id: Option<String>,
    pub(super) state_dir: Option<PathBuf>,
    /// Whether the scope that was asked for was given, where it tells (2026.5.7 and later).
    pub(super) has_scope: Option<bool>,
    /// How often it says something, at the least.
    pub(super) tick: Duration,
}

#[derive(Deserialize)]
struct RawHello<'a> {
    #[serde(borrow, default)]
    r#type: Loose<'a>,
    #[serde(borrow, default)]
    protocol: Loose<'a>,
    #[serde(borrow, default)]
    server: Option<Server<'a>>,
    #[serde(borrow, default)]
    snapshot: Option<Snapshot<'a>>,
    #[serde(borrow, default)]
    auth: Option<Granted<'a>>,
    #[serde(borrow, default)]
    policy: Option<Limits<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Server<'a> {
    #[serde(borrow, default)]
    version: Loose<'a>,
    #[serde(borrow, default)]
    boot_id: Loose<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot<'a> {
    #[serde(borrow, default)]
    state_dir: Loose<'a>,
}

#[derive(Deserialize)]
struct Granted<'a> {
    #[serde(borrow, default)]
    scopes: Option<Vec<Loose<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Limits<'a> {
    #[serde(borrow, default)]
    tick_interval_ms: Loose<'a>,
}

impl Hello {
    /// Reads the payload of the answer to `connect`; `None` if it is no hello.
    pub(super) fn read(payload: &RawValue, asked: Scope) -> Option<Hello> {
        let raw: RawHello<'_> = serde_json::from_str(payload.get()).ok()?;
        let Loose::Integer(protocol) = raw.protocol else { return None };
        if raw.r#type != Loose::Text("hello-ok".into()) {
            return None;
        }
        let server = raw.server?;
        // One that is told and cannot be read is not one that is not told.
        let state_dir = match raw.snapshot.map(|of| of.state_dir) {
            None | Some(Loose::Null) => None,
            Some(told) => Some(told.text().as_deref().unwrap_or_default().into()),
        };
        let has_scope = raw.auth.and_then(|auth| auth.scopes).map(|given| {
            scopes(asked).iter().all(|scope| given.contains(&Loose::Text((*scope).into())))
        });
        Some(Hello {
            version: name(server.version).as_deref().and_then(Version::parse),
            protocol: u8::try_from(protocol).ok()?,
            boot_id: name(server.boot_id),
            state_dir,
            has_scope,
            tick: raw.policy.map_or(TICK, |policy| tick(&policy.tick_interval_ms)),
        })
    }
}

/// The interval, within what a live connection needs.
fn tick(millis: &Loose<'_>) -> Duration {
    let Loose::Integer(millis) = millis else { return TICK };
    let millis = u64::try_from(*millis).unwrap_or_default();
    Duration::from_millis(millis).clamp(TICK / 2, TICK * 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::Secret;

    #[test]
    fn what_is_signed_is_what_the_gateway_rebuilds() {
        let challenge = Challenge { nonce: "n".to_owned(), at: 7 };
        let token = Credentials::Token(Secret::new("t".to_owned()));
        let os = std::env::consts::OS;
        assert_eq!(
            signed_text(&challenge, "id", &token, Scope::Write),
            format!(
                "v3|id|gateway-client|backend|operator|operator.read,operator.write|7|t|n|{os}|"
            )
        );
        let password = Credentials::Password(Secret::new("p".to_owned()));
        assert_eq!(
            signed_text(&challenge, "id", &password, Scope::Read),
            format!("v3|id|gateway-client|backend|operator|operator.read|7||n|{os}|")
        );
    }

    #[test]
    fn only_the_scope_that_is_needed_is_asked_for() {
        assert_eq!(scopes(Scope::Read), ["operator.read"]);
        assert!(!scopes(Scope::Write).contains(&"operator.admin"));
    }

    #[test]
    fn what_is_no_hello_is_none() {
        for text in [
            "{}",
            "[]",
            r#"{"type":"hello-ok","protocol":3}"#,
            r#"{"type":"hello","protocol":3,"server":{}}"#,
            r#"{"type":"hello-ok","protocol":300,"server":{}}"#,
        ] {
            let raw: &RawValue = serde_json::from_str(text).unwrap();
            assert_eq!(Hello::read(raw, Scope::Read), None, "{text}");
        }
    }

    #[test]
    fn a_hello_of_strange_values_is_read_as_far_as_it_goes() {
        let text = r#"{"type":"hello-ok","protocol":4,"server":{"version":7,"bootId":[]},
            "snapshot":{"stateDir":{}},"auth":{"scopes":["operator.read",7]},"policy":{"tickIntervalMs":0}}"#;
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        let hello = Hello::read(raw, Scope::Write).unwrap();
        assert_eq!((hello.version, hello.has_scope), (None, Some(false)));
        assert_eq!((hello.state_dir, hello.tick), (Some(PathBuf::new()), TICK / 2));
    }
}
