//! One pid, looked at anew.

use super::kinfo::Kinfo;
use super::{Kernel, Presence};
use crate::model::ProcessId;

/// A pid that passes from one process to another while it is looked at is looked at again, this
/// often. Once is rare; more often, nothing can be said.
const ATTEMPTS: usize = 3;

/// What is under a pid.
#[derive(Debug, Eq, PartialEq)]
pub(in super::super) enum Look {
    /// No process, or one that has ended.
    Absent,
    /// A process.
    Present { id: ProcessId, cmdline: Vec<u8> },
    /// Nothing can be said.
    Hidden,
}

/// Looks at `pid`. Signal 0 decides what is absent, never the silence of the table.
pub(in super::super) fn look(kernel: &impl Kernel, pid: i32) -> Look {
    // 0 and negative numbers mean process groups, and 1 is nobody's lock holder.
    if pid < 2 {
        return Look::Hidden;
    }
    for _ in 0..ATTEMPTS {
        match kernel.presence(pid) {
            Presence::Absent => return Look::Absent,
            Presence::Unknown => return Look::Hidden,
            Presence::There => {}
        }
        let kinfo = kernel.kinfo(pid);
        if kinfo.is_some_and(|kinfo| kinfo.pid == pid && kinfo.has_ended()) {
            return Look::Absent;
        }
        // It ended just now, which the kernel will say; or it is hidden.
        let Some(id) = living(kinfo, pid) else { continue };
        let cmdline =
            kernel.arguments(&[pid]).pop().map_or_else(Vec::new, |(_, found)| found.cmdline);
        if living(kernel.kinfo(pid), pid) == Some(id) {
            return Look::Present { id, cmdline };
        }
    }
    Look::Hidden
}

fn living(kinfo: Option<Kinfo>, pid: i32) -> Option<ProcessId> {
    kinfo.filter(|kinfo| !kinfo.has_ended())?.id().filter(|id| id.pid == pid)
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{Scripted, kinfo};
    use super::*;

    fn zombie(pid: i32) -> Kinfo {
        Kinfo { status: 5, ..kinfo(pid) }
    }

    #[test]
    fn a_living_process_is_present_with_its_arguments() {
        let kernel = Scripted::default().runs(kinfo(7), &["openclaw-gateway"]);
        let id = kinfo(7).id().unwrap();
        let cmdline = b"openclaw-gateway".to_vec();
        assert_eq!(look(&kernel, 7), Look::Present { id, cmdline });
        assert_eq!(id.start_ticks, 1_795_000_000_000_007);
    }

    #[test]
    fn only_esrch_and_a_zombie_are_absent() {
        let mut kernel = Scripted::default().runs(kinfo(7), &["x"]).runs(zombie(8), &[]);
        assert_eq!(look(&kernel, 8), Look::Absent);
        assert_eq!(look(&kernel, 9), Look::Absent);
        kernel.hide(7);
        assert_eq!(look(&kernel, 7), Look::Hidden, "signal 0 reaches it, the table is silent");
        kernel.refuse(9);
        assert_eq!(look(&kernel, 9), Look::Hidden, "any other error");
    }

    #[test]
    fn numbers_that_are_no_pids_hide() {
        let kernel = Scripted::default().runs(kinfo(1), &["launchd"]);
        for pid in [i32::MIN, -1, 0, 1] {
            assert_eq!(look(&kernel, pid), Look::Hidden, "{pid}");
        }
    }

    #[test]
    fn a_pid_that_passes_to_another_process_meanwhile_is_looked_at_again() {
        let later = Kinfo { start: (1_795_000_001, 0), ..kinfo(7) };
        let kernel = Scripted::default().runs(kinfo(7), &["node"]).becomes(1, later, &["vim"]);
        let want = Look::Present { id: later.id().unwrap(), cmdline: b"vim".to_vec() };
        assert_eq!(look(&kernel, 7), want);
        let mut kernel = Scripted::default().runs(kinfo(7), &["node"]);
        for turn in 0..9_u8 {
            let start = (1_795_000_001 + i64::from(turn), 0);
            kernel = kernel.becomes(usize::from(turn) + 1, Kinfo { start, ..kinfo(7) }, &["x"]);
        }
        assert_eq!(look(&kernel, 7), Look::Hidden, "a different one each time");
    }

    #[test]
    fn what_ends_meanwhile_is_absent() {
        let kernel = Scripted::default().runs(kinfo(7), &["node"]).becomes(1, zombie(7), &[]);
        assert_eq!(look(&kernel, 7), Look::Absent);
    }

    #[test]
    fn a_start_that_makes_no_sense_hides() {
        let torn = Kinfo { start: (0, 0), ..kinfo(7) };
        assert_eq!(look(&Scripted::default().runs(torn, &["x"]), 7), Look::Hidden);
    }
}
