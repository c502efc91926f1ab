//! What the user may set about each policy. Checked before it gets here; see `config`.

use std::time::Duration;

use crate::model::{Mode, SessionKey};

use super::LanePattern;

/// The settings of every policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policies {
    /// A row says `running`, and no run is alive.
    pub stale_lane: StaleLane,
    /// A transcript lock whose holder is dead.
    pub dead_lock: DeadLock,
    /// Exceptions for some lanes, in the order in which they apply.
    pub overrides: Vec<Override>,
}

impl Policies {
    /// Returns the settings of `stale_lane` for one lane: every override that matches, applied
    /// in order. Its `silence` never goes further than its `mode`.
    #[must_use]
    pub fn stale_lane_for(&self, key: &SessionKey) -> StaleLane {
        let mut settings = self.stale_lane.clone();
        let matching = self.overrides.iter().filter(|entry| entry.lane.matches(key));
        for change in matching.filter_map(|entry| entry.stale_lane.as_ref()) {
            settings.mode = change.mode.unwrap_or(settings.mode);
            settings.after = change.after.unwrap_or(settings.after);
            settings.silence = change.silence.unwrap_or(settings.silence);
        }
        settings.silence = lesser(settings.silence, settings.mode);
        settings
    }
}

/// Settings of the policy `stale_lane`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StaleLane {
    /// How far the policy may go.
    pub mode: Mode,
    /// How long the run of a row must have been under way, from its `startedAt`.
    pub after: Duration,
    /// What may be done, in the order in which it is tried. Empty: only reported.
    pub repair: Vec<LaneRepair>,
    /// How far the proof by silence may go: nothing of the run moved for `after`, without a
    /// restart of the gateway in between. The weakest proof, so it has its own switch.
    pub silence: Mode,
}

/// A repair of a lane.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LaneRepair {
    /// Write the end of the dead run into its row, nothing else.
    Settle,
}

/// Settings of the policy `dead_lock`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeadLock {
    /// How far the policy may go.
    pub mode: Mode,
    /// How old a lock must be.
    pub min_age: Duration,
}

/// Other settings for the lanes that match.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Override {
    /// Which lanes.
    pub lane: LanePattern,
    /// What is different for them; `None`: nothing.
    pub stale_lane: Option<StaleLaneOverride>,
}

/// Other settings of `stale_lane`. `None` leaves what was.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StaleLaneOverride {
    /// How far the policy may go.
    pub mode: Option<Mode>,
    /// How long the run must have been under way.
    pub after: Option<Duration>,
    /// How far the proof by silence may go.
    pub silence: Option<Mode>,
}

fn lesser(a: Mode, b: Mode) -> Mode {
    match (a, b) {
        (Mode::Off, _) | (_, Mode::Off) => Mode::Off,
        (Mode::Observe, _) | (_, Mode::Observe) => Mode::Observe,
        (Mode::Enforce, Mode::Enforce) => Mode::Enforce,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_lane_without_override_has_the_general_settings() {
        let policies = policies(vec![after("agent:*:cron:*", HOUR)]);
        assert_eq!(policies.stale_lane_for(&"agent:main:main".into()), policies.stale_lane);
    }

    #[test]
    fn every_matching_override_applies_and_the_last_wins() {
        let silent = StaleLaneOverride { silence: Some(Mode::Off), ..Default::default() };
        let silent = Override { lane: LanePattern::new("*"), stale_lane: Some(silent) };
        let policies =
            policies(vec![after("agent:*", HOUR), silent, after("agent:*:cron:*", 2 * HOUR)]);
        let cron = policies.stale_lane_for(&"agent:main:cron:1".into());
        assert_eq!((cron.after, cron.silence, cron.mode), (2 * HOUR, Mode::Off, Mode::Enforce));
        assert_eq!(policies.stale_lane_for(&"agent:main:main".into()).after, HOUR);
    }

    #[test]
    fn silence_goes_no_further_than_the_policy() {
        let mut policies = policies(Vec::new());
        policies.stale_lane.silence = Mode::Enforce;
        for mode in [Mode::Off, Mode::Observe, Mode::Enforce] {
            policies.stale_lane.mode = mode;
            assert_eq!(policies.stale_lane_for(&"agent:main:main".into()).silence, mode);
        }
    }

    fn after(lane: &str, after: Duration) -> Override {
        let change = StaleLaneOverride { after: Some(after), ..Default::default() };
        Override { lane: LanePattern::new(lane), stale_lane: Some(change) }
    }

    fn policies(overrides: Vec<Override>) -> Policies {
        let stale_lane = StaleLane {
            mode: Mode::Enforce,
            after: Duration::from_secs(1_200),
            repair: vec![LaneRepair::Settle],
            silence: Mode::Observe,
        };
        let dead_lock = DeadLock { mode: Mode::Enforce, min_age: Duration::from_secs(30) };
        Policies { stale_lane, dead_lock, overrides }
    }
}
