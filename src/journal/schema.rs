//! The tables, and how an older database becomes the current one.

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// One step: from the version before it to its own.
type Migration = fn(&Transaction<'_>) -> rusqlite::Result<()>;

/// Step `n` makes version `n + 1`. Released steps are never edited, only followed by others.
const MIGRATIONS: &[Migration] = &[|tx| tx.execute_batch(VERSION_1)];

/// The version that this program reads and writes.
#[expect(clippy::cast_possible_wrap, reason = "a handful of migrations")]
pub(super) const CURRENT: i64 = MIGRATIONS.len() as i64;

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

/// Returns the version of a database. Zero is a new one.
pub(super) fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Brings a database up to [`CURRENT`], all or nothing. A new one numbers its actions from
/// `after` + 1. A database that is newer is left as it is.
pub(super) fn migrate(db: &mut Connection, after: i64) -> rusqlite::Result<()> {
    if version(db)? >= CURRENT {
        return Ok(());
    }
    // Another process may do the same just now: the version that counts is the one seen with
    // the write lock held.
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&tx)?;
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    for step in MIGRATIONS.iter().skip(done) {
        step(&tx)?;
    }
    if found == 0 {
        tx.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('actions', ?1)", [after])?;
    }
    if found < CURRENT {
        tx.pragma_update(None, "user_version", CURRENT)?;
    }
    tx.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every schema as it was released. Never edit one: a change of the schema is a new
    /// migration and a new file here.
    const RELEASED: [&str; MIGRATIONS.len()] = [include_str!("schema_v1.sql")];

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
}
