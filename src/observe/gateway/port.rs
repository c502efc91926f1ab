//! The port that the gateway listens on.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::status::PortState;
use crate::model::Era;
use crate::observe::locate::Install;

const DEFAULT: u16 = 18789;
/// `--profile dev`, on every version.
const DEV: u16 = 19001;
/// The loopback answers in microseconds; a longer silence is a full backlog or a firewall.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(200);

/// Returns the port by environment and configuration.
///
/// From the sqlite era on a profile without a configured port has one of its own:
/// `20000 + fnv1a32(name) % 40000` (2026.9.6).
pub(super) fn expected(install: &Install, era: &Era) -> u16 {
    let by_profile = || match (install.profile.as_deref(), era) {
        (Some("dev"), _) => Some(DEV),
        (Some(name), Era::Sqlite | Era::Newer { .. }) => Some(of_profile(name)),
        _ => None,
    };
    install.env_port.or(install.config.port).or_else(by_profile).unwrap_or(DEFAULT)
}

fn of_profile(name: &str) -> u16 {
    let hash = name
        .bytes()
        .fold(2_166_136_261_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619));
    // At most 59999.
    u16::try_from(20_000 + hash % 40_000).unwrap_or(DEFAULT)
}

/// Tries to connect to `port` on the loopback.
pub(super) fn probe(port: u16) -> PortState {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
        Ok(_) => PortState::Open(format!("port {port} accepts connections, by whom is not known")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => PortState::Refused,
        Err(error) => PortState::Open(format!("port {port}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::install;
    use super::*;
    use std::net::TcpListener;

    #[track_caller]
    fn check(env: Option<u16>, config: Option<u16>, profile: Option<&str>, era: &Era, want: u16) {
        let mut install = install("/nowhere/.openclaw");
        install.env_port = env;
        install.config.port = config;
        install.profile = profile.map(str::to_owned);
        assert_eq!(expected(&install, era), want);
    }

    #[test]
    fn environment_then_configuration_then_profile_then_default() {
        check(Some(1), Some(2), Some("dev"), &Era::Files, 1);
        check(None, Some(2), Some("dev"), &Era::Files, 2);
        check(None, None, Some("dev"), &Era::Files, 19001);
        check(None, None, Some("work"), &Era::Files, 18789);
        check(None, None, Some("a"), &Era::Sqlite, 20_000 + (0xe40c_292c_u32 % 40_000) as u16);
        check(None, None, None, &Era::Sqlite, 18789);
    }

    #[test]
    fn a_listener_is_open_and_a_closed_port_refuses() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(matches!(probe(port), PortState::Open(_)));
        drop(listener);
        assert_eq!(probe(port), PortState::Refused);
    }
}
