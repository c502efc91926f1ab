//! The facts of one process, from stat and status.

use std::io;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::Pid;

use super::super::Facts;
use super::after_boot;
use super::files::{Directory, gone, is_missing, malformed};
use super::sight::{ATTEMPTS, is_no_process};
use super::stat::{STAT_BYTES_MAX, Stat};
use super::status::{
    STATUS_BYTES_MAX, effective_user, namespace_depth, resident, thread_group, tracer,
};
use crate::model::ProcessId;

/// Asks for the facts of whatever has this number now.
pub(super) fn facts(root: &Path, is_live: bool, pid: i32) -> io::Result<Facts> {
    let number = Pid::from_raw(pid.max(0)).ok_or(io::ErrorKind::InvalidInput)?;
    let table = Directory::open(root)?;
    if !is_live {
        return match read_new(&table, pid) {
            Err(error) if is_missing(&error) && is_captured_in_part(&table, pid) => {
                Err(malformed(pid, "directory"))
            }
            other => other,
        };
    }
    for _ in 0..ATTEMPTS {
        match read_new(&table, pid) {
            // `/proc` alone may hide what exists; or the number is another process's since then.
            Err(error) if is_missing(&error) && !is_no_process(&table, number) => {}
            other => return other,
        }
    }
    let text = format!("pid {pid} exists, but this process table does not show it");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
}

fn read_new(table: &Directory, pid: i32) -> io::Result<Facts> {
    read(&table.process(pid).map_err(gone)?, pid)
}

/// Reads through the directory of the process, so that all is of one life.
pub(super) fn read(directory: &Directory, pid: i32) -> io::Result<Facts> {
    let mut buffer = Vec::new();
    directory.read("stat", STAT_BYTES_MAX, &mut buffer).map_err(gone)?;
    let stat = Stat::parse(&buffer).ok_or_else(|| malformed(pid, "stat"))?;
    directory.read("status", STATUS_BYTES_MAX, &mut buffer).map_err(gone)?;
    if thread_group(&buffer).is_some_and(|group| group != pid) {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("{pid} is a thread")));
    }
    join(pid, &stat, &buffer).ok_or_else(|| malformed(pid, "status"))
}

fn join(pid: i32, stat: &Stat, status: &[u8]) -> Option<Facts> {
    Some(Facts {
        id: ProcessId { pid, start_ticks: stat.start_ticks },
        parent: stat.parent,
        group: stat.group,
        session: stat.session,
        tty: stat.tty,
        state: stat.state,
        has_ended: stat.has_ended(),
        uid: effective_user(status)?,
        tracer: tracer(status)?,
        is_nested: namespace_depth(status)? != 1,
        cpu: after_boot(stat.cpu_ticks),
        resident: resident(status),
    })
}

fn is_captured_in_part(table: &Directory, pid: i32) -> bool {
    let lacks = |name: &&str, process: &Directory| process.file(name, OFlags::PATH).is_err();
    table
        .process(pid)
        .is_ok_and(|process| ["stat", "status"].iter().any(|name| lacks(name, &process)))
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::time::Duration;

    use crate::observe::process::captured::Captured;

    use super::*;

    fn status(of: &str) -> String {
        format!("Name:\tx\nTgid:\t{of}\nTracerPid:\t0\nUid:\t1\t2\t3\t4\nNSpid:\t7\n")
    }

    #[track_caller]
    fn check(captured: &Captured, pid: i32, want: ErrorKind) {
        assert_eq!(facts(captured.root(), false, pid).unwrap_err().kind(), want);
    }

    #[test]
    fn a_captured_process_has_the_facts_of_its_files() {
        let captured = Captured::new();
        captured.process(7, 3, 100, b"x").file("7/status", status("7").as_bytes());
        let id = ProcessId { pid: 7, start_ticks: 100 };
        let want = Facts {
            id,
            parent: 3,
            group: 7,
            session: 7,
            tty: 0,
            state: 'S',
            has_ended: false,
            uid: 2,
            tracer: 0,
            is_nested: false,
            cpu: after_boot(3),
            resident: None,
        };
        assert_eq!(facts(captured.root(), false, 7).unwrap(), want);
        assert!(want.cpu > Duration::ZERO);

        let other = status("7").replace("TracerPid:\t0", "VmRSS:\t8 kB\nTracerPid:\t9") + "\t1";
        captured.state(7, 'Z', 1, 100).file("7/status", other.trim().as_bytes());
        let zombie = facts(captured.root(), false, 7).unwrap();
        assert_eq!((zombie.state, zombie.has_ended, zombie.parent), ('Z', true, 1));
        assert_eq!((zombie.tracer, zombie.resident), (9, Some(8192)));
    }

    #[test]
    fn a_recycled_number_has_the_facts_of_its_new_bearer() {
        let captured = Captured::new();
        captured.process(7, 3, 100, b"x").file("7/status", status("7").as_bytes());
        let before = facts(captured.root(), false, 7).unwrap().id;
        captured.process(7, 3, 101, b"x");
        assert_ne!(facts(captured.root(), false, 7).unwrap().id, before);
    }

    #[test]
    fn two_numbers_mean_a_nested_namespace() {
        let captured = Captured::new();
        let nested = status("7").replace("NSpid:\t7", "NSpid:\t7\t1");
        captured.process(7, 3, 100, b"x").file("7/status", nested.as_bytes());
        assert!(facts(captured.root(), false, 7).unwrap().is_nested);
    }

    #[test]
    fn only_a_missing_process_or_a_thread_is_not_found() {
        let captured = Captured::new();
        check(&captured, 7, ErrorKind::NotFound);
        captured.process(7, 1, 5, b"x");
        check(&captured, 7, ErrorKind::InvalidData);
        captured.file("7/status", status("6").as_bytes());
        check(&captured, 7, ErrorKind::NotFound);
        captured.file("7/stat", b"torn (");
        check(&captured, 7, ErrorKind::InvalidData);
        for pid in [0, -1, i32::MIN] {
            check(&captured, pid, ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn a_fact_that_is_missing_has_no_default() {
        let captured = Captured::new();
        captured.process(7, 1, 5, b"x");
        for line in ["TracerPid:\t0", "Uid:\t1\t2\t3\t4", "NSpid:\t7"] {
            let status = status("7").replace(line, "Other:\t1");
            captured.file("7/status", status.as_bytes());
            check(&captured, 7, ErrorKind::InvalidData);
        }
    }

    #[test]
    fn what_the_table_hides_is_not_gone() {
        let ourselves = i32::try_from(std::process::id()).unwrap();
        let captured = Captured::new();
        let hidden = facts(captured.root(), true, ourselves).unwrap_err();
        assert_eq!(hidden.kind(), ErrorKind::PermissionDenied);
        check(&captured, ourselves, ErrorKind::NotFound);
    }
}
