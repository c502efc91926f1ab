//! The tables, and how an older database becomes the current one.

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// One step: from the version before it to its own.
pub(super) type Migration = fn(&Transaction<'_>) -> rusqlite::Result<()>;

/// Step `n` makes version `n + 1`. Released steps are never edited, only followed by others.
pub(super) const MIGRATIONS: &[Migration] = &[
    |tx| tx.execute_batch(VERSION_1),
    |tx| tx.execute_batch(VERSION_2),
    |tx| tx.execute_batch(VERSION_3),
];

/// The version that this program reads and writes.
#[expect(clippy::cast_possible_wrap, reason = "a handful of migrations")]
pub(super) const CURRENT: i64 = MIGRATIONS.len() as i64;

/// The first version with a ledger.
pub(super) const LEDGER: i64 = 2;

/// The first version with tombstones.
pub(super) const TOMBSTONES: i64 = 3;

/// Numbers of actions are plain facts and no references: `undo_of` still says what was undone
/// after that action was pruned.
const VERSION_1: &str = "
CREATE TABLE actions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  pass_id TEXT NOT NULL,
  boot_id TEXT NOT NULL,
  policy TEXT NOT NULL,
  subject_kind TEXT NOT NULL,
  subject_id TEXT NOT NULL,
  incarnation TEXT NOT NULL,
  kind TEXT NOT NULL,
  detail TEXT NOT NULL,
  reason_code TEXT NOT NULL,
  reason_text TEXT NOT NULL,
  intended_at INTEGER NOT NULL,
  undo_of INTEGER,
  outcome TEXT,
  error TEXT,
  note TEXT,
  concluded_at INTEGER,
  undone_by INTEGER,
  CHECK ((outcome IS NULL) = (concluded_at IS NULL))
) STRICT;
CREATE INDEX actions_by_time ON actions (intended_at);
CREATE INDEX actions_in_doubt ON actions (id) WHERE outcome IS NULL;
CREATE TABLE subjects (
  policy TEXT NOT NULL,
  subject_kind TEXT NOT NULL,
  subject_id TEXT NOT NULL,
  incarnation TEXT NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  looks INTEGER NOT NULL,
  last_look INTEGER NOT NULL,
  last_acted INTEGER,
  acted_incarnation TEXT,
  ineffective INTEGER NOT NULL,
  PRIMARY KEY (policy, subject_kind, subject_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE host (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  boot_id TEXT NOT NULL,
  booted_at INTEGER NOT NULL,
  slept_ms INTEGER,
  steady_since INTEGER NOT NULL,
  resumed_at INTEGER,
  stepped_at INTEGER
) STRICT;
CREATE TABLE pause (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  until INTEGER NOT NULL,
  reason TEXT NOT NULL
) STRICT;
CREATE TABLE protections (
  subject_id TEXT PRIMARY KEY,
  until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE verdicts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  policy TEXT NOT NULL,
  subject_kind TEXT NOT NULL,
  subject_id TEXT NOT NULL,
  decision TEXT NOT NULL,
  code TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT;
CREATE TABLE standing (
  policy TEXT NOT NULL,
  subject_kind TEXT NOT NULL,
  subject_id TEXT NOT NULL,
  decision TEXT NOT NULL,
  code TEXT NOT NULL,
  PRIMARY KEY (policy, subject_kind, subject_id)
) STRICT, WITHOUT ROWID;
";

/// Ticks and hashes are unsigned: what is stored are their 64 bits.
const VERSION_2: &str = "
CREATE TABLE ledger_gateways (
  boot_id TEXT NOT NULL,
  pid INTEGER NOT NULL,
  start_ticks INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  PRIMARY KEY (boot_id, pid, start_ticks)
) STRICT, WITHOUT ROWID;
CREATE TABLE ledger_descents (
  boot_id TEXT NOT NULL,
  pid INTEGER NOT NULL,
  start_ticks INTEGER NOT NULL,
  gateway_pid INTEGER NOT NULL,
  gateway_ticks INTEGER NOT NULL,
  parent_pid INTEGER NOT NULL,
  parent_ticks INTEGER NOT NULL,
  argv_hash INTEGER NOT NULL,
  session_key TEXT,
  first_seen INTEGER NOT NULL,
  PRIMARY KEY (boot_id, pid, start_ticks)
) STRICT, WITHOUT ROWID;
";

/// Events are a record for ever: even a hand at the database is held off.
const VERSION_3: &str = "
CREATE TABLE tombstone_events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  backing_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  state TEXT NOT NULL,
  facts TEXT NOT NULL
) STRICT;
CREATE TRIGGER tombstone_events_stay BEFORE DELETE ON tombstone_events BEGIN
  SELECT RAISE(ABORT, 'tombstones are append-only');
END;
CREATE TRIGGER tombstone_events_stay_as_they_are BEFORE UPDATE ON tombstone_events BEGIN
  SELECT RAISE(ABORT, 'tombstones are append-only');
END;
CREATE TABLE tombstone_sightings (
  backing_id TEXT PRIMARY KEY,
  last_seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Returns the version of a database. Zero is a new one.
pub(super) fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Brings a database up to [`CURRENT`], all or nothing. A new one numbers its actions from
/// `after` + 1. A database that is newer is left as it is.
pub(super) fn migrate(db: &mut Connection, after: i64) -> rusqlite::Result<()> {
    migrate_by(db, MIGRATIONS, after)
}

/// Brings a database up to the version that the last of `steps` makes.
#[expect(clippy::cast_possible_wrap, reason = "a handful of migrations")]
pub(super) fn migrate_by(
    db: &mut Connection,
    steps: &[Migration],
    after: i64,
) -> rusqlite::Result<()> {
    let wanted = steps.len() as i64;
    if version(db)? >= wanted {
        return Ok(());
    }
    // Another process may do the same just now: the version that counts is the one seen with
    // the write lock held.
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&tx)?;
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    for step in steps.iter().skip(done) {
        step(&tx)?;
    }
    if found == 0 {
        tx.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('actions', ?1)", [after])?;
    }
    if found < wanted {
        tx.pragma_update(None, "user_version", wanted)?;
    }
    tx.commit()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, NOW, at, intent, lane};
    use super::super::{Absent, HistoryFilter, Journal, Record, VerdictChange, VerdictNote};
    use super::*;
    use crate::model::{ActionId, BootId, History, HostRecord, Ledger, Outcome, Policy, ProcessId};

    /// Every schema as it was released. Never edit one: a change of the schema is a new
    /// migration and a new file here.
    const RELEASED: [&str; MIGRATIONS.len()] = [
        include_str!("schema_v1.sql"),
        include_str!("schema_v2.sql"),
        include_str!("schema_v3.sql"),
    ];

    fn statements(db: &Connection) -> Vec<String> {
        let mut rows =
            db.prepare("SELECT sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL").unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn each_migration_makes_what_was_released() {
        let mut db = Connection::open_in_memory().unwrap();
        for (step, released) in MIGRATIONS.iter().zip(RELEASED) {
            let tx = db.transaction().unwrap();
            step(&tx).unwrap();
            tx.commit().unwrap();
            let made = statements(&db).into_iter().filter(|sql| !sql.contains("sqlite_sequence"));
            assert_eq!(made.collect::<Vec<_>>().join("\n"), released.trim_end());
        }
    }

    #[test]
    fn every_released_version_is_brought_up_to_date() {
        let mut fresh = Connection::open_in_memory().unwrap();
        migrate(&mut fresh, 0).unwrap();
        for (released_as, released) in (1_u32..).zip(RELEASED) {
            let mut db = Connection::open_in_memory().unwrap();
            db.execute_batch(released).unwrap();
            db.pragma_update(None, "user_version", released_as).unwrap();
            migrate(&mut db, 0).unwrap();
            assert_eq!(statements(&db), statements(&fresh), "from version {released_as}");
            assert_eq!(version(&db).unwrap(), CURRENT);
        }
    }

    #[test]
    fn a_failed_step_leaves_nothing_behind() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE standing (x)").unwrap();
        migrate(&mut db, 0).unwrap_err();
        assert_eq!(statements(&db), ["CREATE TABLE standing (x);"]);
        assert_eq!(version(&db).unwrap(), 0);
    }

    #[test]
    fn a_newer_version_is_left_as_it_is() {
        let mut db = Connection::open_in_memory().unwrap();
        db.pragma_update(None, "user_version", CURRENT + 1).unwrap();
        migrate(&mut db, 0).unwrap();
        assert_eq!(version(&db).unwrap(), CURRENT + 1);
        assert!(statements(&db).is_empty());
    }

    /// Everything that a journal of version 1 remembers.
    type Memory = (History, Vec<Record>, Vec<VerdictChange>);

    fn memory(journal: &mut Journal) -> Memory {
        let all = HistoryFilter::default();
        let history = journal.load_history(NOW).unwrap();
        (history, journal.actions(&all).unwrap(), journal.verdict_changes(&all).unwrap())
    }

    /// Fills every table of version 1.
    fn fill_version_1(journal: &mut Journal) -> Memory {
        let host = HostRecord {
            boot_id: BootId("b1".to_owned()),
            booted_at: at(-500),
            slept: None,
            steady_since: at(-400),
            resumed_at: Some(at(-300)),
            stepped_at: None,
        };
        journal.save_history(&History { host: Some(host), ..History::default() }).unwrap();
        for id in ["a", "b"] {
            journal.intend(&intent(id, NOW)).unwrap();
        }
        journal.conclude(ActionId(1), Outcome::Failed, Some("no"), at(1)).unwrap();
        journal.pause(at(60), "upgrade").unwrap();
        journal.protect("a", at(90)).unwrap();
        let (policy, subject) = (Policy::StaleLane, &lane("a"));
        let note = VerdictNote { policy, subject, decision: "hold", code: "gap", text: "t".into() };
        journal.note_verdicts(&[note], Absent::Unknown, NOW).unwrap();
        memory(journal)
    }

    #[test]
    fn a_database_of_version_1_is_brought_up_to_date_and_nothing_of_it_is_lost() {
        let folder = Folder::new();
        let mut released = folder.version_1();
        let filled = fill_version_1(&mut released);
        assert_eq!((filled.0.subjects.len(), filled.1.len(), filled.2.len()), (2, 2, 1));
        assert!(filled.0.host.is_some() && filled.0.controls.paused.is_some());
        drop(released);
        let opened = Journal::open(&folder.instance, NOW).unwrap();
        assert_eq!(opened.set_aside, None);
        let mut journal = opened.journal;
        assert_eq!(version(&journal.db).unwrap(), CURRENT);
        assert_eq!(memory(&mut journal), filled);
        // The standing verdict, and the numbers of the actions.
        let (policy, subject) = (Policy::StaleLane, &lane("a"));
        let note =
            VerdictNote { policy, subject, decision: "hold", code: "gap", text: String::new() };
        let changes = journal.note_verdicts(&[note], Absent::Resolved, NOW).unwrap();
        assert!(changes.changed.is_empty() && changes.resolved.is_empty());
        assert_eq!(journal.intend(&intent("c", NOW)).unwrap(), ActionId(3));
    }

    #[test]
    fn a_database_of_version_1_is_read_as_it_is_and_has_no_ledger() {
        let folder = Folder::new();
        let mut released = folder.version_1();
        let filled = fill_version_1(&mut released);
        drop(released);
        let mut journal = Journal::open_read_only(folder.dir.path()).unwrap();
        assert_eq!(memory(&mut journal), filled);
        let boot = BootId("b1".to_owned());
        let none = Ledger { boot: Some(boot.clone()), ..Ledger::default() };
        assert_eq!(journal.load_ledger(&boot).unwrap(), none);
        assert_eq!(version(&journal.db).unwrap(), 1);
        // A daemon that starts now brings it up to date under the reader.
        let mut daemon = folder.open();
        let mut some = none;
        some.see_gateway(ProcessId { pid: 7, start_ticks: 70 }, NOW);
        daemon.save_ledger(&some).unwrap();
        assert_eq!(journal.load_ledger(&boot).unwrap(), some);
    }
}
