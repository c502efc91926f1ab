//! One process, looked at anew: nothing here is from the kept listing.
//!
//! A pid may pass to another process between two of these calls. What is to be of one process is
//! asked between two equal [`Facts::id`]. That a process is gone is certain only if
//! [`Table::facts`] says so: for the others it may be hidden.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::{Table, platform};
use crate::model::{ProcessId, Stdio};

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

    /// Reads what the kernel says of `pid`. A captured process needs a `status`, too.
    ///
    /// # Errors
    ///
    /// `NotFound` if it is certain that no process has this number: of the live table, the kernel
    /// was asked beside `/proc`, which may hide some (hidepid). A zombie is still found; the number
    /// of a thread is no process. Any other error: nothing is known.
    pub fn facts(&self, pid: i32) -> io::Result<Facts> {
        platform::facts(&self.root, self.is_live(), pid)
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

    /// Returns the working directory, without the ` (deleted)` of one that is gone.
    ///
    /// # Errors
    ///
    /// As [`Table::exe`].
    pub fn cwd(&self, pid: i32) -> io::Result<PathBuf> {
        platform::cwd(&self.root, pid)
    }

    /// Returns the path of the control group: that of cgroup v2, else that of the hierarchy
    /// `name=systemd` of v1.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be read; `InvalidData` if the process is in neither.
    pub fn control_group(&self, pid: i32) -> io::Result<String> {
        platform::control_group(&self.root, pid)
    }

    /// Returns the memory that would be free without `pid`, in bytes: its proportional share, or
    /// all that is resident where the share may not be read. `None` if neither can be read. Costs
    /// milliseconds: 2 for an agent of 90 MB, 7 for a gateway.
    #[must_use]
    pub fn memory(&self, pid: i32) -> Option<u64> {
        platform::memory(&self.root, pid)
    }

    /// Returns what answers for the sockets of one pass of [`Table::stdio`].
    #[must_use]
    pub fn sockets(&self) -> Sockets {
        Sockets::new(&self.root, self.is_live())
    }

    /// Looks at standard input and output of `pid`, and at who has their other ends. Whatever
    /// cannot be told is in the result, with the reason.
    ///
    /// `asks_pipes`: an anonymous pipe can be judged only by opening it, for some microseconds.
    /// Meanwhile a writer whose reader dies is not told, and what it wrote is lost; so only that of
    /// a process which is proven to be ours is opened. Everything else is a look without effect.
    #[must_use]
    pub fn stdio(&self, pid: i32, sockets: &Sockets, asks_pipes: bool) -> Stdio {
        platform::stdio(&self.root, self.is_live(), pid, sockets, asks_pipes)
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

    /// Returns true if it is a shell in which an agent runs a tool: one that was given a command
    /// (`-c`), and leads a session or has `CLAUDECODE=1` in its environment.
    ///
    /// `claude` starts `/bin/bash -c 'source …/shell-snapshots/… && eval …'`, with both marks. The
    /// `sh -c` of an MCP server, also through npx, those in which `claude` looks around for a
    /// moment (`npm root -g`, `ps aux`), and the one by which npx starts an adapter have neither.
    /// Measured with claude-agent-acp 0.23.1 and 0.25.3 under the acpx runtime of 2026.4.15.
    ///
    /// # Errors
    ///
    /// Returns an error if what decides cannot be read.
    pub fn is_tool_shell(&self, pid: i32) -> io::Result<bool> {
        platform::is_tool_shell(&self.root, pid)
    }

    /// Returns the pids of the children of `id`, in ascending order: a cheap look for something
    /// new, 50 µs for a gateway with its 11 threads. One that is started or ends meanwhile may be
    /// missing, and another one with it (proc(5)).
    ///
    /// # Errors
    ///
    /// `NotFound` if `id` is gone; `Unsupported` if the kernel was built without
    /// `CONFIG_PROC_CHILDREN`.
    pub fn direct_children(&self, id: ProcessId) -> io::Result<Vec<i32>> {
        platform::direct_children(&self.root, id)
    }
}
