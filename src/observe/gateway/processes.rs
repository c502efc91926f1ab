//! What is asked of the process table, so that judgements can be tested without a kernel.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::model::{ProcessId, Sighting, UnixMillis};
use crate::observe::process::{Process, Table};

/// A process table. See [`Table`], whose methods of the same names these are.
pub trait Processes {
    /// Returns true if this is the running kernel's own table.
    fn is_live(&self) -> bool;
    /// Returns all live processes.
    fn all(&self) -> Vec<&Process>;
    /// Returns the process listed under `pid`.
    fn get(&self, pid: i32) -> Option<&Process>;
    /// Looks at `pid` anew.
    fn sight(&self, pid: i32) -> Sighting;
    /// Returns when `id` began, by the wall clock.
    fn started_at(&self, id: ProcessId) -> UnixMillis;
    /// Reads the environment a process was started with.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be read.
    fn environ(&self, pid: i32) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>>;
    /// Returns the TCP ports that the process itself listens on.
    ///
    /// # Errors
    ///
    /// Returns an error if that cannot be told.
    fn listening_ports(&self, pid: i32) -> io::Result<Vec<u16>>;
    /// Returns true if it is proven that pids mean the same to `pid` and to us.
    fn shares_pid_namespace(&self, pid: i32) -> bool;
    /// Returns true if the gateway counts start ticks as this table does.
    fn counts_as_the_gateway(&self) -> bool;
    /// Returns true if it is proven that pids or paths mean something else to `pid` than to us:
    /// it has a pid in another namespace too, or another root. A service with a private `/tmp`
    /// is not elsewhere.
    fn is_elsewhere(&self, pid: i32) -> bool;
    /// Returns a path to the root of `pid` if it has a mount namespace of its own, such as
    /// a service with `PrivateTmp=yes`.
    fn private_root(&self, pid: i32) -> Option<PathBuf>;
}

impl Processes for Table {
    fn is_live(&self) -> bool {
        Table::is_live(self)
    }

    fn all(&self) -> Vec<&Process> {
        self.iter().collect()
    }

    fn get(&self, pid: i32) -> Option<&Process> {
        Table::get(self, pid)
    }

    fn sight(&self, pid: i32) -> Sighting {
        Table::sight(self, pid)
    }

    fn started_at(&self, id: ProcessId) -> UnixMillis {
        Table::started_at(self, id)
    }

    fn environ(&self, pid: i32) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        Table::environ(self, pid)
    }

    fn listening_ports(&self, pid: i32) -> io::Result<Vec<u16>> {
        Table::listening_ports(self, pid)
    }

    fn shares_pid_namespace(&self, pid: i32) -> bool {
        Table::shares_pid_namespace(self, pid)
    }

    fn counts_as_the_gateway(&self) -> bool {
        Table::counts_as_the_gateway(self)
    }

    fn is_elsewhere(&self, pid: i32) -> bool {
        let folder = self.root.join(pid.to_string());
        let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
        let nested = status
            .lines()
            .find_map(|line| line.strip_prefix("NSpid:"))
            .is_some_and(|pids| pids.split_whitespace().count() > 1);
        let root = |path: &Path| fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
        let (theirs, ours) = (root(&folder.join("root")), root(Path::new("/")));
        nested || (self.is_live() && theirs.is_some() && theirs != ours)
    }

    fn private_root(&self, pid: i32) -> Option<PathBuf> {
        let folder = self.root.join(pid.to_string());
        let theirs = fs::read_link(folder.join("ns/mnt")).ok()?;
        let ours = fs::read_link(self.root.join("self/ns/mnt")).ok()?;
        (self.is_live() && theirs != ours).then(|| folder.join("root"))
    }
}
