//! Whose a TCP port is.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::listener::Listeners;

/// A socket that listens on a port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) struct Claimant {
    /// The address it is bound to: taken for the loopback, as it is not read.
    pub(in super::super) address: IpAddr,
    /// The user it belongs to; not read.
    pub(in super::super) uid: u32,
    /// Whether the process that was asked about has it open.
    pub(in super::super) is_own: bool,
}

/// Returns true: there are no network namespaces.
pub(in super::super) fn shares_network(_root: &Path, _pid: i32) -> bool {
    true
}

/// Returns the socket of that process that listens on `port`, if it has one.
pub(in super::super) fn claimants(root: &Path, pid: i32, port: u16) -> io::Result<Vec<Claimant>> {
    let is_own = Listeners.ports(root, pid, None)?.contains(&port);
    let claimant = Claimant { address: Ipv4Addr::LOCALHOST.into(), uid: 0, is_own };
    Ok(is_own.then_some(claimant).into_iter().collect())
}

/// Returns true if `other` listens on `port`, too: sockets are not told apart.
pub(in super::super) fn shares_listener(
    root: &Path,
    _pid: i32,
    other: i32,
    port: u16,
) -> io::Result<bool> {
    Ok(Listeners.ports(root, other, None)?.contains(&port))
}
