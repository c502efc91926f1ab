//! The clocks of Linux.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Returns how long the host has slept since its boot: only the boot clock runs on.
pub(super) fn slept() -> Duration {
    // In this order, the time between the two readings is not taken for sleep.
    let boot = clock_gettime(ClockId::Boottime);
    let awake = clock_gettime(ClockId::Monotonic);
    let of = |time| Duration::try_from(time).unwrap_or_default();
    of(boot).saturating_sub(of(awake))
}
