//! When a run began, where its own start does not say it.
//!
//! Measured: 2026.9.6 lists a cron run without a `startedAt`; and where a provider never sends a byte,
//! 2026.4.15 (after 120 s) and 2026.9.6 (after 600 s) begin the same run again, with a new
//! `startedAt`, a new lock and a new lifecycle event, but the same id. That is no progress.

use std::time::Duration;

use crate::model::{Capabilities, HoldReason, RunKind, UnixMillis};

use super::Run;

/// How far the times of one begin lie apart: those of row, lock and event.
const TOGETHER: Duration = Duration::from_secs(10);

/// Between which times a run began.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Begin {
    /// Not earlier: what is older works for another.
    pub(super) earliest: UnixMillis,
    /// Not later: it is at least this old.
    pub(super) latest: UnixMillis,
}

impl Run<'_> {
    /// Returns between which times it began, if disk and gateway mean the same run and its times make
    /// sense. What began before anybody listened may be as old as anything.
    pub(super) fn begin(&self, facts: &Capabilities, now: UnixMillis) -> Result<Begin, HoldReason> {
        self.agrees()?;
        if self.is_startless(facts) {
            if self.session_id().is_none() {
                return Err(HoldReason::Malformed { field: "sessionId" });
            }
            let latest = self.live.and_then(|lane| lane.heard_since.max(lane.last_event_at));
            let latest = latest.ok_or(HoldReason::Unheard)?;
            return Ok(Begin { earliest: UnixMillis(0), latest });
        }
        let started_at = self.sensible_start(now)?;
        match self.quiet_since() {
            Some(since) => Ok(Begin { earliest: UnixMillis(0), latest: since.min(started_at) }),
            None => Ok(Begin { earliest: started_at, latest: started_at }),
        }
    }

    /// Whether its row has no start where that is how the version tells it: a cron run of which the
    /// gateway says that it is active, on a version that knows of those.
    fn is_startless(&self, facts: &Capabilities) -> bool {
        let on_disk = self.disk.is_some_and(|lane| lane.row.started_at.is_present());
        let told = self.live.is_none_or(|lane| lane.started_at.is_some());
        !on_disk
            && !told
            && self.key.is_cron()
            && self.is_said_active()
            && facts.active_run.covers(RunKind::Cron)
    }

    /// Returns when it was begun again, if its start is known to be that of the very same run: one run
    /// is named, and its second begin was heard when the start says.
    pub(super) fn begun_again(&self) -> Option<UnixMillis> {
        let again = self.live?.begun_again_at.filter(|_| self.named().is_some())?;
        self.began().filter(|at| is_together(*at, again))
    }

    /// Returns since when nothing but begins of the same run was heard, if it was begun again.
    pub(super) fn quiet_since(&self) -> Option<UnixMillis> {
        self.begun_again()?;
        let live = self.live?;
        Some(live.heard_since?.max(live.last_step_at.unwrap_or_default()))
    }

    /// Returns true if that is when it was begun again, so that it is no sign of life.
    pub(super) fn is_of_begin(&self, at: UnixMillis) -> bool {
        self.begun_again().is_some_and(|again| is_together(at, again))
    }
}

fn is_together(a: UnixMillis, b: UnixMillis) -> bool {
    a.since(b).max(b.since(a)) <= TOGETHER
}
