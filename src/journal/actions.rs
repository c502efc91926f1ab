//! Intents, durable before the act, and what became of them.

use rusqlite::{Connection, OptionalExtension as _, Transaction, named_params, params};

use super::history::{note_acted, remember_acted};
use super::record::{insert, record};
use super::{Conclusion, HistoryFilter, Intent, Journal, JournalError, Record};
use crate::model::{ActionId, Outcome, Policy, UnixMillis};

impl Journal {
    /// Records what is about to be done. It is on disk when this returns, together with the
    /// subject's cool-down, and only then may it be done.
    ///
    /// # Errors
    ///
    /// Returns an error if nothing was recorded: the caller does not act. An undo is refused
    /// if its action is unknown, in doubt or undone.
    pub fn intend(&mut self, intent: &Intent) -> Result<ActionId, JournalError> {
        if let Some(id) = intent.undo_of {
            self.check_undo(id)?;
        }
        let id = self.write("an intent", |tx| {
            let id = insert(tx, intent)?;
            if intent.undo_of.is_none() {
                note_acted(tx, intent)?;
            }
            Ok(id)
        })?;
        if intent.undo_of.is_none() {
            remember_acted(self.stored.as_mut(), intent);
        }
        Ok(id)
    }

    /// Records what became of an action, once. An undo that is done marks what it undid.
    ///
    /// # Errors
    ///
    /// Returns an error if it was not recorded, is unknown or already concluded, or if
    /// `outcome` is that of a dry run.
    pub fn conclude(
        &mut self,
        id: ActionId,
        outcome: Outcome,
        error: Option<&str>,
        now: UnixMillis,
    ) -> Result<(), JournalError> {
        let error = error.map(str::to_owned);
        self.settle(id, &Conclusion { outcome, error, note: None, at: now })
    }

    /// Records what became of an action, in words that are no error: what a look at the world found of
    /// one in doubt, which is never repeated, or why it changed nothing.
    ///
    /// # Errors
    ///
    /// As [`Journal::conclude`].
    pub fn resolve(
        &mut self,
        id: ActionId,
        outcome: Outcome,
        note: &str,
        now: UnixMillis,
    ) -> Result<(), JournalError> {
        self.settle(id, &Conclusion { outcome, error: None, note: Some(note.to_owned()), at: now })
    }

    /// Returns the actions without outcome, oldest first. Right after a start these were cut
    /// short; beside a daemon, one may be at work.
    ///
    /// # Errors
    ///
    /// Returns an error if they cannot be read.
    pub fn in_doubt(&self) -> Result<Vec<Record>, JournalError> {
        self.read("the actions in doubt", |db| {
            let sql = "SELECT * FROM actions WHERE outcome IS NULL ORDER BY id";
            db.prepare(sql)?.query_map([], record)?.collect()
        })
    }

    /// Returns one action, or `None` if it is unknown or pruned.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be read.
    pub fn action(&self, id: ActionId) -> Result<Option<Record>, JournalError> {
        self.read("an action", |db| find(db, id))
    }

    /// Returns the actions that `filter` selects, newest last. Their numbers give the order,
    /// as clocks may be set back.
    ///
    /// # Errors
    ///
    /// Returns an error if they cannot be read.
    pub fn actions(&self, filter: &HistoryFilter) -> Result<Vec<Record>, JournalError> {
        self.read("the actions", |db| {
            let sql = "SELECT * FROM (
                    SELECT * FROM actions
                    WHERE (:since IS NULL OR intended_at >= :since)
                      AND (:subject IS NULL OR subject_id = :subject)
                      AND (:policy IS NULL OR policy = :policy)
                    ORDER BY id DESC LIMIT :limit
                ) ORDER BY id";
            let values = named_params! {
                ":since": filter.since.map(|at| at.0),
                ":subject": filter.subject,
                ":policy": filter.policy.map(Policy::name),
                ":limit": filter.limit.map_or(-1, i64::from),
            };
            db.prepare(sql)?.query_map(values, record)?.collect()
        })
    }

    /// Records a conclusion with everything that is to be remembered of it, once.
    ///
    /// # Errors
    ///
    /// As [`Journal::conclude`].
    pub fn settle(&mut self, id: ActionId, conclusion: &Conclusion) -> Result<(), JournalError> {
        let wanted = conclusion.outcome;
        if wanted == Outcome::WouldDo {
            return Err(JournalError::NotADryRun { id });
        }
        if self.write("an outcome", |tx| update(tx, id, conclusion))? {
            return Ok(());
        }
        match self.action(id)?.and_then(|record| record.conclusion) {
            Some(Conclusion { outcome, .. }) => {
                Err(JournalError::AlreadyConcluded { id, outcome, wanted })
            }
            None => Err(JournalError::NoSuchAction { id }),
        }
    }

    fn check_undo(&self, id: ActionId) -> Result<(), JournalError> {
        let record = self.action(id)?.ok_or(JournalError::NoSuchAction { id })?;
        match (record.conclusion, record.undone_by) {
            (_, Some(by)) => Err(JournalError::AlreadyUndone { id, by }),
            (None, None) => Err(JournalError::UndoInDoubt { id }),
            (Some(_), None) => Ok(()),
        }
    }
}

/// Returns false if there is no such action without outcome.
fn update(tx: &Transaction<'_>, id: ActionId, done: &Conclusion) -> rusqlite::Result<bool> {
    let sql = "UPDATE actions SET outcome = ?2, error = ?3, note = ?4, concluded_at = ?5
        WHERE id = ?1 AND outcome IS NULL";
    let changed =
        tx.execute(sql, params![id.0, done.outcome.name(), done.error, done.note, done.at.0])?;
    if changed == 1 && done.outcome == Outcome::Done {
        let sql = "UPDATE actions SET undone_by = ?1
            WHERE id = (SELECT undo_of FROM actions WHERE id = ?1)";
        tx.execute(sql, [id.0])?;
    }
    Ok(changed == 1)
}

fn find(db: &Connection, id: ActionId) -> rusqlite::Result<Option<Record>> {
    db.query_row("SELECT * FROM actions WHERE id = ?1", [id.0], record).optional()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, NOW, at, check_not_written, fill, intent};
    use super::*;

    #[test]
    fn an_intent_is_on_disk_when_it_returns() {
        let folder = Folder::new();
        let mut journal = folder.open();
        let id = journal.intend(&intent("a", NOW)).unwrap();
        let seen = folder.beside().in_doubt().unwrap();
        let want = Record { id, intent: intent("a", NOW), conclusion: None, undone_by: None };
        assert_eq!(seen, [want]);
        // A copy of the files at this instant is what a crash would leave.
        let copy = tempfile::tempdir().unwrap();
        for name in ["clawarden.db", "clawarden.db-wal"] {
            std::fs::copy(folder.dir.path().join(name), copy.path().join(name)).unwrap();
        }
        assert_eq!(Journal::open_beside(copy.path()).unwrap().in_doubt().unwrap().len(), 1);
    }

    #[test]
    fn an_action_is_concluded_once() {
        let folder = Folder::new();
        let (mut daemon, mut other) = (folder.open(), folder.beside());
        let id = daemon.intend(&intent("a", NOW)).unwrap();
        daemon.conclude(id, Outcome::Failed, Some("no space"), at(1)).unwrap();
        let record = other.action(id).unwrap().unwrap();
        let want = Conclusion {
            outcome: Outcome::Failed,
            error: Some("no space".to_owned()),
            note: None,
            at: at(1),
        };
        assert_eq!(record.conclusion, Some(want));
        for again in [
            other.conclude(id, Outcome::Done, None, at(2)),
            daemon.resolve(id, Outcome::Done, "", at(2)),
        ] {
            let error = again.unwrap_err();
            let text = format!("conclude action {id} as done: it is already concluded as failed");
            assert_eq!(error.to_string(), text);
        }
        assert_eq!(daemon.action(id).unwrap(), Some(record));
    }

    #[test]
    fn what_was_never_intended_or_a_dry_run_is_not_concluded() {
        let folder = Folder::new();
        let mut journal = folder.open();
        let error = journal.conclude(ActionId(7), Outcome::Done, None, NOW).unwrap_err();
        assert!(matches!(error, JournalError::NoSuchAction { id: ActionId(7) }), "{error}");
        let id = journal.intend(&intent("a", NOW)).unwrap();
        let error = journal.conclude(id, Outcome::WouldDo, None, NOW).unwrap_err();
        assert!(matches!(error, JournalError::NotADryRun { .. }), "{error}");
        assert_eq!(journal.in_doubt().unwrap().len(), 1);
    }

    #[test]
    fn what_is_in_doubt_is_resolved_with_a_note() {
        let folder = Folder::new();
        let id = folder.open().intend(&intent("a", NOW)).unwrap();
        let mut journal = folder.open();
        assert_eq!(journal.in_doubt().unwrap()[0].id, id);
        journal.resolve(id, Outcome::Done, "found in quarantine", at(9)).unwrap();
        assert!(journal.in_doubt().unwrap().is_empty());
        let conclusion = journal.action(id).unwrap().unwrap().conclusion.unwrap();
        assert_eq!(conclusion.note.as_deref(), Some("found in quarantine"));
    }

    #[test]
    fn an_action_is_undone_once_and_knows_it() {
        let folder = Folder::new();
        let mut journal = folder.open();
        let first = journal.intend(&intent("a", NOW)).unwrap();
        let undo = Intent { undo_of: Some(first), ..intent("a", at(1)) };
        let error = journal.intend(&undo).unwrap_err();
        assert!(matches!(error, JournalError::UndoInDoubt { .. }), "{error}");
        journal.conclude(first, Outcome::Done, None, NOW).unwrap();
        let failed = journal.intend(&undo).unwrap();
        journal.conclude(failed, Outcome::Changed, None, at(1)).unwrap();
        assert_eq!(journal.action(first).unwrap().unwrap().undone_by, None);
        let done = journal.intend(&undo).unwrap();
        journal.conclude(done, Outcome::Done, None, at(1)).unwrap();
        assert_eq!(journal.action(first).unwrap().unwrap().undone_by, Some(done));
        let error = journal.intend(&undo).unwrap_err();
        assert!(matches!(error, JournalError::AlreadyUndone { by, .. } if by == done), "{error}");
        let unknown = Intent { undo_of: Some(ActionId(99)), ..undo };
        let error = journal.intend(&unknown).unwrap_err();
        assert!(matches!(error, JournalError::NoSuchAction { .. }), "{error}");
    }

    #[test]
    fn history_is_filtered_and_the_newest_is_last() {
        let folder = Folder::new();
        let mut journal = folder.open();
        // The clock is set back between the second and the third.
        for (id, when) in [("a", 0), ("b", 60), ("a", 30), ("c", 90)] {
            journal.intend(&intent(id, at(when))).unwrap();
        }
        let check = |filter: HistoryFilter, want: &[i64]| {
            let found = journal.actions(&filter).unwrap();
            assert_eq!(found.iter().map(|record| record.id.0).collect::<Vec<_>>(), want);
        };
        let all = HistoryFilter::default();
        check(all.clone(), &[1, 2, 3, 4]);
        check(HistoryFilter { since: Some(at(60)), ..all.clone() }, &[2, 4]);
        check(HistoryFilter { subject: Some("a".to_owned()), ..all.clone() }, &[1, 3]);
        check(HistoryFilter { policy: Some(Policy::DeadLock), ..all.clone() }, &[]);
        check(HistoryFilter { limit: Some(2), ..all.clone() }, &[3, 4]);
        check(HistoryFilter { limit: Some(0), ..all }, &[]);
    }

    #[test]
    fn on_a_full_disk_nothing_is_intended() {
        let folder = Folder::new();
        let mut journal = folder.open();
        fill(&journal);
        let large = Intent { detail: "x".repeat(100_000), ..intent("a", NOW) };
        check_not_written(journal.intend(&large), "free space on its filesystem");
        assert!(journal.in_doubt().unwrap().is_empty());
        assert!(folder.beside().actions(&HistoryFilter::default()).unwrap().is_empty());
        // The journal is usable again as soon as there is space.
        journal.db.pragma_update(None, "max_page_count", 100_000).unwrap();
        journal.intend(&large).unwrap();
    }

    #[test]
    fn where_nothing_may_be_written_nothing_is_intended() {
        let folder = Folder::new();
        folder.open().intend(&intent("a", NOW)).unwrap();
        let mut journal = Journal::open_read_only(folder.dir.path()).unwrap();
        check_not_written(journal.intend(&intent("b", NOW)), "on a writable filesystem");
        assert_eq!(journal.actions(&HistoryFilter::default()).unwrap().len(), 1);
    }

    #[test]
    fn a_row_that_we_never_write_is_an_error_that_names_it() {
        let folder = Folder::new();
        let mut journal = folder.open();
        let id = journal.intend(&intent("a", NOW)).unwrap();
        for (column, value) in [("policy", "x\u{1b}[2J"), ("subject_kind", ""), ("outcome", "won")]
        {
            let raw = folder.raw();
            raw.execute("UPDATE actions SET concluded_at = 1, outcome = 'done'", []).unwrap();
            raw.execute(&format!("UPDATE actions SET {column} = ?1"), [value]).unwrap();
            let error = journal.action(id).unwrap_err();
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(cause.contains(&format!("`{column}`")), "{cause}");
            assert!(!cause.contains('\u{1b}'), "{cause:?}");
            raw.execute("UPDATE actions SET policy = 'stale_lane', subject_kind = 'lane'", [])
                .unwrap();
        }
    }

    #[test]
    fn two_processes_write_at_the_same_time() {
        let folder = Folder::new();
        let journals = [folder.open(), folder.beside()];
        let writers = journals.map(|mut journal| {
            std::thread::spawn(move || {
                for _ in 0..50 {
                    let id = journal.intend(&intent("a", NOW)).unwrap();
                    journal.conclude(id, Outcome::Done, None, NOW).unwrap();
                }
            })
        });
        for writer in writers {
            writer.join().unwrap();
        }
        let all = folder.beside().actions(&HistoryFilter::default()).unwrap();
        assert_eq!(all.len(), 100);
        assert!(all.iter().all(|record| record.conclusion.is_some()));
    }
}
