//! Open subagent runs of the database that took the place of `subagents/runs.json`.

use std::collections::BTreeSet;

use rusqlite::{Connection, Error, ErrorCode, ffi};

use crate::model::SessionKey;

/// Most open runs that are read. A gateway runs a handful of subagents at a time.
const OPEN_MAX: i64 = 100_000;

/// Returns the child session keys of all rows of `subagent_runs` without an end.
///
/// The table is in `state/openclaw.sqlite` of 2026.6.11 and 2026.7.1, which write no
/// `subagents/runs.json` (measured). Where it is missing there are no runs.
///
/// # Errors
///
/// Returns an error if the database cannot be read, the table has other columns, an open run has
/// no key of its child, or there are more than 100,000.
pub fn open_subagent_rows(connection: &Connection) -> rusqlite::Result<BTreeSet<SessionKey>> {
    const TABLE: &str =
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'subagent_runs'";
    const OPEN: &str =
        "SELECT child_session_key FROM subagent_runs WHERE ended_at IS NULL LIMIT ?1";
    if !connection.prepare(TABLE)?.exists([])? {
        return Ok(BTreeSet::new());
    }
    let mut statement = connection.prepare(OPEN)?;
    let mut rows = statement.query([OPEN_MAX + 1])?;
    let (mut keys, mut count) = (BTreeSet::new(), 0);
    while let Some(row) = rows.next()? {
        count += 1;
        keys.insert(SessionKey(row.get(0)?));
    }
    if count > OPEN_MAX {
        let code = ffi::Error { code: ErrorCode::TooBig, extended_code: ffi::SQLITE_TOOBIG };
        let why = format!("more than {OPEN_MAX} open subagent runs");
        return Err(Error::SqliteFailure(code, Some(why)));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, want: Result<&[&str], ()>) {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        let got = open_subagent_rows(&connection).map_err(drop);
        let want = want.map(|keys| keys.iter().map(|&key| key.into()).collect());
        assert_eq!(got, want, "{sql}");
    }

    #[test]
    fn only_runs_without_an_end_are_open() {
        let table = "CREATE TABLE subagent_runs (child_session_key TEXT, ended_at INTEGER)";
        check("", Ok(&[]));
        check(table, Ok(&[]));
        let rows = format!("{table}; INSERT INTO subagent_runs VALUES ('a', NULL), ('b', 5)");
        check(&rows, Ok(&["a"]));
    }

    #[test]
    fn what_is_not_understood_is_an_error_and_never_no_runs() {
        check("CREATE TABLE subagent_runs (child_session_key TEXT)", Err(()));
        let nameless = "CREATE TABLE subagent_runs (child_session_key TEXT, ended_at INTEGER);
            INSERT INTO subagent_runs VALUES (NULL, NULL)";
        check(nameless, Err(()));
    }
}
