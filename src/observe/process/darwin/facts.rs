//! One process, told from what is listed.

use std::io;

use super::super::Facts;
use super::kinfo::Kinfo;
use super::{Kernel, Presence, Usage};
use crate::model::ProcessId;

/// As often a pid is looked at that passes from one process to another meanwhile.
const ATTEMPTS: usize = 3;

/// Returns what the kernel says of `pid`.
pub(in super::super) fn facts(kernel: &impl Kernel, pid: i32) -> io::Result<Facts> {
    if pid < 1 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for _ in 0..ATTEMPTS {
        let Some(kinfo) = kernel.kinfo(pid).filter(|kinfo| kinfo.pid == pid) else {
            if kernel.presence(pid) == Presence::Absent {
                return Err(io::ErrorKind::NotFound.into());
            }
            continue;
        };
        let id = kinfo.id().ok_or_else(|| hidden(pid, "its start makes no sense"))?;
        if kinfo.has_ended() {
            return Ok(join(&kinfo, id, 0, None));
        }
        let (session, usage) = (kernel.session(pid), kernel.usage(pid));
        let is_same = |after: Kinfo| after.id() == Some(id) && !after.has_ended();
        if !kernel.kinfo(pid).is_some_and(is_same) {
            continue;
        }
        let session = session.ok_or_else(|| hidden(pid, "its session is not told"))?;
        let usage = usage.ok_or_else(|| hidden(pid, "its time and memory are not told"))?;
        return Ok(join(&kinfo, id, session, Some(usage)));
    }
    Err(hidden(pid, "it exists, but nothing is told of it"))
}

fn join(kinfo: &Kinfo, id: ProcessId, session: i32, usage: Option<Usage>) -> Facts {
    Facts {
        id,
        parent: kinfo.parent,
        group: kinfo.group,
        session,
        tty: kinfo.tty(),
        state: kinfo.state(),
        has_ended: kinfo.has_ended(),
        uid: kinfo.uid,
        tracer: if kinfo.is_traced() { kinfo.parent } else { 0 },
        is_nested: false,
        cpu: usage.map_or_else(Default::default, |usage| usage.cpu),
        resident: usage.map(|usage| usage.resident),
    }
}

fn hidden(pid: i32, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, format!("pid {pid}: {why}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::scripted::{Scripted, USAGE, kinfo};
    use super::*;

    #[track_caller]
    fn check(kernel: &Scripted, pid: i32, want: io::ErrorKind) {
        assert_eq!(facts(kernel, pid).unwrap_err().kind(), want);
    }

    #[test]
    fn all_facts_of_a_living_process_are_told() {
        let traced = Kinfo { flags: 0x800, status: 4, parent: 3, ..kinfo(7) };
        let kernel = Scripted::default().runs(kinfo(5), &["x"]).runs(traced, &["x"]);
        let want = Facts {
            id: kinfo(5).id().unwrap(),
            parent: 1,
            group: 5,
            session: 5,
            tty: 0,
            state: 'R',
            has_ended: false,
            uid: 501,
            tracer: 0,
            is_nested: false,
            cpu: USAGE.cpu,
            resident: Some(USAGE.resident),
        };
        assert_eq!(facts(&kernel, 5).unwrap(), want);
        let traced = facts(&kernel, 7).unwrap();
        assert_eq!((traced.tracer, traced.state), (3, 't'));
    }

    #[test]
    fn a_zombie_is_found_and_has_nothing() {
        let kernel = Scripted::default().runs(Kinfo { status: 5, ..kinfo(7) }, &[]);
        let zombie = facts(&kernel, 7).unwrap();
        assert_eq!((zombie.state, zombie.has_ended, zombie.resident), ('Z', true, None));
        assert_eq!(zombie.cpu, Duration::ZERO);
    }

    #[test]
    fn only_esrch_is_not_found() {
        let mut kernel = Scripted::default().runs(kinfo(7), &["x"]);
        check(&kernel, 9, io::ErrorKind::NotFound);
        for pid in [0, -1, i32::MIN] {
            check(&kernel, pid, io::ErrorKind::InvalidInput);
        }
        kernel.refuse(9);
        check(&kernel, 9, io::ErrorKind::PermissionDenied);
        kernel.hide(7);
        check(&kernel, 7, io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_fact_that_is_missing_has_no_default() {
        let mut kernel = Scripted::default().runs(kinfo(7), &["x"]);
        kernel = kernel.runs(Kinfo { start: (0, 0), ..kinfo(8) }, &["x"]);
        check(&kernel, 8, io::ErrorKind::PermissionDenied);
        kernel.silence(7);
        check(&kernel, 7, io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn facts_of_two_processes_are_never_mixed() {
        let later = Kinfo { start: (1_795_000_001, 0), parent: 9, ..kinfo(7) };
        let kernel = Scripted::default().runs(kinfo(7), &["x"]).becomes(1, later, &["y"]);
        let facts = facts(&kernel, 7).unwrap();
        assert_eq!((Some(facts.id), facts.parent), (later.id(), 9));
    }
}
