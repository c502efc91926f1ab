//! Lanes that background tasks name, as evidence that something may still run.

use std::collections::BTreeSet;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, ErrorCode, ffi};

use crate::model::SessionKey;

/// Most active tasks that are read. A busy gateway has some dozen.
const TASKS_MAX: usize = 100_000;

/// Columns of `task_runs` that name a lane. 2026.4.5 lacks `requester_session_key`.
const LANES: [&str; 3] = ["owner_key", "requester_session_key", "child_session_key"];

/// Returns the session keys that a queued or running row of `task_runs` names.
///
/// The table lies in `tasks/runs.sqlite` up to 2026.5.28, then in `state/openclaw.sqlite`. Where
/// it is missing there are no tasks. That a task is active proves no life: the gateway leaves
/// such rows behind (#62997).
///
/// # Errors
///
/// Returns an error if the database cannot be read, the table has none of the known columns or
/// no `status`, or more than 100,000 tasks are active.
pub fn lanes_of_active_tasks(connection: &Connection) -> rusqlite::Result<BTreeSet<SessionKey>> {
    let columns = columns(connection)?;
    if columns.is_empty() {
        return Ok(BTreeSet::new());
    }
    let lanes: Vec<_> = LANES.into_iter().filter(|&lane| columns.contains(lane)).collect();
    // A table without any of them is another table; its absence must not look like no tasks.
    let lanes = if lanes.is_empty() { LANES.join(", ") } else { lanes.join(", ") };
    let sql = format!("SELECT {lanes} FROM task_runs WHERE status IN ('queued', 'running')");
    let mut statement = connection.prepare(&sql)?;
    let width = statement.column_count();
    let (mut rows, mut count) = (statement.query([])?, 0);
    let mut keys = BTreeSet::new();
    while let Some(row) = rows.next()? {
        count += 1;
        if count > TASKS_MAX {
            return Err(too_many());
        }
        for column in 0..width {
            if let ValueRef::Text(text) = row.get_ref(column)? {
                keys.insert(SessionKey(String::from_utf8_lossy(text).into_owned()));
            }
        }
    }
    Ok(keys)
}

pub(super) fn columns(connection: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info('task_runs')")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

fn too_many() -> Error {
    let code = ffi::Error { code: ErrorCode::TooBig, extended_code: ffi::SQLITE_TOOBIG };
    Error::SqliteFailure(code, Some(format!("more than {TASKS_MAX} active tasks")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, want: Result<&[&str], &str>) {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        let got = lanes_of_active_tasks(&connection);
        let got = got.map(|keys| keys.into_iter().map(|key| key.0).collect::<Vec<_>>());
        match (got, want) {
            (Ok(got), Ok(want)) => assert_eq!(got, want, "{sql}"),
            (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{error}"),
            (got, want) => panic!("{got:?} is not {want:?}: {sql}"),
        }
    }

    const TABLE_4_15: &str = "CREATE TABLE task_runs (task_id TEXT PRIMARY KEY, runtime TEXT,
        requester_session_key TEXT, owner_key TEXT NOT NULL, child_session_key TEXT,
        status TEXT NOT NULL);";

    #[test]
    fn names_the_lanes_of_queued_and_running_tasks_only() {
        let rows = "INSERT INTO task_runs VALUES
            ('1', 'acp', 'agent:main:parent2', 'agent:main:parent2', 'agent:claude:acp:eede7136', 'running'),
            ('2', 'cli', NULL, 'agent:main:queued', NULL, 'queued'),
            ('3', 'cli', 'agent:main:done', 'agent:main:done', 'agent:main:done', 'succeeded'),
            ('4', 'cli', 'agent:main:lost', 'agent:main:lost', 'agent:main:lost', 'lost'),
            ('5', 'cli', x'00ff', 'agent:main:queued', 7, 'queued');";
        check(
            &format!("{TABLE_4_15}{rows}"),
            Ok(&["7", "agent:claude:acp:eede7136", "agent:main:parent2", "agent:main:queued"]),
        );
    }

    #[test]
    fn reads_a_table_of_2026_4_5_which_has_no_requester() {
        check(
            "CREATE TABLE task_runs (task_id TEXT, owner_key TEXT, child_session_key TEXT, status TEXT);
             INSERT INTO task_runs VALUES ('1', 'o', 'c', 'running');",
            Ok(&["c", "o"]),
        );
    }

    #[test]
    fn no_table_means_no_tasks_but_another_table_is_an_error() {
        check("", Ok(&[]));
        check(TABLE_4_15, Ok(&[]));
        check(
            "CREATE TABLE task_runs (task_id TEXT, owner_key TEXT)",
            Err("no such column: status"),
        );
        check("CREATE TABLE task_runs (id TEXT, status TEXT)", Err("no such column: owner_key"));
    }

    #[test]
    fn more_active_tasks_than_any_gateway_has_are_an_error() {
        let fill = |count: usize| {
            format!(
                "{TABLE_4_15} INSERT INTO task_runs (task_id, owner_key, status)
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
                 SELECT i, 'o', 'queued' FROM n;"
            )
        };
        check(&fill(TASKS_MAX), Ok(&["o"]));
        check(&fill(TASKS_MAX + 1), Err("more than 100000 active tasks"));
    }
}
