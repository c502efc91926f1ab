//! Where the gateway listens, and what opens it.

use std::fmt;
use std::path::PathBuf;

/// How one gateway is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// `ws://` or `wss://`, with host and port; a path other than `/` is kept.
    pub url: String,
    /// What it asks for.
    pub credentials: Credentials,
    /// The certificate that it must show. `wss://` without one is refused: there is no other trust.
    pub pin: Option<Pin>,
}

/// What the gateway asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Credentials {
    /// `gateway.auth.mode: token`. The token is part of what the device signs.
    Token(Secret),
    /// `gateway.auth.mode: password`. A password is never signed.
    Password(Secret),
    /// `gateway.auth.mode: none`.
    None,
}

/// A text that is shown to the gateway and to nobody else.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` out of logs and reports.
    #[must_use]
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// Returns the text, for the gateway.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The gateway's own certificate: the first of a PEM file, or a whole DER file. Read anew for each
/// connection, so that a certificate that the gateway has made anew is accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pin {
    /// The file, `gateway.tls.certPath`.
    pub path: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_in_no_debug_output() {
        let target = Target {
            url: "ws://127.0.0.1:18789".to_owned(),
            credentials: Credentials::Token(Secret::new("hunter2".to_owned())),
            pin: Some(Pin { path: "/c.pem".into() }),
        };
        let shown = format!("{target:?}");
        assert!(shown.contains("18789") && shown.contains("Token"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
