//! One process, looked at anew: nothing here is from the kept listing.
//!
//! A pid may pass to another process between two of these calls, and what cannot be read may be
//! hidden. Closer looks, each of which is at one process, are [`Table::inspector`]'s.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::{Table, platform};
use crate::model::ProcessId;

pub use platform::Sockets;

/// What the kernel says of one process. All of it is known, or there is an error instead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    /// Its identity.
    pub id: ProcessId,
    /// Its parent's pid.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// The device number of its controlling terminal; zero if it has none.
    pub tty: i32,
    /// Its state letter: `S`, `R`, `D`, `T` if somebody stopped it, `t` if its tracer did, `Z`.
    pub state: char,
    /// True if nothing of it runs any more, and only its parent has to take note. In state `Z`
    /// threads may still run.
    pub has_ended: bool,
    /// Its effective user id.
    pub uid: u32,
    /// The pid of the process that traces it; zero if none does.
    pub tracer: i32,
    /// True if it lives in a pid namespace below that of the table.
    pub is_nested: bool,
    /// The time that its threads have spent on processors.
    pub cpu: Duration,
    /// Its resident memory in bytes, shared pages included; `None` for what has none of its own: a
    /// zombie, a kernel thread.
    pub resident: Option<u64>,
}

impl Table {
    /// Returns a table of the same root and boot, read in full just now, for looking again right
    /// before something is done.
    ///
    /// # Errors
    ///
    /// As [`Table::refresh`].
    pub fn anew(&self) -> io::Result<Table> {
        let mut table = Table::new(&self.root);
        table.refresh(self.booted_at)?;
        Ok(table)
    }

    /// Returns the path of the executable, without the ` (deleted)` that the kernel appends once
    /// the file is gone or was replaced.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be read, which is so for processes of other users; `NotFound`
    /// also for kernel threads and zombies, which have none.
    pub fn exe(&self, pid: i32) -> io::Result<PathBuf> {
        platform::exe(&self.root, pid)
    }

    /// Returns the memory that would be free without `pid`, in bytes: its proportional share, or
    /// all that is resident where the share may not be read. `None` if neither can be read. Costs
    /// milliseconds: 2 for an agent of 90 MB, 7 for a gateway.
    #[must_use]
    pub fn memory(&self, pid: i32) -> Option<u64> {
        platform::memory(&self.root, pid)
    }

    /// Returns what `pid` has in memory, in bytes; shared pages count in full. Costs microseconds.
    /// `None` if it cannot be read.
    #[must_use]
    pub fn resident(&self, pid: i32) -> Option<u64> {
        platform::resident(&self.root, pid)
    }

    /// Returns what answers for the sockets of one pass of [`super::Inspection::stdio`].
    #[must_use]
    pub fn sockets(&self) -> Sockets {
        Sockets::new(&self.root, self.is_live())
    }

    /// Returns true if the process holds a listening socket, TCP or UNIX, in its own network
    /// namespace. Costs 6 ms for a process that has sockets but does not listen: ask for few.
    ///
    /// # Errors
    ///
    /// Returns an error if its descriptors or a socket table cannot be read; `NotFound` if there
    /// are none of these.
    pub fn listens(&self, pid: i32) -> io::Result<bool> {
        Ok(platform::listens_on_unix(&self.root, pid)? || !self.listening_ports(pid)?.is_empty())
    }
}
