//! What each gateway version can be asked, and what it repairs by itself.
//!
//! The facts are in [`table`]; nothing else in this crate compares versions to know what the RPC
//! of a gateway can do.

mod effect;
mod says;
mod stuck;
mod table;

use std::time::Duration;

use super::{SessionKey, Version};

pub use effect::Effect;
pub use stuck::{Configured, Deadline, Work};

/// What holds for one version. The one place that says so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Capabilities {
    /// The version these facts were taken from; older than the gateway's own where that one was not
    /// run.
    pub facts_of: Version,
    /// Whether the gateway's own version was run for real: if not, it is only read from.
    pub is_tested: bool,
    /// The protocol it speaks to operators.
    pub protocol: u8,
    /// Which runs `hasActiveRun` knows of.
    pub active_run: Reaches,
    /// Which runs `activeRunIds` names. Less than `active_run` on 2026.7.1: there a channel run
    /// is `hasActiveRun: true` with no id.
    pub run_ids: Reaches,
    /// Which runs `sessions.abort` reaches. Of another it says `no-active-run`, and leaves it alone.
    pub abort: Reaches,
    /// How long the gateway itself waits before it ends a run without progress, with its default
    /// configuration; `None`: it never does. See [`Capabilities::ends_stuck`] for another one.
    pub stuck_run_after: Option<Duration>,
    /// How long a model call may be silent before the run gives it up and tries again or ends; a
    /// stream that trickles counts as heard. `None`: only the time limit of the run, of 48 hours.
    pub provider_silence: Option<Duration>,
    /// How long an aborted run may take to end, by the gateway's own reckoning. Nothing else is
    /// tried before.
    pub settles_within: Duration,
    /// How long a compaction may take with all its grace, by default: until then a lock held
    /// without any progress may be that.
    pub compaction_within: Duration,
    /// How long a message waits for a transcript's lock before it fails; `None`: there are no
    /// such locks.
    pub waits_for_lock: Option<Duration>,
    /// Until when after its start it may resume interrupted runs of main sessions; `None`: it
    /// never does.
    pub resumes_within: Option<Duration>,
    /// Whether it resumes them one after the other, so that one that hangs starves the rest.
    pub resumes_one_by_one: bool,
    stuck: stuck::Stuck,
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

/// What began a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RunKind {
    /// `chat.send`.
    Chat,
    /// `agent`, which subagents are begun by, too.
    Agent,
    /// A message of a channel, or a heartbeat.
    Channel,
    /// A cron job with a session of its own.
    Cron,
}

impl Reaches {
    /// Returns true if a run of this kind is known.
    #[must_use]
    pub fn covers(self, kind: RunKind) -> bool {
        match kind {
            RunKind::Chat => self != Reaches::Nothing,
            RunKind::Agent => !matches!(self, Reaches::Nothing | Reaches::Chat),
            RunKind::Channel => matches!(self, Reaches::AllButCron | Reaches::All),
            RunKind::Cron => self == Reaches::All,
        }
    }

    /// Returns true if some run that a lane with this key may have is known.
    #[must_use]
    pub fn may_cover(self, key: &SessionKey) -> bool {
        RunKind::of(key).iter().any(|kind| self.covers(*kind))
    }

    /// Returns true if every run that a lane with this key may have is known.
    #[must_use]
    pub fn covers_all_of(self, key: &SessionKey) -> bool {
        RunKind::of(key).iter().all(|kind| self.covers(*kind))
    }
}

impl RunKind {
    /// Returns what may have begun a run of the lane with this key. The key does not tell more.
    #[must_use]
    pub fn of(key: &SessionKey) -> &'static [RunKind] {
        match () {
            () if key.is_cron() => &[RunKind::Cron],
            () if key.is_subagent() => &[RunKind::Agent],
            () => &[RunKind::Chat, RunKind::Agent, RunKind::Channel],
        }
    }
}

impl Capabilities {
    /// Returns what holds for `version`; for one that was not run, the facts of the nearest older one.
    #[must_use]
    pub fn of(version: Version) -> Capabilities {
        let older = table::RAN.iter().rev().find(|facts| facts.facts_of <= version);
        let facts = older.unwrap_or(&table::RAN[0]);
        Capabilities { is_tested: facts.facts_of == version, ..facts.clone() }
    }

    /// Returns true if `hasActiveRun: false` proves that no run of the lane is alive: the field
    /// knows embedded runs, and every other that the lane may have.
    ///
    /// `no-active-run` as an answer to `sessions.abort` never proves it: a lane that does not
    /// exist has that answer, too.
    #[must_use]
    pub fn proves_idle(&self, key: &SessionKey) -> bool {
        self.active_run.covers(RunKind::Channel) && self.active_run.covers_all_of(key)
    }

    /// Returns true if the lane's run, once seen, can be named, so that an abort meets it and no
    /// other.
    #[must_use]
    pub fn names_run(&self, key: &SessionKey) -> bool {
        self.run_ids.covers_all_of(key)
    }
}

#[cfg(test)]
mod tests;
