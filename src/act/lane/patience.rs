//! How long, and how often, the effect of a call is looked for.

use std::time::{Duration, Instant};

use crate::act::Actuator;

/// The first wait between two looks. An abort shows within a second on 2026.9.6.
const PACE: Duration = Duration::from_millis(250);

/// The longest wait between two looks, so that somebody who waits for us is answered soon.
const PACE_MAX: Duration = Duration::from_secs(2);

/// A bounded time with growing waits in it.
pub(super) struct Patience<'a> {
    actuator: &'a Actuator<'a>,
    begun: Instant,
    waited: Duration,
    pace: Duration,
    within: Duration,
}

impl<'a> Patience<'a> {
    pub(super) fn new(actuator: &'a Actuator<'a>, within: Duration) -> Patience<'a> {
        let (begun, waited) = (Instant::now(), Duration::ZERO);
        Patience { actuator, begun, waited, pace: PACE, within }
    }

    /// Returns how long it lasts already. A test's waits take no time, and count all the same.
    pub(super) fn elapsed(&self) -> Duration {
        self.waited.max(self.begun.elapsed())
    }

    /// Waits until the next look; false if there is no time for one.
    pub(super) fn wait(&mut self) -> bool {
        let left = self.within.saturating_sub(self.elapsed());
        if left.is_zero() || (self.actuator.hurry)() {
            return false;
        }
        let wait = self.pace.min(left);
        (self.actuator.wait)(wait);
        self.waited += wait;
        self.pace = (self.pace * 2).min(PACE_MAX);
        true
    }
}
