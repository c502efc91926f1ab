//! Bounded polls for a condition of another process.

use std::thread;
use std::time::{Duration, Instant};

/// The first `Some` that `look` returns.
///
/// # Panics
/// When `limit` has passed without one.
#[track_caller]
pub(crate) fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not reached within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// Lets a threshold pass that is itself a length of time, such as the start grace.
pub(crate) fn pass_time(length: Duration) {
    thread::sleep(length);
}

/// `n` seconds.
pub(crate) const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}
