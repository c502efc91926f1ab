//! Writes down what happened to backing sessions, before anything else is done.

use std::sync::Arc;

use serde_json::Value;
use tracing::{info, warn};

use super::Passes;
use crate::act::Reach;
use crate::error::chain;
use crate::journal::JournalError;
use crate::model::{
    Action, Decision, Mode, Outcome, Snapshot, TombstoneEvent, Tombstones, Verdict,
};
use crate::policy;
use crate::report::Done;
use crate::text::escape;

impl Passes {
    /// Returns to whom backing sessions belong, as far as is known. What of it is not believed is said
    /// in the first pass.
    ///
    /// # Errors
    ///
    /// Returns an error if that cannot be read.
    pub(super) fn tombstones(&mut self) -> Result<Arc<Tombstones>, JournalError> {
        if self.config.policies.tombstone.mode == Mode::Off {
            return Ok(Arc::default());
        }
        let all = self.journal.tombstones()?;
        let problems = self.journal.tombstone_problems().iter().filter(|_| self.count == 1);
        problems.for_each(|problem| warn!("tombstones: {}", escape(problem)));
        Ok(all)
    }

    /// Writes everything down at once that `verdicts` want written, and returns what became of it;
    /// `None` if they want nothing. Nothing foreign is touched, so neither pauses nor budgets hold it.
    pub(super) fn write_down(&mut self, verdicts: &[Verdict], snapshot: &Snapshot) -> Option<Done> {
        let events: Vec<_> = verdicts.iter().flat_map(events).cloned().collect();
        let done = |outcome, error| Done { outcome, action_id: None, note: None, error };
        if self.reach == Reach::DryRun {
            return (!events.is_empty()).then(|| done(Outcome::WouldDo, None));
        }
        let written = if events.is_empty() {
            None
        } else {
            Some(match self.journal.record_tombstones(&events) {
                Ok(()) => done(Outcome::Done, None),
                Err(error) => done(Outcome::Failed, Some(chain(&error))),
            })
        };
        if let Some(done) = &written {
            verdicts.iter().filter(|verdict| verdict.is_record()).for_each(|of| say(of, done));
        }
        if let Err(error) = self.see(snapshot) {
            warn!("failed to {}", escape(&chain(&error)));
        }
        written
    }

    fn see(&mut self, snapshot: &Snapshot) -> Result<(), JournalError> {
        match snapshot.acp {
            Some(_) => {
                self.journal.see_tombstones(&policy::backing_ids(snapshot), snapshot.taken_at)
            }
            None => Ok(()),
        }
    }
}

/// One complete line: what was recorded of what, and for whom.
fn say(verdict: &Verdict, done: &Done) {
    let text = |name: &str| verdict.evidence.0.get(name).and_then(Value::as_str);
    let requester = text("requester").unwrap_or("nobody that is known");
    let events: Vec<_> = events(verdict).iter().map(|event| event.kind.name()).collect();
    let line = format!(
        "backing_session {} of {}: {}, {} policy={}",
        escape(&verdict.subject.id),
        escape(requester),
        events.join(", "),
        text("state").unwrap_or_default(),
        verdict.policy,
    );
    match &done.error {
        Some(error) => warn!("failed to record {line}: {}", escape(error)),
        None => info!("recorded {line}"),
    }
}

fn events(verdict: &Verdict) -> &[TombstoneEvent] {
    match &verdict.decision {
        Decision::Act(Action::Record(events), _) => events,
        Decision::Act(..) | Decision::Observe(..) | Decision::Hold(_) => &[],
    }
}
