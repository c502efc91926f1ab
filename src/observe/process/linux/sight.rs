//! One pid, looked at anew.

use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open, test_kill_process};

use super::files::{Directory, Failure};
use super::reading::{self, Reading};
use super::status::{STATUS_BYTES_MAX, thread_group};
use crate::model::ProcessId;

/// A pid that passes from one process to another while it is looked at is looked at again, this
/// often. Once is rare; more often, nothing can be said.
pub(super) const ATTEMPTS: usize = 3;

/// What is under a pid, by the kernel or by the captured files.
#[derive(Debug)]
pub(in super::super) enum Look {
    /// No process, or one that has ended, or a thread of another.
    Absent,
    /// A process.
    Present { id: ProcessId, cmdline: Vec<u8> },
    /// Nothing can be said.
    Hidden,
}

/// Looks at `pid`. A table that cannot be opened hides everything.
pub(in super::super) fn look(root: &Path, is_live: bool, pid: i32) -> Look {
    // 0 and negative numbers mean process groups, and 1 is nobody's lock holder.
    if pid < 2 {
        return Look::Hidden;
    }
    match (Directory::open(root), Pid::from_raw(pid)) {
        (Ok(table), Some(number)) if is_live => look_live(&table, number),
        (Ok(table), _) => look_captured(&table, pid),
        (Err(_), _) => Look::Hidden,
    }
}

fn look_captured(table: &Directory, pid: i32) -> Look {
    match table.process(pid) {
        Err(Errno::NOENT) => Look::Absent,
        Err(_) => Look::Hidden,
        Ok(_) => match reading::read(table, pid, &mut Vec::new()) {
            Ok(reading) => present(reading),
            Err(Failure::Gone | Failure::Unreadable) => Look::Hidden,
        },
    }
}

/// The kernel is asked first, `/proc` after: `/proc` alone may hide what exists (hidepid).
fn look_live(table: &Directory, pid: Pid) -> Look {
    for _ in 0..ATTEMPTS {
        let held = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Held::Pidfd(pidfd),
            Err(Errno::SRCH) => return Look::Absent,
            // A thread, or a number that only a process group still bears.
            Err(Errno::INVAL | Errno::NOENT) if is_no_process(table, pid) => return Look::Absent,
            // A kernel before 5.3, or a sandbox that forbids it.
            Err(Errno::NOSYS | Errno::PERM | Errno::ACCESS) => Held::Number,
            Err(_) => return Look::Hidden,
        };
        if matches!(held, Held::Number) && is_no_process(table, pid) {
            return Look::Absent;
        }
        let reading = match reading::read(table, pid.as_raw_pid(), &mut Vec::new()) {
            Ok(reading) => reading,
            // It ended just now, which the kernel will say; or it is hidden here.
            Err(Failure::Gone) => continue,
            Err(Failure::Unreadable) => return Look::Hidden,
        };
        if held.is_still(table, &reading) {
            return present(reading);
        }
        if reading.stat.has_ended() {
            return Look::Absent;
        }
    }
    Look::Hidden
}

fn present(reading: Reading) -> Look {
    if reading.stat.has_ended() {
        return Look::Absent;
    }
    Look::Present { id: reading.process.id, cmdline: reading.process.cmdline }
}

/// Returns true if it is certain that nothing bears the number, or a thread does.
pub(super) fn is_no_process(table: &Directory, pid: Pid) -> bool {
    if test_kill_process(pid) == Err(Errno::SRCH) {
        return true;
    }
    let mut status = Vec::new();
    table.read_of(pid.as_raw_pid(), "status", STATUS_BYTES_MAX, &mut status).is_ok()
        && thread_group(&status).is_some_and(|group| group != pid.as_raw_pid())
}

/// What ties a number to the process that was read.
#[derive(Debug)]
enum Held {
    Pidfd(OwnedFd),
    /// No pidfd is to be had: compare start ticks.
    Number,
}

impl Held {
    /// Returns true if what was read between is of the process that was held, as it still lives.
    fn is_still(&self, table: &Directory, reading: &Reading) -> bool {
        match self {
            Held::Pidfd(pidfd) => !has_exited(pidfd),
            Held::Number => {
                let id = reading.process.id;
                reading::read_stat(table, id.pid, &mut Vec::new())
                    .is_ok_and(|stat| stat.start_ticks == id.start_ticks)
            }
        }
    }
}

/// A pidfd becomes readable when the last thread has ended.
fn has_exited(pidfd: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(pidfd, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut polled, Some(&at_once)) {
        Ok(0) => false,
        // What cannot be told is taken for a change; then it is looked at again.
        Ok(_) | Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{ProcessId, Sighting};
    use crate::observe::process::Table;
    use crate::observe::process::captured::Captured;

    use super::*;

    #[test]
    fn a_captured_pid_is_absent_only_if_its_directory_is() {
        let captured = Captured::new();
        captured.process(4, 1, 100, b"openclaw-gateway\0").process(5, 1, 1, b"");
        captured.process(6, 1, 1, b"").process(8, 1, 1, b"");
        captured.state(5, 'Z', 1, 1).file("6/stat", b"torn").file("7/cmdline", b"x");
        let table = captured.table();
        let id = ProcessId { pid: 4, start_ticks: 100 };
        let started_at = table.started_at(id);
        assert_eq!(table.sight(4), Sighting::Present { id, started_at, is_openclaw: true });
        assert!(started_at > Captured::BOOTED_AT);
        assert!(table.is_alive(id));
        assert!(!table.is_alive(ProcessId { start_ticks: 99, ..id }));
        assert_eq!(table.sight(5), Sighting::Absent, "zombie");
        assert_eq!(table.sight(6), Sighting::Hidden, "torn stat");
        assert_eq!(table.sight(7), Sighting::Hidden, "no stat");
        assert_eq!(table.sight(9), Sighting::Absent, "no directory");
        captured.without(8);
        assert_eq!(table.sight(8), Sighting::Absent, "looked at anew");
    }

    #[test]
    fn the_kernel_is_never_asked_about_a_captured_pid() {
        let captured = Captured::new();
        let ourselves = i32::try_from(std::process::id()).unwrap();
        assert_eq!(captured.table().sight(ourselves), Sighting::Absent);
    }

    #[test]
    fn numbers_that_are_no_pids_and_a_missing_table_hide() {
        let captured = Captured::new();
        captured.process(1, 0, 0, b"init");
        let table = captured.table();
        for pid in [i32::MIN, -1, 0, 1] {
            assert_eq!(table.sight(pid), Sighting::Hidden, "{pid}");
            assert_eq!(Table::new(Path::new("/proc")).sight(pid), Sighting::Hidden, "{pid}");
        }
        assert_eq!(Table::new(&captured.root().join("none")).sight(7), Sighting::Hidden);
    }

    #[test]
    fn without_pidfds_start_ticks_tie_the_number_to_its_process() {
        let captured = Captured::new();
        captured.process(4, 1, 100, b"x");
        let table = Directory::open(captured.root()).unwrap();
        let reading = reading::read(&table, 4, &mut Vec::new()).unwrap();
        assert!(Held::Number.is_still(&table, &reading));
        captured.process(4, 1, 101, b"x");
        assert!(!Held::Number.is_still(&table, &reading));
        captured.without(4);
        assert!(!Held::Number.is_still(&table, &reading));
    }

    #[test]
    fn a_process_is_never_taken_for_none() {
        let ourselves = rustix::process::getpid();
        let live = Directory::open(Path::new("/proc")).unwrap();
        assert!(!is_no_process(&live, ourselves));
        // Hidden from this table, but the kernel knows it.
        let captured = Captured::new();
        let hidden = Directory::open(captured.root()).unwrap();
        assert!(!is_no_process(&hidden, ourselves));
        assert!(matches!(look_live(&hidden, ourselves), Look::Hidden));
    }

    #[test]
    fn a_number_that_the_kernel_does_not_know_is_no_process() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let number = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let captured = Captured::new();
        assert!(is_no_process(&Directory::open(captured.root()).unwrap(), number));
    }
}
