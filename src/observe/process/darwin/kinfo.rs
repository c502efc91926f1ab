//! `struct kinfo_proc`: what the kernel says of every process, zombies and those of others too.

use super::super::Process;
use super::TICKS;
use crate::model::ProcessId;

/// `SSTOP` and `SZOMB` of `<sys/proc.h>`, and the two that a process passes through.
const CREATED: i8 = 1;
const RUNNING: i8 = 2;
const STOPPED: i8 = 4;
const ZOMBIE: i8 = 5;

/// `P_TRACED`.
const TRACED: i32 = 0x800;

/// `NODEV`.
const NO_DEVICE: i32 = -1;

/// The fields that matter here, under the names of what they mean.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) struct Kinfo {
    /// `kp_proc.p_pid`.
    pub(in super::super) pid: i32,
    /// `kp_proc.p_un.__p_starttime`: seconds and microseconds.
    pub(in super::super) start: (i64, i32),
    /// `kp_proc.p_flag`.
    pub(in super::super) flags: i32,
    /// `kp_proc.p_stat`.
    pub(in super::super) status: i8,
    /// `kp_proc.p_comm`: of the last exec; a title does not change it.
    pub(in super::super) name: [u8; 17],
    /// `kp_eproc.e_ppid`.
    pub(in super::super) parent: i32,
    /// `kp_eproc.e_pgid`.
    pub(in super::super) group: i32,
    /// `kp_eproc.e_tdev`.
    pub(in super::super) terminal: i32,
    /// `kp_eproc.e_ucred.cr_uid`.
    pub(in super::super) uid: u32,
}

impl Kinfo {
    /// Returns the identity; `None` if the start makes no sense.
    pub(in super::super) fn id(&self) -> Option<ProcessId> {
        let (seconds, micros) = self.start;
        let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0)?;
        let micros = u64::try_from(micros).ok().filter(|micros| *micros < TICKS)?;
        let start_ticks = seconds.checked_mul(TICKS)?.checked_add(micros)?;
        Some(ProcessId { pid: self.pid, start_ticks })
    }

    /// Returns true if nothing of it runs any more. A main thread that ended before the others
    /// makes no zombie on Darwin.
    pub(in super::super) fn has_ended(&self) -> bool {
        self.status == ZOMBIE
    }

    /// Returns true if a debugger has it, which is its parent meanwhile.
    pub(in super::super) fn is_traced(&self) -> bool {
        self.flags & TRACED != 0
    }

    /// Returns the state letter of Linux. A kernel that never says `SSLEEP` calls all that live
    /// running.
    pub(in super::super) fn state(&self) -> char {
        match self.status {
            CREATED | RUNNING => 'R',
            STOPPED if self.is_traced() => 't',
            STOPPED => 'T',
            ZOMBIE => 'Z',
            _ => 'S',
        }
    }

    /// Returns the device number of the controlling terminal; zero if there is none.
    pub(in super::super) fn tty(&self) -> i32 {
        if self.terminal == NO_DEVICE { 0 } else { self.terminal }
    }

    /// Returns the process, its executable not known yet, or `None` if its start makes no sense.
    pub(in super::super) fn process(&self, session: i32, cmdline: Vec<u8>) -> Option<Process> {
        Some(Process {
            id: self.id()?,
            parent: self.parent,
            group: self.group,
            session,
            tty: self.tty(),
            uid: self.uid,
            state: self.state(),
            cmdline,
            program: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::kinfo;
    use super::*;

    #[test]
    fn the_start_counts_in_microseconds() {
        let start = |start| Kinfo { start, ..kinfo(7) }.id().map(|id| id.start_ticks);
        assert_eq!(start((1_795_000_000, 123_456)), Some(1_795_000_000_123_456));
        assert_eq!(start((1, 999_999)), Some(1_999_999));
        assert_eq!(kinfo(7).id().unwrap().pid, 7);
    }

    #[test]
    fn a_start_that_makes_no_sense_is_no_identity() {
        for start in [(0, 5), (-1, 0), (5, -1), (5, 1_000_000), (i64::MAX, 0), (i64::MIN, 0)] {
            assert_eq!(Kinfo { start, ..kinfo(7) }.id(), None, "{start:?}");
            assert_eq!(Kinfo { start, ..kinfo(7) }.process(1, Vec::new()), None, "{start:?}");
        }
    }

    #[test]
    fn states_are_the_letters_that_guards_know() {
        let state = |status, flags| Kinfo { status, flags, ..kinfo(7) }.state();
        for (status, want) in [(1, 'R'), (2, 'R'), (3, 'S'), (4, 'T'), (5, 'Z'), (9, 'S')] {
            assert_eq!(state(status, 0), want, "{status}");
        }
        assert_eq!(state(4, 0x4804), 't');
        assert_eq!(state(2, 0x800), 'R');
        assert!(Kinfo { status: 5, ..kinfo(7) }.has_ended() && !kinfo(7).has_ended());
    }

    #[test]
    fn no_device_is_no_terminal() {
        let tty = |terminal| Kinfo { terminal, ..kinfo(7) }.tty();
        assert_eq!((tty(-1), tty(0x1000_0003), tty(0)), (0, 0x1000_0003, 0));
    }
}
