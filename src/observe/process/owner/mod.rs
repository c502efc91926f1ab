//! Whether a TCP port leads to one process and to no other.

use std::net::IpAddr;
use std::path::Path;

use super::{Table, platform};
use crate::model::{ProcessId, UnixMillis};

/// Most processes below the gateway that are looked at. More than those are refused, not skipped.
const HEIRS_MAX: usize = 512;

impl Table {
    /// Returns the addresses at which `process` listens on `port`, if nobody else could take a
    /// connection to them: no other socket listens on the port (twins with `SO_REUSEPORT` would
    /// share its connections), and no process below has the same socket open. Everything is
    /// looked at anew.
    ///
    /// # Errors
    ///
    /// Returns the reason, for people, why the port is not, or not provably, that process's alone.
    pub fn owns_listener(&self, process: ProcessId, port: u16) -> Result<Vec<IpAddr>, String> {
        let found = self.listens_alone(process, port)?;
        if found.is_empty() {
            return Err(format!("pid {} does not listen on port {port}", process.pid));
        }
        self.no_heir(process, port)?;
        if !self.is_alive(process) {
            return Err(gone(process.pid));
        }
        Ok(found)
    }

    /// Returns the addresses at which `process` listens on `port`, if no other socket listens on
    /// it; none if nobody does. Enough to ask there; before a change, see [`Table::owns_listener`].
    ///
    /// # Errors
    ///
    /// Returns the reason, for people.
    pub fn listens_alone(&self, process: ProcessId, port: u16) -> Result<Vec<IpAddr>, String> {
        let pid = process.pid;
        if !self.is_live() {
            return Err("the processes are those of a captured state".to_owned());
        }
        if !self.is_alive(process) {
            return Err(gone(pid));
        }
        if !platform::shares_network(&self.root, pid) {
            return Err(format!(
                "pid {pid} is not provably in our network namespace: run clawarden in the gateway's"
            ));
        }
        let found = platform::claimants(&self.root, pid, port)
            .map_err(|error| format!("the sockets of pid {pid} cannot be read: {error}"))?;
        let is_shared = found.iter().any(|claimant| claimant.is_own);
        if let Some(other) = found.first().filter(|_| !is_shared) {
            return Err(format!(
                "port {port} belongs to another process, of uid {}, and not to pid {pid}",
                other.uid
            ));
        }
        if let Some(other) = found.iter().find(|claimant| !claimant.is_own) {
            return Err(format!(
                "another process, of uid {}, listens on port {port}, too (at {})",
                other.uid, other.address
            ));
        }
        if !self.is_alive(process) {
            return Err(gone(pid));
        }
        Ok(found.into_iter().map(|claimant| claimant.address).collect())
    }

    /// A descriptor is handed on by fork alone, or on purpose.
    fn no_heir(&self, process: ProcessId, port: u16) -> Result<(), String> {
        let heirs = self.descendants(process);
        if heirs.len() > HEIRS_MAX {
            return Err(format!("too many processes below pid {} to look at", process.pid));
        }
        for heir in heirs {
            let pid = heir.id.pid;
            match platform::shares_listener(&self.root, process.pid, pid, port) {
                Ok(false) => {}
                Ok(true) => {
                    return Err(format!("pid {pid} has the socket on port {port} open, too"));
                }
                // Of another user: it was started by a program that changes users.
                Err(error) => return Err(format!("the sockets of pid {pid}: {error}")),
            }
        }
        Ok(())
    }
}

/// Whether a connection to the port leads to `process`, as far as asking there needs it: as
/// [`Table::listens_alone`], which reads no table.
///
/// # Errors
///
/// Returns the reason, for people.
pub fn listens_alone(root: &Path, process: ProcessId, port: u16) -> Result<(), String> {
    let found = Table::new(root).listens_alone(process, port)?;
    if found.is_empty() {
        return Err(format!("pid {} does not listen on port {port}", process.pid));
    }
    Ok(())
}

/// As [`Table::owns_listener`], with a table of its own that is read for it: before any change.
///
/// # Errors
///
/// Returns the reason, for people.
pub fn owns_listener(root: &Path, process: ProcessId, port: u16) -> Result<(), String> {
    let mut table = Table::new(root);
    // Nothing here compares times.
    table
        .refresh(UnixMillis::default())
        .map_err(|error| format!("the process table cannot be read: {error}"))?;
    table.owns_listener(process, port).map(|_| ())
}

fn gone(pid: i32) -> String {
    format!("pid {pid} is not the process any more that was identified")
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod live_tests;
