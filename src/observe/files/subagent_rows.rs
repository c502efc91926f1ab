//! Subagent runs of the database that took the place of `subagents/runs.json`.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::{Connection, Error, ErrorCode, Row, ffi};

use crate::model::{RunId, SessionKey, SubagentRun, UnixMillis};

/// Most open runs that are read. A gateway runs a handful of subagents at a time.
const OPEN_MAX: i64 = 100_000;

/// Most runs that are kept.
const RUNS_MAX: usize = 20_000;

/// Largest `payload_json` that is looked into; real ones have some KiB.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// Longest key or id that is read.
const TEXT_BYTES_MAX: usize = 1024;

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
    const OPEN: &str =
        "SELECT child_session_key FROM subagent_runs WHERE ended_at IS NULL LIMIT ?1";
    if columns(connection)?.is_empty() {
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
        return Err(too_many(format!("more than {OPEN_MAX} open subagent runs")));
    }
    Ok(keys)
}

/// Reads all rows of `subagent_runs` of the database, which is at `path`. One without a usable id or
/// child is none.
///
/// 2026.6.11 and 2026.7.1 have a column for each time; 2026.9.6 has all but one in `payload_json`.
///
/// # Errors
///
/// Returns an error if the database cannot be read, the table is another one, or there are more than
/// 20,000 runs.
pub fn read_subagent_rows(db: &Connection, path: &Path) -> rusqlite::Result<Vec<SubagentRun>> {
    let there = columns(db)?;
    if there.is_empty() {
        return Ok(Vec::new());
    }
    let text =
        |name: &str| format!("CASE WHEN octet_length({name}) <= {TEXT_BYTES_MAX} THEN {name} END");
    let at = |column: &str, field: &str| {
        let has = |name: &str| there.contains(name);
        let inside = format!(
            "CASE WHEN octet_length(payload_json) <= {PAYLOAD_BYTES_MAX} AND json_valid(payload_json)
               THEN json_extract(payload_json, '$.{field}') END"
        );
        match (has(column), has("payload_json")) {
            (true, true) => format!("coalesce({column}, {inside})"),
            (true, false) => column.to_owned(),
            (false, true) => inside,
            (false, false) => "NULL".to_owned(),
        }
    };
    let cells = [
        text("run_id"),
        text("child_session_key"),
        text("requester_session_key"),
        at("started_at", "startedAt"),
        "created_at".to_owned(),
        at("ended_at", "endedAt"),
        at("completion_announced_at", "completionAnnouncedAt"),
    ];
    let mut statement = db.prepare(&format!("SELECT {} FROM subagent_runs", cells.join(", ")))?;
    let (mut rows, mut runs) = (statement.query([])?, Vec::new());
    while let Some(row) = rows.next()? {
        runs.extend(run(row, path)?);
        if runs.len() > RUNS_MAX {
            return Err(too_many(format!("more than {RUNS_MAX} subagent runs")));
        }
    }
    Ok(runs)
}

fn run(row: &Row<'_>, path: &Path) -> rusqlite::Result<Option<SubagentRun>> {
    let text = |at: usize| -> rusqlite::Result<Option<String>> {
        Ok(row.get_ref(at)?.as_str().ok().filter(|text| !text.is_empty()).map(str::to_owned))
    };
    let at = |at: usize| -> rusqlite::Result<Option<UnixMillis>> {
        Ok(row.get_ref(at)?.as_i64().ok().filter(|at| *at > 0).map(UnixMillis))
    };
    let (Some(run), Some(child)) = (text(0)?, text(1)?) else { return Ok(None) };
    Ok(Some(SubagentRun {
        run: RunId(run),
        registry: path.to_owned(),
        child: SessionKey(child),
        requester: text(2)?.map(SessionKey),
        started_at: at(3)?.or(at(4)?),
        ended_at: at(5)?,
        announced_at: at(6)?,
    }))
}

fn columns(db: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let mut statement = db.prepare("SELECT name FROM pragma_table_info('subagent_runs')")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

fn too_many(why: String) -> Error {
    let code = ffi::Error { code: ErrorCode::TooBig, extended_code: ffi::SQLITE_TOOBIG };
    Error::SqliteFailure(code, Some(why))
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

    #[track_caller]
    fn check_runs(sql: &str, want: &[(&str, Option<i64>, Option<i64>)]) {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(sql).unwrap();
        let runs = read_subagent_rows(&db, Path::new("/s/state/openclaw.sqlite")).unwrap();
        let got: Vec<_> = runs
            .iter()
            .map(|run| (&*run.child.0, run.started_at.map(|at| at.0), run.ended_at.map(|at| at.0)))
            .collect();
        assert_eq!(got, want, "{sql}");
    }

    #[test]
    fn runs_of_2026_7_1_have_columns_and_those_of_2026_9_6_a_payload() {
        check_runs(
            "CREATE TABLE subagent_runs (run_id TEXT, child_session_key TEXT,
               requester_session_key TEXT, created_at INTEGER, started_at INTEGER, ended_at INTEGER,
               completion_announced_at INTEGER, payload_json TEXT NOT NULL DEFAULT '{}');
             INSERT INTO subagent_runs VALUES ('r', 'a', 'q', 5, 6, NULL, NULL, '{}'),
               ('s', 'b', 'q', 5, NULL, 7, 8, '{}');",
            &[("a", Some(6), None), ("b", Some(5), Some(7))],
        );
        check_runs(
            "CREATE TABLE subagent_runs (run_id TEXT, child_session_key TEXT,
               requester_session_key TEXT, created_at INTEGER, payload_json TEXT);
             INSERT INTO subagent_runs VALUES ('r', 'a', 'q', 5, '{\"startedAt\":6}'),
               ('s', 'b', 'q', 5, '{\"endedAt\":7,\"startedAt\":\"soon\"}'),
               ('t', 'c', 'q', 5, '{torn'), (NULL, 'd', 'q', 5, '{}'), ('u', x'00', 'q', 5, '{}');",
            &[("a", Some(6), None), ("b", Some(5), Some(7)), ("c", Some(5), None)],
        );
        check_runs("", &[]);
    }
}
