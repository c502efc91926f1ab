//! The boot and the clocks of macOS.

use std::time::Duration;

use nix::libc::CLOCK_UPTIME_RAW;
use nix::time::{ClockId, clock_gettime};
use sysctl::Sysctl as _;

use super::HostError;
use crate::model::{BootId, UnixMillis};

/// Returns the id of the boot session, and the time of the boot. Like that of Linux, the latter
/// moves when the clock is set.
pub(super) fn boot() -> Result<(BootId, UnixMillis), HostError> {
    let path = || "kern.boottime".into();
    let seconds = sysinfo::System::boot_time()
        .map_err(|error| HostError::Read { path: path(), source: std::io::Error::other(error) })?;
    let millis = i64::try_from(seconds).ok().and_then(|seconds| seconds.checked_mul(1000));
    let booted_at = millis.filter(|millis| *millis > 0).map(UnixMillis);
    let booted_at = booted_at.ok_or_else(|| HostError::BootTime { path: path() })?;
    Ok((boot_id(booted_at), booted_at))
}

/// A boot without an id is told by its time. A clock that is set makes another boot of it: then
/// what was seen before is not used, which costs a second look.
fn boot_id(booted_at: UnixMillis) -> BootId {
    let session = sysctl::Ctl::new("kern.bootsessionuuid").and_then(|name| name.value_string());
    let session = session.unwrap_or_default().trim().to_owned();
    let is_id = !session.is_empty() && session.bytes().all(|byte| byte.is_ascii_graphic());
    BootId(if is_id { session } else { format!("boottime:{}", booted_at.0) })
}

/// Returns how long the host has slept since its boot: only the monotonic clock of macOS runs on.
pub(super) fn slept() -> Duration {
    let read = |clock| clock_gettime(clock).map_or(Duration::ZERO, Duration::from);
    // In this order, the time between the two readings is not taken for sleep.
    let boot = read(ClockId::CLOCK_MONOTONIC);
    let awake = read(ClockId::from_raw(CLOCK_UPTIME_RAW));
    boot.saturating_sub(awake)
}
