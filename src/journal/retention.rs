//! What is forgotten, and when.

use std::time::Duration;

use rusqlite::Transaction;

use super::history::HOUR;
use super::{Journal, JournalError};
use crate::model::{ActionId, UnixMillis};

impl Journal {
    /// Forgets actions that were concluded more than `keep` ago, changes of judgements that
    /// are as old, and off switches that have expired. Returns the actions, oldest first, so
    /// that the caller can remove what it kept of them.
    ///
    /// An action in doubt is never forgotten, nor one whose undo is. An hour is always kept:
    /// the budget counts it.
    ///
    /// # Errors
    ///
    /// Returns an error if nothing was forgotten.
    pub fn prune(
        &mut self,
        keep: Duration,
        now: UnixMillis,
    ) -> Result<Vec<ActionId>, JournalError> {
        let before = now.minus(keep.max(HOUR));
        self.write("the retention", |tx| {
            let mut gone = old_actions(tx, before)?;
            gone.sort_unstable();
            tx.execute("DELETE FROM verdicts WHERE at < ?1", [before.0])?;
            tx.execute("DELETE FROM pause WHERE until <= ?1", [now.0])?;
            tx.execute("DELETE FROM protections WHERE until <= ?1", [now.0])?;
            Ok(gone)
        })
    }
}

fn old_actions(tx: &Transaction<'_>, before: UnixMillis) -> rusqlite::Result<Vec<ActionId>> {
    let sql = "DELETE FROM actions
        WHERE concluded_at < ?1 AND intended_at < ?1
          AND id NOT IN (
            SELECT undo_of FROM actions WHERE outcome IS NULL AND undo_of IS NOT NULL
          )
        RETURNING id";
    tx.prepare(sql)?.query_map([before.0], |row| row.get(0).map(ActionId))?.collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, NOW, at, intent, lane};
    use super::super::{Absent, HistoryFilter, Intent, VerdictNote};
    use super::*;
    use crate::model::{Controls, Outcome, Policy};

    const DAY: Duration = Duration::from_secs(86_400);

    fn act(journal: &mut Journal, concluded: UnixMillis) -> ActionId {
        let id = journal.intend(&intent("a", at(-200_000))).unwrap();
        journal.conclude(id, Outcome::Done, None, concluded).unwrap();
        id
    }

    fn left(journal: &Journal) -> Vec<ActionId> {
        let all = journal.actions(&HistoryFilter::default()).unwrap();
        all.into_iter().map(|record| record.id).collect()
    }

    #[test]
    fn forgets_what_was_concluded_longer_ago_than_asked() {
        let folder = Folder::new();
        let mut journal = folder.open();
        let old = act(&mut journal, UnixMillis(at(-86_400).0 - 1));
        let on_it = act(&mut journal, at(-86_400));
        let in_doubt = journal.intend(&intent("a", at(-900_000))).unwrap();
        assert_eq!(journal.prune(DAY, NOW).unwrap(), [old]);
        assert_eq!(left(&journal), [on_it, in_doubt]);
        assert!(journal.prune(DAY, NOW).unwrap().is_empty());
    }

    #[test]
    fn keeps_what_an_unfinished_undo_needs() {
        let folder = Folder::new();
        let mut journal = folder.open();
        let first = act(&mut journal, at(-100_000));
        let undo = Intent { undo_of: Some(first), ..intent("a", at(-99_000)) };
        let undo = journal.intend(&undo).unwrap();
        assert!(journal.prune(DAY, NOW).unwrap().is_empty());
        journal.conclude(undo, Outcome::Failed, None, at(-98_000)).unwrap();
        assert_eq!(journal.prune(DAY, NOW).unwrap(), [first, undo]);
    }

    #[test]
    fn the_budget_of_the_last_hour_is_never_forgotten() {
        let folder = Folder::new();
        let mut journal = folder.open();
        let id = journal.intend(&intent("a", at(-3_599))).unwrap();
        journal.conclude(id, Outcome::Done, None, at(-3_599)).unwrap();
        assert!(journal.prune(Duration::ZERO, NOW).unwrap().is_empty());
        assert_eq!(journal.load_history(NOW).unwrap().acted_at, [at(-3_599)]);
    }

    #[test]
    fn a_number_is_not_used_again_after_the_newest_was_forgotten() {
        let folder = Folder::new();
        let mut journal = folder.open();
        let forgotten = act(&mut journal, at(-100_000));
        journal.prune(DAY, NOW).unwrap();
        assert_eq!(folder.open().intend(&intent("a", NOW)).unwrap().0, forgotten.0 + 1);
    }

    #[test]
    fn old_changes_and_expired_switches_go_too() {
        let folder = Folder::new();
        let mut journal = folder.open();
        let subject = lane("a");
        for (code, when) in [("gap", -86_401), ("silent", -86_400)] {
            let text = String::new();
            let policy = Policy::StaleLane;
            let note = VerdictNote { policy, subject: &subject, decision: "hold", code, text };
            journal.note_verdicts(&[note], Absent::Resolved, at(when)).unwrap();
        }
        journal.pause(NOW, "").unwrap();
        journal.protect("a", NOW).unwrap();
        journal.protect("b", at(1)).unwrap();
        journal.prune(DAY, NOW).unwrap();
        assert_eq!(journal.verdict_changes(&HistoryFilter::default()).unwrap().len(), 1);
        let kept = journal.controls(UnixMillis(i64::MIN)).unwrap();
        assert_eq!((kept.paused, kept.protected.len()), (Controls::default().paused, 1));
    }
}
