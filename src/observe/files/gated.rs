//! Reuse of what was read from a file that has not changed.

use std::time::Duration;

use crate::model::{FileStamp, UnixMillis};

/// How old a modification time must be before it can be told from that of a later write. File
/// systems count in steps of up to 2 s (FAT); ext4 in those of the kernel's tick.
pub(in crate::observe) const SETTLES_AFTER: Duration = Duration::from_secs(2);

/// A value, and the incarnation of the file that it was read from.
#[derive(Debug)]
pub(in crate::observe) struct Gated<T> {
    stamp: FileStamp,
    is_settled: bool,
    /// What was read.
    pub(in crate::observe) value: T,
}

impl<T> Gated<T> {
    /// Keeps `value`, read at `now` or later from the file with this stamp.
    pub(in crate::observe) fn new(stamp: FileStamp, now: UnixMillis, value: T) -> Gated<T> {
        Gated { stamp, is_settled: is_settled(stamp, now), value }
    }

    /// Returns true if a file with this stamp holds what was read.
    pub(in crate::observe) fn is_current(&self, stamp: FileStamp) -> bool {
        self.is_settled && self.stamp == stamp
    }
}

/// Returns true if a write after `now` cannot leave the same modification time behind.
pub(in crate::observe) fn is_settled(stamp: FileStamp, now: UnixMillis) -> bool {
    let millis = stamp.mtime_s.saturating_mul(1000).saturating_add(stamp.mtime_ns / 1_000_000);
    now.since(UnixMillis(millis)) >= SETTLES_AFTER
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: FileStamp = FileStamp { dev: 1, ino: 2, bytes: 3, mtime_s: 100, mtime_ns: 5 };

    #[track_caller]
    fn check(now: i64, stamp: FileStamp, want: bool) {
        let gated = Gated::new(STAMP, UnixMillis(now), ());
        assert_eq!(gated.is_current(stamp), want, "{now} {stamp:?}");
    }

    #[test]
    fn is_current_only_for_the_same_file_read_well_after_its_last_write() {
        check(102_000, STAMP, true);
        check(101_999, STAMP, false);
        check(99_000, STAMP, false);
        check(200_000, FileStamp { dev: 9, ..STAMP }, false);
        check(200_000, FileStamp { ino: 9, ..STAMP }, false);
        check(200_000, FileStamp { bytes: 9, ..STAMP }, false);
        check(200_000, FileStamp { mtime_s: 9, ..STAMP }, false);
        check(200_000, FileStamp { mtime_ns: 9, ..STAMP }, false);
    }
}
