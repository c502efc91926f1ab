//! When the gateway itself ends a run that makes no progress.

use std::time::Duration;

use super::Capabilities;

/// What the gateway's own configuration says about its limits. `None`: nothing usable.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Configured {
    /// `diagnostics.enabled: false`, which switches its recovery off altogether.
    pub is_off: bool,
    /// `diagnostics.stuckSessionWarnMs`.
    pub warn: Option<Duration>,
    /// `diagnostics.stuckSessionAbortMs`.
    pub abort: Option<Duration>,
    /// `agents.defaults.compaction.timeoutSeconds`.
    pub compaction: Option<Duration>,
}

/// What a run without progress waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Work {
    /// A model that does not answer.
    Model,
    /// A tool, or an agent over ACP, that does not return.
    Tool,
    /// Neither: it hangs in the gateway itself.
    Other,
}

/// When the gateway ends such a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Deadline {
    /// Never.
    Never,
    /// After this long without progress.
    After(Duration),
    /// After this long, or later: the time limit of the model request or of the tool may be longer.
    NotBefore(Duration),
}

impl Deadline {
    /// Returns the least time without progress after which it may do so.
    #[must_use]
    pub fn least(self) -> Option<Duration> {
        match self {
            Deadline::Never => None,
            Deadline::After(after) | Deadline::NotBefore(after) => Some(after),
        }
    }
}

/// The recovery of one version, as its package has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stuck {
    /// It only warns (2026.3.24, 2026.4.15).
    Warns,
    /// `max(10 min, 5 × warn)`, and only of runs that wait for neither model nor tool (2026.5.7).
    OutsideOfWork,
    /// `abort` if configured, but not below `warn`, else `max(5 min, 3 × warn)` (2026.5.28, 6.11,
    /// 7.1).
    AsConfigured,
    /// 6 min, whatever is configured; a tool has 15 min at least, a model the limit of its request
    /// (2026.9.6).
    Fixed,
}

/// `diagnostics.stuckSessionWarnMs`: the default, and within which bounds another value counts.
const WARN: Duration = Duration::from_secs(120);
const WARN_MIN: Duration = Duration::from_secs(1);
const WARN_MAX: Duration = Duration::from_secs(86_400);

/// `BLOCKED_TOOL_CALL_ABORT_FLOOR_MS` of 2026.9.6.
const TOOL_MIN: Duration = Duration::from_secs(900);
/// What the gateway adds to the time limit of a compaction (`DEFAULT_TIMEOUT_GRACE_MS`).
const COMPACTION_GRACE: Duration = Duration::from_secs(120);
/// The least that the gateway lets any lock be held (`DEFAULT_MAX_HOLD_MS`).
const HOLD_LEAST: Duration = Duration::from_secs(300);
/// How often the gateway looks, and how long it lets the run settle: its deadline is met this late.
const LATE: Duration = Duration::from_secs(30 + 15);

impl Capabilities {
    /// Returns when the gateway itself ends a run that waits for `work` and makes no progress.
    #[must_use]
    pub fn ends_stuck(&self, work: Work, configured: Configured) -> Deadline {
        let warn = configured.warn.filter(|warn| (WARN_MIN..=WARN_MAX).contains(warn));
        let warn = warn.unwrap_or(WARN);
        let minutes = |least: u64| Duration::from_secs(least * 60);
        match (self.stuck, work) {
            _ if configured.is_off => Deadline::Never,
            (Stuck::Warns, _) | (Stuck::OutsideOfWork, Work::Model | Work::Tool) => Deadline::Never,
            (Stuck::OutsideOfWork, Work::Other) => Deadline::After(minutes(10).max(warn * 5)),
            (Stuck::AsConfigured, _) => {
                let abort = configured.abort.filter(|abort| !abort.is_zero());
                Deadline::After(match abort {
                    Some(abort) => abort.max(warn),
                    None => minutes(5).max(warn * 3),
                })
            }
            (Stuck::Fixed, Work::Other) => Deadline::After(WARN * 3),
            (Stuck::Fixed, Work::Model) => Deadline::NotBefore(WARN * 3),
            (Stuck::Fixed, Work::Tool) => Deadline::NotBefore(TOOL_MIN),
        }
    }

    /// Returns how long a run that waits for `work` may be without progress before the gateway has
    /// had its turn: its deadline, and what it needs to carry it out. Zero if it never acts.
    ///
    /// Nobody can tell a run that waits for a model from one that hangs in the gateway itself: the
    /// longer of the two counts for both. Where no deadline covers a silent model, what is left is
    /// that the run gives the model up, twice (measured on 2026.4.15).
    #[must_use]
    pub fn defers(&self, work: Work, configured: Configured) -> Duration {
        let least = |work| self.ends_stuck(work, configured).least();
        let own = match work {
            Work::Tool => [Work::Tool, Work::Model, Work::Other].map(least),
            Work::Model | Work::Other => [Work::Model, Work::Other, Work::Other].map(least),
        };
        let own = own.into_iter().flatten().max();
        let own = own.map_or(Duration::ZERO, |longest| longest.saturating_add(LATE));
        match (least(Work::Model), self.provider_silence) {
            (None, Some(silence)) => {
                own.max(silence.saturating_mul(2).saturating_add(self.settles_within))
            }
            _ => own,
        }
    }

    /// Returns how long a compaction may take with all its grace.
    #[must_use]
    pub fn compacts_within(&self, configured: Configured) -> Duration {
        match configured.compaction.filter(|limit| !limit.is_zero()) {
            Some(limit) => limit.saturating_add(COMPACTION_GRACE),
            None => self.compaction_within,
        }
    }

    /// Returns how long a lock may be held that does not say it itself (up to 2026.5.7): as long as
    /// the gateway lets a compaction hold its lock. That of a run it allows as much more as the run
    /// may last, 48 hours by default.
    #[must_use]
    pub fn holds_within(&self, configured: Configured) -> Duration {
        self.compacts_within(configured).max(HOLD_LEAST)
    }
}
