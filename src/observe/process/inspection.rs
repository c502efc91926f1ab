//! Some processes, looked at closely and anew: nothing here is from the kept listing.
//!
//! What is asked of one [`Inspection`] is of one process: on Linux of whatever had the pid when it
//! was begun, and nothing is told any more once that has ended. On macOS nothing can be held; what
//! is to be of one process is asked between two equal [`Facts::id`] there.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::{Facts, Sockets, Table, platform};
use crate::model::{ProcessId, Stdio};

/// What a process has done since its start. None of it shrinks within one life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Activity {
    /// Its identity.
    pub id: ProcessId,
    /// True if nothing of it runs any more.
    pub has_ended: bool,
    /// The time that its threads have spent on processors.
    pub cpu: Duration,
    /// The bytes that it read and wrote; `None` where that is not told: of other users' processes, of
    /// those that may not be traced, and on macOS.
    pub io: Option<u64>,
}

/// Whom to ask who has the other end of a descriptor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ask {
    /// Nobody: only what the descriptors are is wanted.
    Nobody,
    /// The kernel, of sockets, until contact is certain. A look without effect.
    Sockets,
    /// Of pipes, too. An anonymous one can be judged only by opening it, for some microseconds.
    /// Meanwhile a writer whose reader dies is not told, and what it wrote is lost; so only that of
    /// a process which is proven to be ours is opened.
    Pipes,
    /// Of sockets, of both ends whatever comes of the first.
    BothSockets,
    /// Of sockets and pipes, likewise.
    Both,
}

/// One look at some processes, at about one instant: what is the same for all of them is read once.
#[derive(Debug)]
pub struct Inspector {
    inner: platform::Inspector,
}

/// One process of such a look.
#[derive(Debug)]
pub struct Inspection<'a> {
    inner: platform::Inspection<'a>,
}

impl Table {
    /// Begins a look. It must not outlive the pass: what it read of ourselves stays.
    #[must_use]
    pub fn inspector(&self) -> Inspector {
        Inspector { inner: platform::Inspector::new(&self.root, self.is_live()) }
    }
}

impl Inspector {
    /// Begins to look at `pid`, whatever has this number now.
    #[must_use]
    pub fn process(&self, pid: i32) -> Inspection<'_> {
        Inspection { inner: self.inner.process(pid) }
    }
}

impl Inspection<'_> {
    /// Reads what the kernel says of the process. A captured one needs a `status`, too.
    ///
    /// # Errors
    ///
    /// `NotFound` if it is certain that no process has this number: of the live table, the kernel
    /// was asked beside `/proc`, which may hide some (hidepid). A zombie is still found; the number
    /// of a thread is no process. Any other error: nothing is known. If the number has passed to
    /// another process meanwhile, these are the facts of that one.
    pub fn facts(&self) -> io::Result<Facts> {
        self.inner.facts()
    }

    /// Reads what the process has done up to now. Cheaper than [`Inspection::facts`].
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be read. That it has ended is not certain by that.
    pub fn activity(&self) -> io::Result<Activity> {
        self.inner.activity()
    }

    /// Returns the working directory, without the ` (deleted)` of one that is gone.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be read, which is so for processes of other users; `NotFound`
    /// also for kernel threads and zombies, which have none.
    pub fn cwd(&self) -> io::Result<PathBuf> {
        self.inner.cwd()
    }

    /// Returns the path of the control group: that of cgroup v2, else that of the hierarchy
    /// `name=systemd` of v1.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be read; `InvalidData` if the process is in neither.
    pub fn control_group(&self) -> io::Result<String> {
        self.inner.control_group()
    }

    /// Looks at standard input and output, and at who has their other ends. Whatever cannot be told
    /// is in the result, with the reason.
    #[must_use]
    pub fn stdio(&self, sockets: &Sockets, ask: Ask) -> Stdio {
        self.inner.stdio(sockets, ask)
    }

    /// Returns true if it is proven that pids mean the same to this process and to us. What cannot
    /// be read proves nothing. `facts` are those of [`Inspection::facts`].
    #[must_use]
    pub fn shares_pid_namespace(&self, facts: &Facts) -> bool {
        !facts.is_nested && self.inner.has_our_namespace()
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
    pub fn is_tool_shell(&self) -> io::Result<bool> {
        self.inner.is_tool_shell()
    }
}
