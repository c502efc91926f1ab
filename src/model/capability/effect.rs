//! What a repair does to a lane, by version.

use super::{Capabilities, SessionKey, Version};
use crate::model::Rung;

/// What a rung does on a version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// As it should.
    Works,
    /// Only where no live process holds the lane's lock: else the dying run writes over it.
    NotBesideALock,
    /// Ends the run, and drops the messages that wait behind it.
    LosesWaiting,
    /// Nothing, or it is not known.
    Unproven,
    /// The version does not have it.
    Absent,
}

/// From here on a reset waits for the run that it ends (measured on 2026.7.1 and 2026.9.6). Up to
/// 2026.5.7 the dying run writes the old session id back over an archived transcript, which leaves
/// an empty conversation (measured on 2026.3.24, 4.15 and 5.7).
const RESETS_CLEANLY: Version = Version::new(2026, 7, 1);
/// The last version on which a reset was seen to race the dying run. Between this one and
/// [`RESETS_CLEANLY`] it was not run, and 2026.5.28 lets go of the lock during a prompt, so that
/// the lock tells nothing either.
const RESET_RACES: Version = Version::new(2026, 5, 7);
/// The last version on which `sessions.steer` was seen to interrupt a hung run: lock free, row ended,
/// same session after 7 s, of an `agent` run and of a cron run (measured on 2026.4.15). On 2026.3.24
/// cron runs were not tried.
const STEERS: Version = Version::new(2026, 4, 15);
/// Messages that wait behind a run are dropped by its abort (measured on 2026.5.7 and 2026.7.1); those
/// in between were not tried, and are taken for the same. 2026.4.15 and 2026.9.6 keep them (measured;
/// 2026.9.6 only if the abort names its run).
const DROPS_WAITING: std::ops::RangeInclusive<Version> =
    Version::new(2026, 5, 7)..=Version::new(2026, 7, 1);
/// `sessions.recover`, and resets of lanes of every kind (measured on 2026.9.6).
const RECOVERS: Version = Version::new(2026, 9, 6);
/// Refuses to abort subagent runs, with `unauthorized` (#111887).
const REFUSES_SUBAGENTS: Version = Version::new(2026, 7, 1);

impl Capabilities {
    /// Returns what `rung` does to a live run of `key`. `Works` of an abort means: of a run that
    /// it reaches (see [`Capabilities::abort`]); any other is left alone. `Works` of a recover
    /// means: where the lane is tombstoned; elsewhere it is refused.
    #[must_use]
    pub fn effect(&self, rung: Rung, key: &SessionKey) -> Effect {
        let is_plain = !(key.is_cron() || key.is_subagent() || key.is_acp());
        if key.is_acp() && self.ignores_acp() && matches!(rung, Rung::Abort | Rung::Steer) {
            return Effect::Unproven;
        }
        match rung {
            Rung::Abort if !self.abort.may_cover(key) || self.refuses(key) => Effect::Unproven,
            Rung::Abort if DROPS_WAITING.contains(&self.facts_of) => Effect::LosesWaiting,
            Rung::Abort => Effect::Works,
            Rung::Steer if key.is_cron() => works(self.facts_of == STEERS),
            Rung::Steer => works(self.facts_of <= STEERS),
            Rung::Recover => self.recover(),
            Rung::Reset if self.facts_of >= RECOVERS => Effect::Works,
            Rung::Reset if !is_plain => Effect::Unproven,
            Rung::Reset if self.facts_of <= RESET_RACES => Effect::NotBesideALock,
            // Up to 2026.5.7 the transcript is archived, and run, lock and lane stay.
            Rung::Reset | Rung::New => works(self.facts_of >= RESETS_CLEANLY && is_plain),
        }
    }

    /// Returns what `rung` does to a lane that is proven to have no run: whether its row says so
    /// afterwards. Right after an unclean start 2026.5.7 and later resume such runs themselves.
    #[must_use]
    pub fn effect_without_run(&self, rung: Rung, key: &SessionKey) -> Effect {
        let is_plain = !(key.is_cron() || key.is_subagent() || key.is_acp());
        let was_run = self.facts_of <= RESET_RACES || self.facts_of >= RESETS_CLEANLY;
        match rung {
            // Answered `no-active-run`, and the row stays (measured on five versions).
            Rung::Abort | Rung::Steer => Effect::Unproven,
            Rung::Recover => self.recover(),
            Rung::Reset if self.facts_of >= RECOVERS => Effect::Works,
            Rung::Reset => works(was_run && is_plain),
            // The row stays on 2026.5.7, and on 2026.9.6 nothing happens for 20 s and more.
            Rung::New => {
                let clears = self.facts_of <= STEERS || self.facts_of == RESETS_CLEANLY;
                works(clears && is_plain)
            }
        }
    }

    /// Whether no call ends a run over ACP whose agent never answers: both say `no-active-run` or
    /// wait behind it (measured on 2026.4.15). The end of the agent's process frees such a lane
    /// within a second: its row `failed`, its record closed, nothing else touched.
    #[must_use]
    pub fn ignores_acp(&self) -> bool {
        self.facts_of <= STEERS
    }

    fn recover(&self) -> Effect {
        if self.facts_of >= RECOVERS { Effect::Works } else { Effect::Absent }
    }

    fn refuses(&self, key: &SessionKey) -> bool {
        self.facts_of == REFUSES_SUBAGENTS && key.is_subagent()
    }
}

fn works(does: bool) -> Effect {
    if does { Effect::Works } else { Effect::Unproven }
}
