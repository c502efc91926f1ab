//! macOS: libproc, sysinfo and sysctl. There are no pidfds, so that identity is compared before and
//! after each look.
//!
//! What the answers mean is told in [`super::darwin`]. A captured table is Linux's here, too.

mod claimants;
mod descriptors;
mod inspection;
mod kernel;
mod layout;
mod listener;
mod program;
mod stdio;

use std::io;
use std::path::Path;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

pub(super) use super::darwin::look::Look;
pub(super) use super::darwin::scan::Scan;
pub(super) use super::darwin::started_at;
use super::darwin::{captured, look as looks};
pub(super) use claimants::{claimants, shares_listener, shares_network};
pub(super) use inspection::{Inspection, Inspector};
use kernel::Darwin;
pub(super) use listener::{Listeners, listens_on_unix};
pub(super) use program::{exe, memory, resident};
pub use stdio::Sockets;

/// The gateway writes start ticks on Linux only. A lock that has some was written there, such as in
/// a container that shares the state directory, where its pid means another process.
pub(super) const COUNTS_AS_THE_GATEWAY: bool = false;

/// Returns the time since start tick zero, which is 1970: the clock of the start ticks is the
/// wall's.
pub(super) fn uptime() -> Duration {
    clock_gettime(ClockId::CLOCK_REALTIME).map_or(Duration::ZERO, Duration::from)
}

impl Scan {
    /// Reads the table again.
    pub(super) fn refresh(
        &mut self,
        root: &Path,
        is_live: bool,
        uptime: Option<Duration>,
    ) -> io::Result<()> {
        if is_live {
            let ourselves = i32::try_from(std::process::id()).unwrap_or(0);
            return self.ask(&Darwin, ourselves, uptime);
        }
        let (processes, unreadable) = captured::read(root)?;
        self.replace(processes, unreadable);
        Ok(())
    }

    /// Returns true if some captured process of a nested pid namespace is `pid` there, or may be.
    /// There are none on macOS.
    pub(super) fn has_inner_pid(&self, root: &Path, pid: i32) -> bool {
        captured::has_inner_pid(root, pid, self.iter().filter(|_| root.is_dir()))
    }
}

/// Looks at `pid`.
pub(super) fn look(root: &Path, is_live: bool, pid: i32) -> Look {
    if is_live { looks::look(&Darwin, pid) } else { captured::look(root, pid) }
}

/// Reads the environment.
pub(super) fn environ(root: &Path, pid: i32) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    if is_live(root) { kernel::environ(pid) } else { captured::environ(root, pid) }
}

/// Returns true: there are no pid namespaces.
pub(super) fn is_first_pid_namespace(_root: &Path) -> bool {
    true
}

/// Returns true for every live process, as there are no pid namespaces.
pub(super) fn shares_pid_namespace(root: &Path, is_live: bool, pid: i32) -> bool {
    if is_live { pid > 0 } else { captured::shares_pid_namespace(root, pid) }
}

fn is_live(root: &Path) -> bool {
    root == Path::new("/proc")
}

fn on_linux_only(what: &str) -> io::Error {
    let text = format!("{what} of a captured process are read on Linux only");
    io::Error::new(io::ErrorKind::Unsupported, text)
}
