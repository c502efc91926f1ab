//! Takes a task out of every place that names it, because somebody asked for it.

use serde_json::json;

use super::{PassError, Passes};
use crate::act::{ActError, Performed, Reach, Step};
use crate::error::chain;
use crate::journal::Intent;
use crate::model::{Action, ActionId, Outcome, Policy, Subject, SubjectKind, TaskId, TaskPurge};
use crate::observe::ObserveError;
use crate::report;

/// What became of a purge.
#[derive(Debug)]
pub struct Purged {
    /// Its number in the journal; none in a dry run, or if nothing was begun.
    pub action: Option<ActionId>,
    /// Each place that named the task.
    pub places: Vec<String>,
    /// What was done.
    pub performed: Result<Performed, ActError>,
}

impl Passes {
    /// Takes the tasks of `ids`, which are of one run and named by `id`, out of every place. `user` asked
    /// for it. The caller holds the action lock.
    ///
    /// # Errors
    ///
    /// Returns an error if nothing could be seen, or the journal cannot be written. An attempt that
    /// failed is in [`Purged::performed`].
    pub fn purge(&mut self, id: &TaskId, ids: &[TaskId], user: &str) -> Result<Purged, PassError> {
        let refused = |why: String| {
            let performed = Ok(Performed { outcome: Outcome::Changed, note: Some(why) });
            Purged { action: None, places: Vec::new(), performed }
        };
        let now = self.clock.now();
        if let Err(why) = self.observer.stopped(now) {
            return Ok(refused(format!("{why}; stop the gateway first")));
        }
        let snapshot = self.observer.look(now)?;
        let purge = match self.observer.task_purge(&snapshot, id, ids) {
            Ok(purge) => purge,
            Err(why) => return Ok(refused(why)),
        };
        let places = purge.places();
        let action = Action::PurgeTask(Box::new(purge.clone()));
        if self.reach == Reach::DryRun {
            let performed = self.with_actuator(&|_| true, |a| a.perform(ActionId(0), &action));
            return Ok(Purged { action: None, places, performed });
        }
        let number = self.journal.intend(&self.intent(&purge, user)?)?;
        let performed = self.with_actuator(&|_| true, |a| a.perform(number, &action));
        (self.before)(Step::Conclude);
        let now = self.clock.now();
        match &performed {
            Ok(Performed { outcome, note: Some(note) }) => {
                self.journal.resolve(number, *outcome, note, now)?;
            }
            Ok(performed) => self.journal.conclude(number, performed.outcome, None, now)?,
            Err(error) => {
                self.journal.conclude(number, Outcome::Failed, Some(&chain(error)), now)?;
            }
        }
        Ok(Purged { action: Some(number), places, performed })
    }

    fn intent(&self, purge: &TaskPurge, user: &str) -> Result<Intent, ObserveError> {
        let id = purge.id.0.clone();
        let action = report::action(&Action::PurgeTask(Box::new(purge.clone())));
        Ok(Intent {
            pass_id: "purge".to_owned(),
            boot_id: self.observer.boot()?,
            policy: Policy::ZombieTask,
            subject: Subject { kind: SubjectKind::Task, id: id.clone() },
            incarnation: String::new(),
            kind: "purge_task".to_owned(),
            detail: json!({ "action": action, "user": user }).to_string(),
            reason_code: "asked".to_owned(),
            reason_text: format!("somebody asked to purge task {id}"),
            intended_at: self.clock.now(),
            undo_of: None,
        })
    }
}
