//! Which judgements changed: one row, and one log line, per change.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Row, Transaction, named_params, params};

use super::row::{millis, named, subject};
use super::stored::Difference;
use super::{HistoryFilter, Journal, JournalError};
use crate::model::{Policy, Subject, UnixMillis};

/// The decision and the code that are recorded when a subject is no longer found wrong.
pub const RESOLVED: &str = "resolved";

/// More changes than anyone reads, in some 20 MB. The oldest go first.
const ROWS_MAX: i64 = 100_000;

/// The last decision and code of every subject that is found wrong.
pub(super) type Standing = BTreeMap<(Policy, Subject), (String, String)>;

/// One judgement of a pass.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerdictNote<'a> {
    /// Who judged.
    pub policy: Policy,
    /// What was judged.
    pub subject: &'a Subject,
    /// The decision's name.
    pub decision: &'a str,
    /// The reason's stable code.
    pub code: &'a str,
    /// The reason in words. Its ages and numbers change with every look and make no change.
    pub text: String,
}

/// What it means that a subject which was found wrong is not among the judgements.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Absent {
    /// Everything was looked at: it is wrong no more.
    Resolved,
    /// Something could not be read: nothing is known.
    Unknown,
}

/// What differs from the pass before.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// Indexes of the judgements that are new or differ.
    pub changed: Vec<usize>,
    /// Subjects that are no longer found wrong.
    pub resolved: Vec<(Policy, Subject)>,
}

/// One change of a judgement, as the journal has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerdictChange {
    /// When it was noticed.
    pub at: UnixMillis,
    /// Who judged.
    pub policy: Policy,
    /// What was judged.
    pub subject: Subject,
    /// The new decision, or [`RESOLVED`].
    pub decision: String,
    /// The new code, or [`RESOLVED`].
    pub code: String,
    /// The reason in words.
    pub text: String,
}

impl Journal {
    /// Records which of a pass's judgements differ from those before, and returns them. A
    /// subject that is judged twice by one policy counts once. If nothing differs, nothing is
    /// written.
    ///
    /// # Errors
    ///
    /// Returns an error if nothing was recorded; the next call finds the same changes.
    pub fn note_verdicts(
        &mut self,
        notes: &[VerdictNote<'_>],
        absent: Absent,
        now: UnixMillis,
    ) -> Result<Changes, JournalError> {
        let compare = |standing: &Standing| {
            let changes = compare(standing, notes, absent);
            Noted { notes, changes, now }
        };
        let noted =
            self.save("the changed verdicts", |journal| &mut journal.standing, standing, compare)?;
        Ok(noted.changes)
    }

    /// Returns the changes that `filter` selects, newest last.
    ///
    /// # Errors
    ///
    /// Returns an error if they cannot be read.
    pub fn verdict_changes(
        &self,
        filter: &HistoryFilter,
    ) -> Result<Vec<VerdictChange>, JournalError> {
        self.read("the changed verdicts", |db| {
            let sql = "SELECT * FROM (
                    SELECT * FROM verdicts
                    WHERE (:since IS NULL OR at >= :since)
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
            db.prepare(sql)?.query_map(values, change_row)?.collect()
        })
    }
}

fn key(note: &VerdictNote<'_>) -> (Policy, Subject) {
    (note.policy, note.subject.clone())
}

fn compare(standing: &Standing, notes: &[VerdictNote<'_>], absent: Absent) -> Changes {
    let mut judged = BTreeSet::new();
    let mut changed = Vec::new();
    for (index, note) in notes.iter().enumerate() {
        let key = key(note);
        let same = standing
            .get(&key)
            .is_some_and(|(decision, code)| decision == note.decision && code == note.code);
        if judged.insert(key) && !same {
            changed.push(index);
        }
    }
    let resolved = match absent {
        Absent::Resolved => standing.keys().filter(|key| !judged.contains(key)).cloned().collect(),
        Absent::Unknown => Vec::new(),
    };
    Changes { changed, resolved }
}

/// A pass's judgements, and which of them differ from those before.
struct Noted<'a> {
    notes: &'a [VerdictNote<'a>],
    changes: Changes,
    now: UnixMillis,
}

impl Difference<Standing> for Noted<'_> {
    fn is_empty(&self) -> bool {
        self.changes == Changes::default()
    }

    fn write(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        record(tx, self.notes, &self.changes, self.now)
    }

    fn apply(&self, standing: &mut Standing) {
        for note in self.changes.changed.iter().filter_map(|index| self.notes.get(*index)) {
            standing.insert(key(note), (note.decision.to_owned(), note.code.to_owned()));
        }
        for key in &self.changes.resolved {
            standing.remove(key);
        }
    }
}

fn record(
    tx: &Transaction<'_>,
    notes: &[VerdictNote<'_>],
    changes: &Changes,
    now: UnixMillis,
) -> rusqlite::Result<()> {
    let mut log = tx.prepare(
        "INSERT INTO verdicts (at, policy, subject_kind, subject_id, decision, code, text)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let mut stand = tx.prepare(
        "INSERT OR REPLACE INTO standing (policy, subject_kind, subject_id, decision, code)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for note in changes.changed.iter().filter_map(|index| notes.get(*index)) {
        let VerdictNote { policy, subject, decision, code, text } = note;
        let (policy, kind, id) = (policy.name(), subject.kind.name(), &subject.id);
        log.execute(params![now.0, policy, kind, id, decision, code, text])?;
        stand.execute(params![policy, kind, id, decision, code])?;
    }
    let mut clear = tx.prepare(
        "DELETE FROM standing WHERE policy = ?1 AND subject_kind = ?2 AND subject_id = ?3",
    )?;
    for (policy, subject) in &changes.resolved {
        let (policy, kind, id) = (policy.name(), subject.kind.name(), &subject.id);
        log.execute(params![now.0, policy, kind, id, RESOLVED, RESOLVED, ""])?;
        clear.execute(params![policy, kind, id])?;
    }
    trim(tx, ROWS_MAX)
}

/// Deletes all but the newest `keep` changes. Their numbers have no gaps at the end.
fn trim(tx: &Transaction<'_>, keep: i64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM verdicts WHERE id <= (SELECT max(id) FROM verdicts) - ?1";
    tx.execute(sql, [keep]).map(drop)
}

fn standing(db: &Connection) -> rusqlite::Result<Standing> {
    let mut rows = db.prepare("SELECT * FROM standing")?;
    let row = |row: &Row<'_>| {
        let state = (row.get("decision")?, row.get("code")?);
        Ok(((named(row, "policy")?, subject(row)?), state))
    };
    rows.query_map([], row)?.collect()
}

fn change_row(row: &Row<'_>) -> rusqlite::Result<VerdictChange> {
    Ok(VerdictChange {
        at: millis(row, "at")?,
        policy: named(row, "policy")?,
        subject: subject(row)?,
        decision: row.get("decision")?,
        code: row.get("code")?,
        text: row.get("text")?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, NOW, at, check_not_written, fill, lane};
    use super::*;

    /// Returns which subjects changed after a pass with these `(subject, code)`, the resolved
    /// ones with a minus.
    fn pass(journal: &mut Journal, absent: Absent, found: &[(&str, &str)]) -> Vec<String> {
        let subjects: Vec<Subject> = found.iter().map(|(id, _)| lane(id)).collect();
        let notes: Vec<VerdictNote<'_>> = found
            .iter()
            .zip(&subjects)
            .map(|((_, code), subject)| {
                let text = format!("{code} for some time");
                VerdictNote { policy: Policy::StaleLane, subject, decision: "hold", code, text }
            })
            .collect();
        let changes = journal.note_verdicts(&notes, absent, NOW).unwrap();
        let resolved = changes.resolved.iter().map(|(_, subject)| format!("-{}", subject.id));
        changes.changed.iter().map(|index| found[*index].0.to_owned()).chain(resolved).collect()
    }

    #[test]
    fn a_change_is_told_once_and_survives_a_restart() {
        let folder = Folder::new();
        let mut journal = folder.open();
        let first = [("a", "too_young"), ("b", "no_proof")];
        assert_eq!(pass(&mut journal, Absent::Resolved, &first), ["a", "b"]);
        let before = journal.db.total_changes();
        assert!(pass(&mut journal, Absent::Resolved, &first).is_empty());
        assert_eq!(journal.db.total_changes(), before);
        let mut journal = folder.open();
        assert!(pass(&mut journal, Absent::Resolved, &first).is_empty());
        let second = [("a", "silent"), ("b", "no_proof")];
        assert_eq!(pass(&mut journal, Absent::Resolved, &second), ["a"]);
        assert_eq!(pass(&mut journal, Absent::Resolved, &second[..1]), ["-b"]);
        assert!(pass(&mut folder.open(), Absent::Resolved, &second[..1]).is_empty());
        let told: Vec<String> = journal
            .verdict_changes(&HistoryFilter::default())
            .unwrap()
            .into_iter()
            .map(|change| format!("{} {}", change.subject.id, change.code))
            .collect();
        assert_eq!(told, ["a too_young", "b no_proof", "a silent", "b resolved"]);
    }

    #[test]
    fn what_could_not_be_read_is_not_resolved() {
        let folder = Folder::new();
        let mut journal = folder.open();
        pass(&mut journal, Absent::Resolved, &[("a", "no_proof")]);
        assert!(pass(&mut journal, Absent::Unknown, &[]).is_empty());
        assert_eq!(pass(&mut journal, Absent::Resolved, &[]), ["-a"]);
    }

    #[test]
    fn a_subject_that_is_judged_twice_counts_once() {
        let folder = Folder::new();
        let mut journal = folder.open();
        let twice = [("a", "no_proof"), ("a", "gap")];
        assert_eq!(pass(&mut journal, Absent::Resolved, &twice), ["a"]);
        assert!(pass(&mut journal, Absent::Resolved, &twice).is_empty());
    }

    #[test]
    fn a_change_that_was_not_recorded_is_found_again() {
        let folder = Folder::new();
        let mut journal = folder.open();
        fill(&journal);
        let subject = lane("a");
        let note = VerdictNote {
            policy: Policy::DeadLock,
            subject: &subject,
            decision: "hold",
            code: "gap",
            text: "x".repeat(100_000),
        };
        let notes = [note];
        let full = journal.note_verdicts(&notes, Absent::Resolved, NOW);
        check_not_written(full, "free space");
        journal.db.pragma_update(None, "max_page_count", 100_000).unwrap();
        let changes = journal.note_verdicts(&notes, Absent::Resolved, NOW).unwrap();
        assert_eq!(changes.changed, [0]);
    }

    #[test]
    fn the_oldest_changes_go_first() {
        let folder = Folder::new();
        let mut journal = folder.open();
        for code in ["gap", "no_proof", "silent", "paused"] {
            pass(&mut journal, Absent::Resolved, &[("a", code)]);
        }
        journal.write("a test", |tx| trim(tx, 2)).unwrap();
        let left = journal.verdict_changes(&HistoryFilter::default()).unwrap();
        assert_eq!(left.iter().map(|c| c.code.as_str()).collect::<Vec<_>>(), ["silent", "paused"]);
        // The last judgement is known, whatever was trimmed.
        assert!(pass(&mut folder.open(), Absent::Resolved, &[("a", "paused")]).is_empty());
    }

    #[test]
    fn changes_are_filtered() {
        let folder = Folder::new();
        let mut journal = folder.open();
        pass(&mut journal, Absent::Resolved, &[("a", "gap"), ("b", "gap")]);
        let count = |filter| journal.verdict_changes(&filter).unwrap().len();
        let all = HistoryFilter::default();
        assert_eq!(count(HistoryFilter { subject: Some("b".to_owned()), ..all.clone() }), 1);
        assert_eq!(count(HistoryFilter { since: Some(at(1)), ..all.clone() }), 0);
        assert_eq!(count(HistoryFilter { policy: Some(Policy::DeadLock), ..all.clone() }), 0);
        assert_eq!(count(HistoryFilter { limit: Some(1), ..all }), 1);
    }
}
