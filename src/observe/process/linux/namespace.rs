//! Whether pids mean the same to a process and to us.

use std::fs::read_link;
use std::path::Path;

use rustix::io::Errno;

use super::files::{Directory, Failure};
use super::status::{STATUS_BYTES_MAX, inner_pid, namespace_depth};

/// Returns true if both are in one pid namespace, and that is the table's.
pub(in super::super) fn shares_pid_namespace(root: &Path, is_live: bool, pid: i32) -> bool {
    if pid < 1 {
        return false;
    }
    let opened = Directory::open(root).and_then(|table| Ok((table.process(pid)?, table)));
    let Ok((process, table)) = opened else { return false };
    match Own::read(&table, is_live).compare(process.link("ns/pid")) {
        Links::Same => depth(&process) == Depth::One,
        Links::NotCaptured => matches!(depth(&process), Depth::One | Depth::NotCaptured),
        Links::Differ => false,
    }
}

/// What the links of a process and of ourselves say about their pid namespaces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Links {
    /// It is one, and the table's is that or one above it: if it has one number there, that.
    Same,
    /// Whoever captured the table saw it from one namespace, and did not copy the links.
    NotCaptured,
    /// They are two, or it cannot be told.
    Differ,
}

/// Our own pid namespace, as the table tells it.
#[derive(Debug)]
pub(super) struct Own {
    link: Result<Vec<u8>, Errno>,
    is_live: bool,
    /// A `/proc` that was mounted for another pid namespace calls us by another number, or by none.
    is_our_own_table: bool,
}

impl Own {
    pub(super) fn read(table: &Directory, is_live: bool) -> Own {
        let number = std::process::id().to_string();
        let is_our_own_table = table.link("self").is_ok_and(|link| link == number.as_bytes());
        Own { link: table.link("self/ns/pid"), is_live, is_our_own_table }
    }

    pub(super) fn compare(&self, theirs: Result<Vec<u8>, Errno>) -> Links {
        match (&theirs, &self.link) {
            (Ok(theirs), Ok(ours))
                if theirs == ours && (!self.is_live || self.is_our_own_table) =>
            {
                Links::Same
            }
            (Err(Errno::NOENT), Err(Errno::NOENT)) if !self.is_live => Links::NotCaptured,
            _ => Links::Differ,
        }
    }
}

/// Returns the number that `pid` has in a nested pid namespace, `None` if it is in that of the
/// table. It has the same one for all its life.
pub(super) fn nested_pid(root: &Path, pid: i32) -> Result<Option<i32>, Failure> {
    let mut status = Vec::new();
    Directory::open(root)?.read_of(pid, "status", STATUS_BYTES_MAX, &mut status)?;
    Ok(inner_pid(&status))
}

/// Inode of the first pid namespace: `PROC_PID_INIT_INO`, the same on every kernel since 3.8.
const FIRST: &str = "pid:[4026531836]";

/// Returns true if the table's own pid namespace is the host's first one.
pub(in super::super) fn is_first_pid_namespace(root: &Path) -> bool {
    read_link(root.join("self/ns/pid")).is_ok_and(|link| link.as_os_str() == FIRST)
}

#[derive(Debug, Eq, PartialEq)]
enum Depth {
    One,
    NotCaptured,
    Other,
}

/// Several values mean a nested namespace: 2026.4.15 in a container has `NSpid: 32553 1` seen
/// from its host.
fn depth(process: &Directory) -> Depth {
    let mut status = Vec::new();
    match process.read("status", STATUS_BYTES_MAX, &mut status) {
        Ok(()) if namespace_depth(&status) == Some(1) => Depth::One,
        Err(Errno::NOENT) => Depth::NotCaptured,
        Ok(()) | Err(_) => Depth::Other,
    }
}

#[cfg(test)]
mod tests {
    use crate::observe::process::captured::Captured;

    use super::*;

    #[track_caller]
    fn check(captured: &Captured, want: bool) {
        assert_eq!(shares_pid_namespace(captured.root(), false, 7), want);
    }

    fn status(values: &str) -> Vec<u8> {
        format!("Name:\tx\nNSpid:\t{values}\n").into_bytes()
    }

    #[test]
    fn links_are_compared_where_they_were_captured() {
        let same = Captured::new();
        same.link("self/ns/pid", "pid:[1]").link("7/ns/pid", "pid:[1]");
        check(&same, false);
        check(same.file("7/status", &status("7")), true);
        check(same.file("7/status", &status("7 1")), false);
        check(same.file("7/status", b"Name:\tx\n"), false);

        let other = Captured::new();
        other.link("self/ns/pid", "pid:[1]").link("7/ns/pid", "pid:[2]");
        check(other.file("7/status", &status("7")), false);

        let half = Captured::new();
        check(half.link("self/ns/pid", "pid:[1]").file("7/status", &status("7")), false);
        let half = Captured::new();
        check(half.link("7/ns/pid", "pid:[1]").file("7/status", &status("7")), false);
    }

    #[test]
    fn a_capture_without_links_is_one_view() {
        let captured = Captured::new();
        check(&captured, false);
        check(captured.process(7, 1, 1, b"x"), true);
        check(captured.file("7/status", &status("7")), true);
        check(captured.file("7/status", &status("7 1")), false);
        assert!(!shares_pid_namespace(captured.root(), true, 7), "the live table has links");
    }
}
