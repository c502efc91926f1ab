//! Wall-clock instants.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch. Foreign values may be negative or far in the future.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Returns how long ago `earlier` was, or zero if it lies in the future.
    ///
    /// An instant in the future means a clock step or a corrupt file. Both make an object
    /// look young, and young objects are never acted on.
    #[must_use]
    pub fn since(self, earlier: UnixMillis) -> Duration {
        let millis = i128::from(self.0) - i128::from(earlier.0);
        Duration::from_millis(u64::try_from(millis.max(0)).unwrap_or(u64::MAX))
    }

    /// Returns the instant `by` later, at most the last representable one.
    #[must_use]
    pub fn plus(self, by: Duration) -> UnixMillis {
        UnixMillis(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Returns the instant `by` earlier, at least the first representable one.
    #[must_use]
    pub fn minus(self, by: Duration) -> UnixMillis {
        UnixMillis(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Reads an RFC 3339 instant.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<UnixMillis> {
        text.parse::<jiff::Timestamp>().ok().map(|at| UnixMillis(at.as_millisecond()))
    }
}

impl fmt::Display for UnixMillis {
    /// RFC 3339 in UTC with milliseconds, or the bare number where no calendar reaches.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_future_is_zero_ago() {
        assert_eq!(UnixMillis(5).since(UnixMillis(9)), Duration::ZERO);
        assert_eq!(UnixMillis(9).since(UnixMillis(5)), Duration::from_millis(4));
    }

    #[test]
    fn extremes_neither_wrap_nor_panic() {
        let (first, last) = (UnixMillis(i64::MIN), UnixMillis(i64::MAX));
        assert_eq!(first.since(last), Duration::ZERO);
        assert_eq!(last.since(first), Duration::from_millis(u64::MAX));
        assert_eq!(last.plus(Duration::MAX), last);
        assert_eq!(first.minus(Duration::MAX), first);
        assert_eq!(last.to_string(), "9223372036854775807 ms");
    }

    #[test]
    fn reads_and_writes_what_the_gateway_writes() {
        let at = UnixMillis::from_rfc3339("2026-11-20T07:21:32.734Z").unwrap();
        assert_eq!(at, UnixMillis(1_795_159_292_734));
        assert_eq!(at.to_string(), "2026-11-20T07:21:32.734Z");
        assert_eq!(UnixMillis::from_rfc3339("yesterday"), None);
    }
}
