//! Linux: `/proc`, and pidfds where a number must mean one process.

mod activity;
mod claimants;
mod control_group;
mod environ;
mod facts;
#[cfg(test)]
mod facts_live_tests;
mod files;
mod inet_diag;
mod inspection;
mod link;
mod listener;
#[cfg(test)]
mod live_tests;
mod memory;
mod namespace;
mod offspring;
mod reading;
mod rota;
mod scan;
mod shell;
mod sight;
mod stat;
mod status;
mod stdio;
mod unix_listener;

use std::time::Duration;

use crate::model::UnixMillis;

pub(super) use claimants::{claimants, shares_listener, shares_network};
pub(super) use environ::environ;
pub(super) use inspection::{Inspection, Inspector};
pub(super) use link::exe;
pub(super) use listener::Listeners;
pub(super) use memory::{memory, resident};
pub(super) use namespace::{is_first_pid_namespace, shares_pid_namespace};
pub use offspring::Offspring;
pub(super) use scan::Scan;
pub(super) use sight::{Look, look};
pub use stdio::Sockets;
pub(super) use unix_listener::listens_on_unix;

/// Returns the time since the boot, sleep included: the clock of the start ticks, which nobody
/// can set.
pub(super) fn uptime() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(now).unwrap_or_default()
}

/// The gateway writes field 22 of `/proc/PID/stat` into its locks.
pub(super) const COUNTS_AS_THE_GATEWAY: bool = true;

/// Returns when a process began.
pub(super) fn started_at(booted_at: UnixMillis, _is_live: bool, start_ticks: u64) -> UnixMillis {
    booted_at.plus(after_boot(start_ticks))
}

/// Returns how long after the boot a start tick is.
fn after_boot(start_ticks: u64) -> Duration {
    let millis = u128::from(start_ticks) * 1000 / u128::from(ticks_per_second());
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// Returns the start tick of a process that begins this long after the boot.
fn ticks_at(uptime: Duration) -> u64 {
    let ticks = uptime.as_millis() * u128::from(ticks_per_second()) / 1000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

fn ticks_per_second() -> u64 {
    rustix::param::clock_ticks_per_second().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_times_are_each_others_inverse() {
        assert_eq!(after_boot(0), Duration::ZERO);
        assert_eq!(ticks_at(after_boot(4242)), 4242);
        assert_eq!(after_boot(ticks_per_second() * 7), Duration::from_secs(7));
    }

    #[test]
    fn hostile_ticks_neither_wrap_nor_panic() {
        assert!(after_boot(u64::MAX) >= after_boot(u64::MAX - 1));
        assert_eq!(ticks_at(Duration::MAX), u64::MAX);
    }
}
