//! Takes an action back.

use std::time::Duration;

use serde_json::json;

use super::{PassError, Passes};
use crate::act::{self, ActError, Performed, Reach, Step};
use crate::error::chain;
use crate::journal::{Intent, JournalError, Record};
use crate::model::{ActionId, Outcome, Subject, SubjectKind, UnixMillis};

/// How long the subject of an undone action is left alone. Without it, the next pass would find
/// what was put back as wrong as before, and repair it again.
const LEFT_ALONE: Duration = Duration::from_hours(24);

/// What became of an undo.
#[derive(Debug)]
pub struct Undone {
    /// Its own number in the journal; a dry run has none.
    pub undo: Option<ActionId>,
    /// What it did.
    pub performed: Result<Performed, ActError>,
    /// Until when the subject is protected; `None` if nothing was put back.
    pub protected_until: Option<UnixMillis>,
}

impl Passes {
    /// Puts back what the action of `record` moved or rewrote, and protects its subject for a
    /// day. `user` asked for it. The caller holds the action lock.
    ///
    /// # Errors
    ///
    /// Returns an error if the journal cannot be written, or refuses because the action is in
    /// doubt or undone. An attempt that failed is in [`Undone::performed`].
    pub fn undo(&mut self, record: &Record, user: &str) -> Result<Undone, PassError> {
        if self.reach == Reach::DryRun {
            let performed = self.put_back(record.id, ActionId(0));
            return Ok(Undone { undo: None, performed, protected_until: None });
        }
        let undo = self.journal.intend(&intent(record, user, self.clock.now()))?;
        let performed = self.put_back(record.id, undo);
        let (outcome, error) = match &performed {
            Ok(performed) => (performed.outcome, None),
            Err(error) => (Outcome::Failed, Some(chain(error))),
        };
        let protected_until = self.leave_alone(&record.intent.subject, outcome)?;
        (self.before)(Step::Conclude);
        self.journal.conclude(undo, outcome, error.as_deref(), self.clock.now())?;
        Ok(Undone { undo: Some(undo), performed, protected_until })
    }

    /// Protects the subject of an undo that is done. Called before that is recorded: a crash in
    /// between makes the next run protect it once more, never less.
    ///
    /// A process that was ended does not come back, so there is nothing to protect.
    pub(super) fn leave_alone(
        &mut self,
        subject: &Subject,
        outcome: Outcome,
    ) -> Result<Option<UnixMillis>, JournalError> {
        if outcome != Outcome::Done || subject.kind == SubjectKind::Process {
            return Ok(None);
        }
        let subject = &subject.id;
        let now = self.clock.now();
        let protected = self.journal.controls(now)?.protected;
        let standing = protected.iter().find(|standing| standing.id == *subject);
        let until = now.plus(LEFT_ALONE).max(standing.map_or(now, |standing| standing.until));
        self.journal.protect(subject, until)?;
        Ok(Some(until))
    }

    fn put_back(&self, undone: ActionId, undo: ActionId) -> Result<Performed, ActError> {
        self.with_actuator(&|_| true, |actuator| act::undo(&actuator, undone, undo))
    }
}

fn intent(record: &Record, user: &str, now: UnixMillis) -> Intent {
    Intent {
        pass_id: "undo".to_owned(),
        kind: "undo".to_owned(),
        detail: json!({ "undo_of": record.id, "user": user }).to_string(),
        reason_code: "asked".to_owned(),
        reason_text: format!("somebody asked to undo action {}", record.id),
        intended_at: now,
        undo_of: Some(record.id),
        ..record.intent.clone()
    }
}
