//! Tells the service manager how we are: the protocol of `sd_notify(3)`.
//!
//! The messages are those of the crate `sd-notify`. The socket is our own, because that crate
//! does not know abstract addresses, which systemd and container runtimes use too.

use std::cell::Cell;
use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::{debug, warn};

use crate::text::escape;

/// A manager that does not take messages must not stop the loop for longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// No watchdog is that patient; a larger number would only overflow the clock.
const PULSE_MAX: Duration = Duration::from_hours(1);

/// systemd shows one line; more helps nobody.
const STATUS_CHARS_MAX: usize = 200;

/// The service manager, if there is one.
#[derive(Debug, Default)]
pub(super) struct Supervisor {
    line: Option<Line>,
    watchdog: Option<Duration>,
}

/// How it is reached. Not connected: a manager that was replaced is found again by its address.
#[derive(Debug)]
struct Line {
    socket: UnixDatagram,
    address: SocketAddr,
    broken: Cell<bool>,
}

impl Supervisor {
    /// Finds the service manager by `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`. None of
    /// them set means that there is none, and nothing is sent.
    pub(super) fn from_env() -> Supervisor {
        let address = env::var_os("NOTIFY_SOCKET");
        Supervisor::at(address.as_deref(), sd_notify::watchdog_enabled())
    }

    /// Returns how often [`Supervisor::alive`] is expected: at half of what it allows.
    pub(super) fn pulse(&self) -> Option<Duration> {
        self.line.as_ref()?;
        self.watchdog.map(|limit| (limit / 2).min(PULSE_MAX)).filter(|pulse| !pulse.is_zero())
    }

    /// The first pass is over, or a reload is.
    pub(super) fn ready(&self, status: &str) {
        self.send(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
    }

    /// What we are doing.
    pub(super) fn status(&self, status: &str) {
        self.send(&[NotifyState::Status(&one_line(status))]);
    }

    /// The loop runs.
    pub(super) fn alive(&self) {
        self.send(&[NotifyState::Watchdog]);
    }

    /// A reload begins; [`Supervisor::ready`] ends it.
    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            Err(error) => debug!("no monotonic time: {error}"),
        }
    }

    /// The end begins.
    pub(super) fn stopping(&self) {
        self.send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    }

    /// Finds it at `address`, a path or `@name`.
    pub(super) fn at(address: Option<&OsStr>, watchdog: Option<Duration>) -> Supervisor {
        let Some(address) = address else { return Supervisor::default() };
        match Line::to(address) {
            Ok(line) => Supervisor { line: Some(line), watchdog },
            Err(error) => {
                let address = address.to_string_lossy();
                warn!("failed to reach the service manager at `{}`: {error}", escape(&address));
                Supervisor::default()
            }
        }
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        let Some(line) = &self.line else { return };
        let message: String = states.iter().map(|state| format!("{state}\n")).collect();
        let sent = line.socket.send_to_addr(message.as_bytes(), &line.address);
        let was_broken = line.broken.replace(sent.is_err());
        if let Err(error) = sent
            && !was_broken
        {
            warn!("failed to notify the service manager: {error}");
        }
    }
}

impl Line {
    fn to(address: &OsStr) -> io::Result<Line> {
        let address = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(address)?,
            _ => return Err(io::ErrorKind::Unsupported.into()),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Line { socket, address, broken: Cell::new(false) })
    }
}

/// A line break in a status would begin another message.
fn one_line(status: &str) -> String {
    escape(status).chars().take(STATUS_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn speak(supervisor: &Supervisor, manager: &UnixDatagram) {
        supervisor.ready("watching 3 lanes");
        assert_eq!(receive(manager), "READY=1\nSTATUS=watching 3 lanes\n");
        supervisor.alive();
        assert_eq!(receive(manager), "WATCHDOG=1\n");
        supervisor.reloading();
        let message = receive(manager);
        let now = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(now.trim_end().parse::<u64>().unwrap() > 0);
        supervisor.stopping();
        assert_eq!(receive(manager), "STOPPING=1\nSTATUS=stopping\n");
    }

    #[test]
    fn speaks_to_a_socket_with_a_path() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        speak(&Supervisor::at(Some(path.as_os_str()), None), &manager);
    }

    #[test]
    fn speaks_to_an_abstract_socket() {
        let name = format!("clawarden-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let address = format!("@{name}");
        speak(&Supervisor::at(Some(OsStr::new(&address)), None), &manager);
    }

    #[test]
    fn a_status_cannot_forge_a_message() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let supervisor = Supervisor::at(Some(path.as_os_str()), None);
        supervisor.status("lane a\nSTOPPING=1");
        assert_eq!(receive(&manager), "STATUS=lane a\\nSTOPPING=1\n");
        supervisor.status(&"x".repeat(10_000));
        assert_eq!(receive(&manager).len(), "STATUS=\n".len() + STATUS_CHARS_MAX);
    }

    #[test]
    fn the_pulse_is_twice_as_fast_as_asked() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("notify");
        let _manager = UnixDatagram::bind(&path).unwrap();
        let at = |watchdog| Supervisor::at(Some(path.as_os_str()), watchdog).pulse();
        assert_eq!(at(Some(Duration::from_secs(30))), Some(Duration::from_secs(15)));
        assert_eq!(at(Some(Duration::MAX)), Some(PULSE_MAX));
        assert_eq!(at(Some(Duration::ZERO)), None);
        assert_eq!(at(None), None);
        assert_eq!(Supervisor::at(None, Some(Duration::from_secs(30))).pulse(), None);
    }

    #[test]
    fn a_manager_that_is_not_there_is_no_failure() {
        for address in ["/nonexistent/notify", "vsock:2:1", "", "@"] {
            Supervisor::at(Some(OsStr::new(address)), None).ready("up");
        }
    }
}
