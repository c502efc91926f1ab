//! Captured process tables for tests.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

use super::Table;
use crate::model::UnixMillis;

/// A process table in a temporary directory.
#[derive(Debug)]
pub(crate) struct Captured {
    root: TempDir,
}

impl Captured {
    /// The boot of [`Captured::table`].
    pub(crate) const BOOTED_AT: UnixMillis = UnixMillis(1_795_000_000_000);

    pub(crate) fn new() -> Captured {
        Captured { root: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// Adds or replaces a process, asleep.
    pub(crate) fn process(&self, pid: i32, parent: i32, ticks: u64, cmdline: &[u8]) -> &Captured {
        self.file(&format!("{pid}/stat"), &stat(pid, 'S', parent, ticks))
            .file(&format!("{pid}/cmdline"), cmdline)
    }

    /// Adds or replaces the stat of a process in another state.
    pub(crate) fn state(&self, pid: i32, state: char, parent: i32, ticks: u64) -> &Captured {
        self.file(&format!("{pid}/stat"), &stat(pid, state, parent, ticks))
    }

    pub(crate) fn file(&self, name: &str, contents: &[u8]) -> &Captured {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
        self
    }

    pub(crate) fn link(&self, name: &str, target: &str) -> &Captured {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
        self
    }

    #[expect(clippy::disallowed_methods, reason = "removes what the test itself made")]
    pub(crate) fn without_file(&self, name: &str) -> &Captured {
        fs::remove_file(self.root().join(name)).unwrap();
        self
    }

    pub(crate) fn without(&self, pid: i32) -> &Captured {
        fs::remove_dir_all(self.root().join(pid.to_string())).unwrap();
        self
    }

    /// Moves a process, with the inode of its directory, to another pid.
    #[expect(clippy::disallowed_methods, reason = "moves what the test itself made")]
    pub(crate) fn renumber(&self, from: i32, to: i32) -> &Captured {
        let path = |pid: i32| self.root().join(pid.to_string());
        fs::rename(path(from), path(to)).unwrap();
        self
    }

    /// Reads it.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new(self.root());
        table.refresh(Captured::BOOTED_AT).unwrap();
        table
    }
}

/// The worst name a process can have, and one thread.
fn stat(pid: i32, state: char, parent: i32, ticks: u64) -> Vec<u8> {
    let start = format!("{pid} () Z 1 1\n) {state} {parent} {pid} {pid} 0 -1 4194560");
    format!("{start} 1 0 0 0 1 2 0 0 20 0 1 0 {ticks} 1 1\n").into_bytes()
}
