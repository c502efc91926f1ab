//! The process table: on Linux read by hand from `/proc`, on macOS asked of the kernel. The path
//! `/proc` means the live one on both.
//!
//! A `proc_root` other than `/proc` is a captured table: then every process fact, our own
//! included, comes from there, and the kernel is not asked about any pid.
//!
//! [`Table`] is what is listed; it is kept from pass to pass and says what to look for. What is
//! acted on is looked at anew: [`Table::sight`], and closely by [`Table::inspector`].

#[cfg(any(target_os = "macos", test))]
mod darwin;
mod facts;
mod inspection;
mod lineage;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
mod openclaw;
mod owner;
mod shell;
mod tree;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::{ProcessId, Sighting, UnixMillis};

pub use facts::{Facts, Sockets};
pub use inspection::{Activity, Ask, Inspection, Inspector};
pub use lineage::Lineage;
pub use owner::{listens_alone, owns_listener};

#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(target_os = "linux")]
pub use linux::Offspring;
#[cfg(target_os = "macos")]
use macos as platform;

/// One live process, as of the last refresh. Zombies and dead ones are not listed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Process {
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
    /// Its effective user id.
    pub uid: u32,
    /// Its state letter, such as `S`, or `T` if it was stopped. Up to some refreshes old.
    pub state: char,
    /// `/proc/PID/cmdline` without the NULs and spaces at its end, which pad an overwritten
    /// title, and cut at 64 KiB; empty for kernel threads and where unreadable.
    pub cmdline: Vec<u8>,
    /// The file name of its executable; empty for kernel threads and where unreadable, which is so
    /// for processes of other users.
    pub program: Vec<u8>,
}

impl Process {
    /// Returns the arguments; a process that overwrote its title has one, a kernel thread none.
    pub fn argv(&self) -> impl Iterator<Item = &[u8]> {
        openclaw::arguments(&self.cmdline)
    }

    /// Returns true if the process has taken the gateway's title: argv is exactly
    /// `openclaw-gateway` (2026.3.24 to 2026.9.6).
    #[must_use]
    pub fn has_gateway_title(&self) -> bool {
        self.cmdline == b"openclaw-gateway"
    }

    /// Returns true if title or command line is OpenClaw's: argv\[0\] is `openclaw` or begins
    /// with `openclaw-`, or node (or bun) runs a file named `openclaw.mjs`.
    #[must_use]
    pub fn is_openclaw(&self) -> bool {
        openclaw::is_openclaw(&self.cmdline)
    }
}

/// The process table, kept from pass to pass.
#[derive(Debug)]
pub struct Table {
    /// Where it is read from.
    pub root: PathBuf,
    booted_at: UnixMillis,
    /// At the last refresh; `None` for a captured table.
    uptime: Option<Duration>,
    scan: platform::Scan,
    listeners: platform::Listeners,
}

impl Table {
    /// Makes an empty table over `root`, `/proc` or a captured one.
    #[must_use]
    pub fn new(root: &Path) -> Table {
        Table {
            root: root.to_owned(),
            booted_at: UnixMillis::default(),
            uptime: None,
            scan: platform::Scan::default(),
            listeners: platform::Listeners::default(),
        }
    }

    /// Returns true if this is the running kernel's own table.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.root == Path::new("/proc")
    }

    /// Reads the table again. A captured table is read in full.
    ///
    /// # Errors
    ///
    /// Returns an error if the table itself cannot be listed, or the live one does not list
    /// ourselves; the old one is kept. A single unreadable process is no error: see
    /// [`Table::unreadable`].
    pub fn refresh(&mut self, booted_at: UnixMillis) -> io::Result<()> {
        let uptime = self.is_live().then(platform::uptime);
        self.refresh_at(booted_at, uptime)
    }

    /// Reads the table again, `uptime` after the boot (on macOS: after 1970, as its start ticks
    /// count); without one everything is read anew.
    ///
    /// On Linux a listed process is known by pid *and* inode of its directory. The kernel makes that
    /// inode for one life of a process and never for another one under the same pid (measured
    /// on 6.18), so every refresh identifies every process, for the price of the listing. What
    /// can change within one life is read again:
    ///
    /// - all of it, in each refresh, for processes younger than a minute (exec keeps pid and
    ///   start ticks, titles are set late) and for OpenClaw's own;
    /// - its stat, when its parent has ended, as that is what changes a parent;
    /// - its stat, in turn, for one process in 128 and at least 16 per refresh: start ticks,
    ///   state, and the marks by which an exec at a later age shows.
    ///
    /// # Errors
    ///
    /// As [`Table::refresh`].
    pub fn refresh_at(
        &mut self,
        booted_at: UnixMillis,
        uptime: Option<Duration>,
    ) -> io::Result<()> {
        self.scan.refresh(&self.root, self.is_live(), uptime)?;
        self.booted_at = booted_at;
        self.uptime = uptime;
        let scan = &self.scan;
        self.listeners.retain(|id| scan.get(id.pid).is_some_and(|process| process.id == id));
        Ok(())
    }

    /// Makes the next refresh read everything anew, for a judgement that rests on the *absence*
    /// of a process. Costs about 20 times a refresh.
    pub fn distrust(&mut self) {
        self.scan.distrust();
    }

    /// Returns true if the last refresh read everything anew, as the first one does.
    #[must_use]
    pub fn was_read_in_full(&self) -> bool {
        self.scan.was_full()
    }

    /// Returns the pids that were listed in the last refresh, but could not be read, so that
    /// nothing is known of them.
    #[must_use]
    pub fn unreadable(&self) -> &[i32] {
        self.scan.unreadable()
    }

    /// Returns all live processes, by pid.
    pub fn iter(&self) -> impl Iterator<Item = &Process> {
        self.scan.iter()
    }

    /// Returns the process listed under `pid`.
    #[must_use]
    pub fn get(&self, pid: i32) -> Option<&Process> {
        self.scan.get(pid)
    }

    /// Returns how many children of `pid` had ended and were not reaped when they were last read;
    /// zero on macOS, whose table knows none.
    #[must_use]
    pub fn unreaped(&self, pid: i32) -> usize {
        self.scan.unreaped(pid)
    }

    /// Returns everything that descends from `id`, parents before their children; nothing if
    /// `id` is not listed.
    #[must_use]
    pub fn descendants(&self, id: ProcessId) -> Vec<&Process> {
        tree::descendants(self, id)
    }

    /// Returns the listed ancestors of `pid`, its parent first; nothing if `pid` is not listed.
    #[must_use]
    pub fn ancestors(&self, pid: i32) -> Vec<&Process> {
        tree::ancestors(self, pid)
    }

    /// Returns when a process with these start ticks began, by the wall clock: `booted_at` of
    /// the last refresh plus start ticks; on macOS the start ticks alone.
    #[must_use]
    pub fn started_at(&self, id: ProcessId) -> UnixMillis {
        platform::started_at(self.booted_at, self.is_live(), id.start_ticks)
    }

    /// Looks at `pid` anew: not at the listed state, but at the kernel's (or the captured files).
    /// Gone only if the kernel says ESRCH, the process is a zombie, or the number is a thread.
    #[must_use]
    pub fn sight(&self, pid: i32) -> Sighting {
        match platform::look(&self.root, self.is_live(), pid) {
            platform::Look::Absent => Sighting::Absent,
            platform::Look::Hidden => Sighting::Hidden,
            platform::Look::Present { id, cmdline } => Sighting::Present {
                id,
                started_at: self.started_at(id),
                is_openclaw: openclaw::is_openclaw(&cmdline),
            },
        }
    }

    /// Returns true if `id` is still alive, looked at anew.
    #[must_use]
    pub fn is_alive(&self, id: ProcessId) -> bool {
        matches!(self.sight(id.pid), Sighting::Present { id: seen, .. } if seen == id)
    }

    /// Reads the environment a process was started with, its first 256 KiB. What is no
    /// `NAME=value` is left out.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be read, which is so for processes of other users.
    pub fn environ(&self, pid: i32) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        platform::environ(&self.root, pid)
    }

    /// Returns the TCP ports that the process itself listens on, in its own network namespace,
    /// in ascending order. Of a listed process that listened already, a socket that is new may go
    /// unnoticed for five minutes; that one was closed never does.
    ///
    /// # Errors
    ///
    /// Returns an error if its descriptors or the socket table cannot be read; `NotFound` if
    /// there are none.
    pub fn listening_ports(&self, pid: i32) -> io::Result<Vec<u16>> {
        let listed = self.get(pid).map(|process| process.id).zip(self.uptime);
        self.listeners.ports(&self.root, pid, listed)
    }

    /// Returns true if the table is of the host's first pid namespace, which sees all processes. A
    /// captured table is taken for one.
    #[must_use]
    pub fn is_of_first_pid_namespace(&self) -> bool {
        !self.is_live() || platform::is_first_pid_namespace(&self.root)
    }

    /// Returns true if the gateway counts start ticks as this table does. If not, whoever wrote some
    /// into a lock has another process table, and the pid beside them says nothing here.
    #[must_use]
    pub fn counts_as_the_gateway(&self) -> bool {
        !self.is_live() || platform::COUNTS_AS_THE_GATEWAY
    }

    /// Returns true if some listed process of a nested pid namespace is `pid` to itself, so that a
    /// file it wrote names that number. What cannot be read counts as such a process.
    #[must_use]
    pub fn has_inner_pid(&self, pid: i32) -> bool {
        self.scan.has_inner_pid(&self.root, pid)
    }

    /// Returns true if it is proven that pids mean the same to `pid` and to us. What cannot be
    /// read proves nothing.
    #[must_use]
    pub fn shares_pid_namespace(&self, pid: i32) -> bool {
        platform::shares_pid_namespace(&self.root, self.is_live(), pid)
    }
}

#[cfg(test)]
pub(super) mod captured;
#[cfg(test)]
#[cfg(target_os = "linux")]
pub(crate) mod family;
