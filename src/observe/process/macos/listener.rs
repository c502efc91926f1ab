//! What a process listens on.

use std::io;
use std::path::Path;
use std::time::Duration;

use libproc::file_info::ProcFDType;

use super::super::darwin::socket::{Listening, listening};
use super::descriptors::{self, Socket};
use super::{is_live, on_linux_only};
use crate::model::ProcessId;

/// Finds ports. Nothing is kept: a few calls per process are cheap.
#[derive(Debug, Default)]
pub(in super::super) struct Listeners;

impl Listeners {
    /// Returns the TCP ports that the process listens on, in ascending order.
    pub(in super::super) fn ports(
        &self,
        root: &Path,
        pid: i32,
        _listed: Option<(ProcessId, Duration)>,
    ) -> io::Result<Vec<u16>> {
        let mut ports: Vec<u16> = all(root, pid)?
            .into_iter()
            .filter_map(|listening| match listening {
                Listening::Tcp(port) => Some(port),
                Listening::Unix => None,
            })
            .collect();
        ports.sort_unstable();
        ports.dedup();
        Ok(ports)
    }

    /// Does nothing.
    pub(in super::super) fn retain(&mut self, _is_listed: impl Fn(ProcessId) -> bool) {}
}

/// Returns true if the process listens on a UNIX socket.
pub(in super::super) fn listens_on_unix(root: &Path, pid: i32) -> io::Result<bool> {
    Ok(all(root, pid)?.contains(&Listening::Unix))
}

fn all(root: &Path, pid: i32) -> io::Result<Vec<Listening>> {
    if !is_live(root) {
        return Err(on_linux_only("the sockets"));
    }
    let mut found = Vec::new();
    for (descriptor, kind) in descriptors::list(pid)? {
        if matches!(kind, ProcFDType::Socket) {
            let Socket(bytes) = descriptors::read(pid, descriptor)?;
            found.extend(listening(&bytes));
        }
    }
    Ok(found)
}
