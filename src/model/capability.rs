//! What each gateway version can be asked, and what it repairs by itself.

use std::time::Duration;

use super::{Rung, SessionKey, Version};

/// What holds for one version. The one place that says so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Capabilities {
    /// The version these facts were taken from; older than the gateway's own where that one was not
    /// run.
    pub facts_of: Version,
    /// Whether the gateway's own version was run for real: if not, it is only read from.
    pub is_tested: bool,
    /// Which runs `hasActiveRun` knows of.
    pub active_run: Reaches,
    /// Which runs `sessions.abort` reaches.
    pub abort: Reaches,
    /// How long the gateway itself waits before it ends a run without progress; `None`: it never does.
    pub stuck_run_after: Option<Duration>,
}

/// Which runs a method knows of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reaches {
    /// None: the field or method is not there.
    Nothing,
    /// Only runs begun by `chat.send`.
    Chat,
    /// Those, and runs begun by `agent`.
    ChatAndAgent,
    /// Everything but cron runs.
    AllButCron,
    /// Every run.
    All,
}

/// What a rung does on a version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// As it should.
    Works,
    /// Only where no live process holds the lane's lock: else the dying run writes over it.
    NotBesideALock,
    /// Nothing, or it is not known.
    Unproven,
    /// The version does not have it.
    Absent,
}

impl Capabilities {
    /// Returns what holds for `version`; for one that was not run, the facts of the nearest older one.
    #[must_use]
    pub fn of(version: Version) -> Capabilities {
        let _ = version;
        Capabilities {
            facts_of: Version::OLDEST_TESTED,
            is_tested: false,
            active_run: Reaches::Nothing,
            abort: Reaches::Chat,
            stuck_run_after: None,
        }
    }

    /// Returns what `rung` does to a live run of `key`.
    #[must_use]
    pub fn effect(&self, rung: Rung, key: &SessionKey) -> Effect {
        let _ = (rung, key);
        Effect::Unproven
    }
}
