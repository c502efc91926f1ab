//! What a Darwin kernel says of processes, and what it means. Compiled and tested everywhere; only
//! [`super::macos`] asks the kernel.
//!
//! Nothing here was measured on a Mac. The layouts are those of `<sys/sysctl.h>` and
//! `<sys/proc_info.h>`, which a build for macOS compares with those of the crate libproc; the
//! meaning of the fields is read in Apple's published kernel source. The examples in the tests are
//! made by hand from these definitions. So whatever would permit an action is `Unknown` here:
//! macOS is for reports.
//!
//! Start ticks are microseconds since 1970: the kernel keeps the wall clock's time of the fork, and
//! does not move it when the clock is set. Together with the pid they name one process even across
//! boots.

pub(super) mod arguments;
mod bytes;
pub(super) mod captured;
pub(super) mod descriptor;
pub(super) mod facts;
pub(super) mod kinfo;
pub(super) mod look;
pub(super) mod scan;
#[cfg(test)]
mod scripted;
pub(super) mod socket;

use std::io;
use std::time::Duration;

use crate::model::UnixMillis;
use arguments::Arguments;
use kinfo::Kinfo;

/// Start ticks per second.
const TICKS: u64 = 1_000_000;

/// Returns when a process began. Only for a captured one the boot matters.
pub(super) fn started_at(booted_at: UnixMillis, is_live: bool, start_ticks: u64) -> UnixMillis {
    let (origin, ticks) =
        if is_live { (UnixMillis(0), TICKS) } else { (booted_at, captured::TICKS) };
    let millis = u128::from(start_ticks) * 1000 / u128::from(ticks);
    origin.plus(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
}

/// What is asked of the kernel.
pub(super) trait Kernel {
    /// Lists all pids, those of zombies too, in any order.
    fn pids(&self) -> io::Result<Vec<i32>>;
    /// Returns what it says of a process; `None` if it says nothing, for whatever reason.
    fn kinfo(&self, pid: i32) -> Option<Kinfo>;
    /// Returns whether something bears the number, as signal 0 tells.
    fn presence(&self, pid: i32) -> Presence;
    /// Returns the session of a process.
    fn session(&self, pid: i32) -> Option<i32>;
    /// Returns the arguments and the environment of those processes whose may be read, in the
    /// order of the pids.
    fn arguments(&self, pids: &[i32]) -> Vec<(i32, Arguments)>;
    /// Returns what a living process uses; `None` if that may not be read.
    fn usage(&self, pid: i32) -> Option<Usage>;
}

/// What one process uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Usage {
    /// The time that its threads have spent on processors.
    pub(super) cpu: Duration,
    /// Its resident memory in bytes.
    pub(super) resident: u64,
}

/// What `kill(pid, 0)` says of a number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Presence {
    /// ESRCH: nothing bears it.
    Absent,
    /// Something does, a zombie at least. EPERM says so, too.
    There,
    /// Any other error.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_process_began_when_it_says_whatever_the_boot() {
        let booted_at = UnixMillis(1_795_000_000_000);
        let at = |is_live, ticks| started_at(booted_at, is_live, ticks);
        assert_eq!(at(true, 1_795_000_123_456_789), UnixMillis(1_795_000_123_456));
        assert_eq!(at(false, 250), UnixMillis(1_795_000_002_500));
        assert_eq!(at(false, u64::MAX), UnixMillis(i64::MAX));
        assert!(at(true, u64::MAX) > at(true, u64::MAX - TICKS));
    }
}
