//! Writes down what happened to backing sessions, before anything else is done.

use tracing::warn;

use super::Passes;
use super::words::log_action;
use crate::act::Reach;
use crate::error::chain;
use crate::journal::JournalError;
use crate::model::{Action, Decision, Outcome, Snapshot, TombstoneEvent, Verdict};
use crate::policy;
use crate::report::Done;
use crate::text::escape;

impl Passes {
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
            for verdict in verdicts.iter().filter(|verdict| verdict.is_record()) {
                if let Decision::Act(action, _) = &verdict.decision {
                    log_action(verdict, action, done);
                }
            }
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

fn events(verdict: &Verdict) -> &[TombstoneEvent] {
    match &verdict.decision {
        Decision::Act(Action::Record(events), _) => events,
        Decision::Act(..) | Decision::Observe(..) | Decision::Hold(_) => &[],
    }
}
