//! The boot and the clocks of Linux.

use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::{HostError, boot_in};
use crate::model::{BootId, UnixMillis};

/// Returns the id of the boot, and its time.
pub(super) fn boot() -> Result<(BootId, UnixMillis), HostError> {
    boot_in(Path::new("/proc"), true)
}

/// Returns how long the host has slept since its boot: only the boot clock runs on.
pub(super) fn slept() -> Duration {
    // In this order, the time between the two readings is not taken for sleep.
    let boot = clock_gettime(ClockId::Boottime);
    let awake = clock_gettime(ClockId::Monotonic);
    let of = |time| Duration::try_from(time).unwrap_or_default();
    of(boot).saturating_sub(of(awake))
}
