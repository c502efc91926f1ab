//! Where the user says the gateway is, and what he says opens it.

use core::net::{IpAddr, Ipv6Addr};
use std::fmt;
use std::path::PathBuf;

/// What the user's own configuration says about reaching the gateway. Everything that it leaves
/// out is found the way the gateway finds it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Given {
    /// Where it listens.
    pub url: Option<GatewayUrl>,
    /// Where its token is.
    pub token: Option<SecretPlace>,
    /// Where its password is.
    pub password: Option<SecretPlace>,
}

/// Where a secret is kept. Never the secret itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SecretPlace {
    /// A file that holds nothing else.
    File(PathBuf),
    /// A variable of our own environment.
    Variable(String),
}

impl fmt::Display for SecretPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretPlace::File(path) => write!(f, "`{}`", path.display()),
            SecretPlace::Variable(name) => write!(f, "the variable {name}"),
        }
    }
}

/// The address of a gateway: `ws://` or `wss://`, a host, a port, and perhaps a path.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct GatewayUrl {
    /// Whether it is `wss`.
    pub is_tls: bool,
    /// The host: a name, an IPv4 or an IPv6 address, this without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path, with its leading slash; empty for `/`.
    pub path: String,
}

/// Longest address that is read.
const URL_BYTES_MAX: usize = 512;

impl GatewayUrl {
    /// Returns the address of a gateway that listens at `address`.
    #[must_use]
    pub fn at(is_tls: bool, address: IpAddr, port: u16) -> GatewayUrl {
        GatewayUrl { is_tls, host: address.to_string(), port, path: String::new() }
    }

    /// Reads an address.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with it, for people. A user or password in it is never repeated.
    pub fn parse(text: &str) -> Result<GatewayUrl, &'static str> {
        const BEGIN: &str = "must begin with `ws://` or `wss://`";
        let is_plain = |c: char| c.is_ascii_graphic() && !"\"'<>\\^`{|}".contains(c);
        if text.len() > URL_BYTES_MAX || !text.chars().all(is_plain) {
            return Err("has a character that no address has, or too many");
        }
        let (scheme, rest) = text.split_once("://").ok_or(BEGIN)?;
        let is_tls = match scheme {
            "ws" => false,
            "wss" => true,
            _ => return Err(BEGIN),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("must not contain a user or password; use `token_file` or `token_env`");
        }
        if rest.contains(['?', '#']) {
            return Err("must not contain a query; use `token_file` or `token_env` for a secret");
        }
        let (host, port) = host_and_port(authority)?;
        let port = match port {
            Some(port) => port,
            None if is_tls => 443,
            None => 80,
        };
        let path = path.trim_end_matches('/').to_owned();
        Ok(GatewayUrl { is_tls, host, port, path })
    }

    /// Returns its host as an address; `localhost` is `127.0.0.1`. Other names are not resolved: what
    /// they mean can change between a look and an act.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self.host.as_str() {
            "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
            host => host.parse().ok(),
        }
    }
}

impl fmt::Display for GatewayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "wss" } else { "ws" };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{open}{}{close}:{}{}", self.host, self.port, self.path)
    }
}

fn host_and_port(authority: &str) -> Result<(String, Option<u16>), &'static str> {
    const HOST: &str = "names no host";
    const PORT: &str = "has no port between 1 and 65535 behind its host";
    let (host, rest) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']').ok_or(HOST)?;
            host.parse::<Ipv6Addr>().map_err(|_| HOST)?;
            (host, rest)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if host.is_empty() || !host.chars().all(is_name) {
        return Err(HOST);
    }
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|&port| port > 0).ok_or(PORT)?)
        }
        _ => return Err(PORT),
    };
    Ok((host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_written() {
        for (text, want) in [
            ("ws://127.0.0.1:18789", "ws://127.0.0.1:18789"),
            ("wss://Gateway.example/", "wss://gateway.example:443"),
            ("ws://localhost", "ws://localhost:80"),
            ("ws://[::1]:7/base/", "ws://[::1]:7/base"),
        ] {
            let url = GatewayUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), want);
            assert_eq!(GatewayUrl::parse(&url.to_string()), Ok(url));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_repeated() {
        for text in [
            "",
            "127.0.0.1:18789",
            "http://127.0.0.1",
            "ws://",
            "ws://:7",
            "ws://a:0",
            "ws://a:70000",
            "ws://a:+7",
            "ws://[::1",
            "ws://[::1]7",
            "ws://[a]",
            "ws://a b",
            "ws://user:hunter2@a",
            "ws://a/?token=hunter2",
            "ws://a/\u{7}",
            &format!("ws://{}", "a".repeat(600)),
        ] {
            let error = GatewayUrl::parse(text).unwrap_err();
            assert!(!error.contains("hunter2"), "{text}: {error}");
        }
    }

    #[test]
    fn a_name_is_no_address() {
        let address = |text| GatewayUrl::parse(text).unwrap().address();
        assert_eq!(address("ws://localhost:1"), Some(IpAddr::from([127, 0, 0, 1])));
        assert_eq!(address("ws://[::1]:1"), Some(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(address("ws://localhost.evil:1"), None);
        let url = GatewayUrl::at(true, Ipv6Addr::LOCALHOST.into(), 7);
        assert_eq!(url.to_string(), "wss://[::1]:7");
    }
}
