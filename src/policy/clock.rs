//! Clock steps and sleep, told from what two looks saw of the host.

use std::time::Duration;

use crate::model::{Host, HostRecord, UnixMillis};

/// How far the boot time may move without the clock having been set. `btime` has whole
/// seconds and is computed anew at each reading, so it flickers by one.
pub(super) const STEP: Duration = Duration::from_secs(2);

/// How much the host must have slept between two looks to count as a resume. Short freezes
/// of a laptop lid or a virtual machine hurt no timer of the gateway.
const SLEPT: Duration = Duration::from_secs(5);

/// Returns what to remember of `host`, seen at `now`, after `earlier`.
#[must_use]
pub fn host_record(earlier: Option<&HostRecord>, host: &Host, now: UnixMillis) -> HostRecord {
    let fresh = HostRecord {
        boot_id: host.boot_id.clone(),
        booted_at: host.booted_at,
        slept: host.slept,
        steady_since: now,
        resumed_at: None,
        stepped_at: None,
    };
    let Some(earlier) = earlier.filter(|earlier| earlier.boot_id == host.boot_id) else {
        return fresh;
    };
    let slept = host.slept.unwrap_or_default().saturating_sub(earlier.slept.unwrap_or_default());
    let resumed_at = if slept >= SLEPT { Some(now) } else { earlier.resumed_at };
    if host.booted_at.0.abs_diff(earlier.booted_at.0) > STEP.as_millis() as u64 {
        return HostRecord { resumed_at, stepped_at: Some(now), ..fresh };
    }
    // The first boot time of a steady stretch is kept, so that a clock that creeps is noticed.
    HostRecord { slept: host.slept, resumed_at, ..earlier.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BootId;

    const NOW: UnixMillis = UnixMillis(1_700_000_100_000);
    const BOOT: i64 = 1_700_000_000_000;

    fn host(booted_at: i64, slept_s: u64) -> Host {
        Host {
            boot_id: BootId("a".to_owned()),
            booted_at: UnixMillis(booted_at),
            slept: Some(Duration::from_secs(slept_s)),
            euid: 0,
        }
    }

    fn next(earlier: &HostRecord, host: &Host) -> HostRecord {
        host_record(Some(earlier), host, NOW.plus(Duration::from_secs(60)))
    }

    #[test]
    fn a_first_look_is_neither_a_step_nor_a_resume() {
        let record = host_record(None, &host(BOOT, 9_000), NOW);
        assert_eq!((record.stepped_at, record.resumed_at), (None, None));
        assert_eq!(record.steady_since, NOW);
    }

    #[test]
    fn a_flickering_boot_time_is_steady_and_a_moved_one_is_a_step() {
        let first = host_record(None, &host(BOOT, 0), NOW);
        assert_eq!(next(&first, &host(BOOT + 1_000, 0)), first);
        assert_eq!(next(&first, &host(BOOT - 2_000, 0)), first);
        let stepped = next(&first, &host(BOOT + 2_001, 0));
        assert!(stepped.stepped_at.is_some());
        assert_eq!(stepped.steady_since, NOW.plus(Duration::from_secs(60)));
    }

    #[test]
    fn a_creeping_clock_is_noticed() {
        let first = host_record(None, &host(BOOT, 0), NOW);
        let second = next(&first, &host(BOOT + 1_500, 0));
        assert!(next(&second, &host(BOOT + 3_000, 0)).stepped_at.is_some());
    }

    #[test]
    fn sleep_between_two_looks_is_a_resume() {
        let first = host_record(None, &host(BOOT, 100), NOW);
        assert_eq!(next(&first, &host(BOOT, 104)).resumed_at, None);
        assert!(next(&first, &host(BOOT, 105)).resumed_at.is_some());
    }

    #[test]
    fn another_boot_starts_anew() {
        let first = host_record(None, &host(BOOT, 100), NOW);
        let other = Host { boot_id: BootId("b".to_owned()), ..host(BOOT + 50_000, 0) };
        assert_eq!(next(&first, &other).stepped_at, None);
    }
}
