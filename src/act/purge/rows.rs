//! Rows of a database whose gateway is stopped: taken out, and put back as they were.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, Error, OpenFlags, TransactionBehavior, params_from_iter};

use crate::model::{Cell, RowCopy};

/// Which of some rows are there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum There {
    /// All, as they were.
    All,
    /// None.
    None,
    /// Some, or they say something else.
    Other,
}

/// Which of `rows` are there now.
pub(super) fn there(path: &Path, rows: &[RowCopy]) -> rusqlite::Result<There> {
    look(&open(path)?, rows)
}

fn look(db: &Connection, rows: &[RowCopy]) -> rusqlite::Result<There> {
    let (mut same, mut named, all) = (0, 0, i64::try_from(rows.len()).unwrap_or(i64::MAX));
    for row in rows {
        let table = quoted(&row.table);
        let count = format!("SELECT count(*) FROM {table} WHERE {} = ?1", quoted(&row.column));
        named += db.query_row(&count, [&row.id], |row| row.get::<_, i64>(0))?;
        let cells: Vec<_> =
            row.cells.iter().map(|(name, _)| format!("{} IS ?", quoted(name))).collect();
        let count = format!("SELECT count(*) FROM {table} WHERE {}", cells.join(" AND "));
        same += db.query_row(&count, values(row), |row| row.get::<_, i64>(0))?;
    }
    Ok(match () {
        () if named == 0 => There::None,
        () if same == all && named == all => There::All,
        () => There::Other,
    })
}

/// Takes all of `rows` out if all are there as they were, and returns true; else changes nothing.
pub(super) fn take(path: &Path, rows: &[RowCopy]) -> rusqlite::Result<bool> {
    change(path, rows, There::All, |db| {
        // Those that depend on others come after them, and go before them.
        for row in rows.iter().rev() {
            let (table, column) = (quoted(&row.table), quoted(&row.column));
            exactly_one(
                db.execute(&format!("DELETE FROM {table} WHERE {column} = ?1"), [&row.id])?,
            )?;
        }
        Ok(())
    })
}

/// Puts all of `rows` back if none of them is there, and returns true; else changes nothing.
pub(super) fn put(path: &Path, rows: &[RowCopy]) -> rusqlite::Result<bool> {
    change(path, rows, There::None, |db| {
        for row in rows {
            let names: Vec<_> = row.cells.iter().map(|(name, _)| quoted(name)).collect();
            let places = vec!["?"; names.len()].join(", ");
            let table = quoted(&row.table);
            let insert = format!("INSERT INTO {table} ({}) VALUES ({places})", names.join(", "));
            exactly_one(db.execute(&insert, values(row))?)?;
        }
        Ok(())
    })
}

/// One transaction: compared, changed, synced.
fn change(
    path: &Path,
    rows: &[RowCopy],
    expected: There,
    work: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> rusqlite::Result<bool> {
    let mut db = open(path)?;
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if look(&transaction, rows)? != expected {
        return Ok(false);
    }
    let before = transaction.total_changes();
    work(&transaction)?;
    // A trigger or a foreign key may change other rows, of which there is no copy.
    if transaction.total_changes() - before != rows.len() as u64 {
        let why = "its triggers or foreign keys would change other rows, too";
        return Err(Error::ToSqlConversionFailure(why.into()));
    }
    transaction.commit().map(|()| true)
}

/// Its gateway is stopped: nobody else has it open, and what that one's end left in the WAL counts.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    // `trusted_schema`: a hostile schema must not call functions with side effects.
    // `secure_delete`: what was taken out is not left in the free space of the file either.
    db.execute_batch("PRAGMA trusted_schema=0; PRAGMA synchronous=FULL; PRAGMA secure_delete=1;")?;
    Ok(db)
}

fn exactly_one(changed: usize) -> rusqlite::Result<()> {
    if changed == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(changed)) }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn values(row: &RowCopy) -> impl rusqlite::Params + use<> {
    let values: Vec<_> = row.cells.iter().map(|(_, cell)| value(cell)).collect();
    params_from_iter(values)
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Integer(number) => Value::Integer(*number),
        Cell::Real(bits) => Value::Real(f64::from_bits(*bits)),
        Cell::Text(text) => Value::Text(text.clone()),
        Cell::Blob(bytes) => Value::Blob(bytes.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(dir: &Path) -> std::path::PathBuf {
        let path = dir.join("runs.sqlite");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(
            "PRAGMA journal_mode=WAL;
             CREATE TABLE task_runs (task_id TEXT PRIMARY KEY, n INTEGER, r REAL, b BLOB,
               \"a\"\"b\" TEXT);
             INSERT INTO task_runs VALUES ('1', 5, 0.1, x'00ff', 'it''s'),
               ('2', NULL, 1e300, NULL, ''), ('3', 0, 0, 0, '0');",
        )
        .unwrap();
        path
    }

    fn row(id: &str, cells: [Cell; 4]) -> RowCopy {
        let names = ["n", "r", "b", "a\"b"].map(str::to_owned);
        let task_id = ("task_id".to_owned(), Cell::Text(id.to_owned()));
        let (table, column) = ("task_runs".to_owned(), "task_id".to_owned());
        let cells = std::iter::once(task_id).chain(names.into_iter().zip(cells)).collect();
        RowCopy { table, column, id: id.to_owned(), cells }
    }

    fn rows() -> Vec<RowCopy> {
        let text = |text: &str| Cell::Text(text.to_owned());
        let real = |number: f64| Cell::Real(number.to_bits());
        vec![
            row("1", [Cell::Integer(5), real(0.1), Cell::Blob(vec![0, 255]), text("it's")]),
            row("2", [Cell::Null, real(1e300), Cell::Null, text("")]),
        ]
    }

    #[test]
    fn rows_go_and_come_back_to_the_last_bit() {
        let dir = tempfile::tempdir().unwrap();
        let (path, rows) = (database(dir.path()), rows());
        assert_eq!(there(&path, &rows).unwrap(), There::All);
        assert!(take(&path, &rows).unwrap());
        assert_eq!(there(&path, &rows).unwrap(), There::None);
        let kept = serde_json::to_string(&rows).unwrap();
        assert!(put(&path, &serde_json::from_str::<Vec<RowCopy>>(&kept).unwrap()).unwrap());
        assert_eq!(there(&path, &rows).unwrap(), There::All);
        let count = |db: Connection| {
            db.query_row("SELECT count(*) FROM task_runs", [], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!(count(Connection::open(&path).unwrap()), 3);
    }

    #[test]
    fn all_or_none() {
        let dir = tempfile::tempdir().unwrap();
        let (path, rows) = (database(dir.path()), rows());
        assert!(!put(&path, &rows).unwrap());
        assert!(take(&path, &rows[1..]).unwrap());
        assert_eq!(there(&path, &rows).unwrap(), There::Other);
        assert!(!take(&path, &rows).unwrap());
        assert_eq!(there(&path, &rows[..1]).unwrap(), There::All);
        assert!(!put(&path, &rows).unwrap());
        assert_eq!(there(&path, &rows[1..]).unwrap(), There::None);
    }

    #[test]
    fn what_depends_on_a_row_goes_before_it_and_comes_back_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, mut rows) = (database(dir.path()), rows());
        let db = Connection::open(&path).unwrap();
        // As 2026.6.11 has them.
        db.execute_batch(
            "CREATE TABLE task_delivery_state (task_id TEXT PRIMARY KEY,
               FOREIGN KEY (task_id) REFERENCES task_runs(task_id) ON DELETE CASCADE);
             INSERT INTO task_delivery_state VALUES ('1'), ('3');",
        )
        .unwrap();
        let delivery = RowCopy {
            table: "task_delivery_state".to_owned(),
            cells: vec![("task_id".to_owned(), Cell::Text("1".to_owned()))],
            ..rows[0].clone()
        };
        // What is not named as well would go with it, and not come back.
        assert!(take(&path, &rows).unwrap_err().to_string().contains("foreign keys"));
        assert_eq!(there(&path, &rows).unwrap(), There::All);
        rows.push(delivery);
        assert!(take(&path, &rows).unwrap());
        assert!(put(&path, &rows).unwrap());
        assert_eq!(there(&path, &rows).unwrap(), There::All);
    }

    #[test]
    fn a_trigger_that_would_change_more_is_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let (path, rows) = (database(dir.path()), rows());
        let db = Connection::open(&path).unwrap();
        db.execute_batch(
            "CREATE TRIGGER t AFTER DELETE ON task_runs BEGIN DELETE FROM task_runs; END",
        )
        .unwrap();
        assert!(take(&path, &rows[..1]).is_err());
        assert_eq!(there(&path, &rows).unwrap(), There::All);
    }

    #[test]
    fn a_row_that_says_something_else_by_now_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let (path, rows) = (database(dir.path()), rows());
        let db = Connection::open(&path).unwrap();
        db.execute("UPDATE task_runs SET n = 6 WHERE task_id = '1'", []).unwrap();
        drop(db);
        assert_eq!(there(&path, &rows).unwrap(), There::Other);
        assert!(!take(&path, &rows).unwrap());
    }
}
