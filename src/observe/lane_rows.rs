//! One lane in the database of its agent, in the SQLite era.

use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension};

use super::sqlite::{self, SqliteError};
use crate::error::chain;
use crate::model::{
    AgentId, ChildRow, Field, LaneStatus, RunId, SessionId, SessionKey, Transcript, UnixMillis,
};

/// Largest row whose text is looked into; real ones have some KiB.
const ENTRY_BYTES_MAX: i64 = 1 << 20;

/// What the database says of a lane. No text of any message is read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct LaneRows {
    /// `lifecycleRunId`: the run that is under way. `sessions.list` does not name it while it runs
    /// (2026.9.6).
    pub(super) run: Option<RunId>,
    /// How many messages wait.
    pub(super) queued: u32,
    /// How many waiting messages were cancelled or interrupted, and are never answered.
    pub(super) dropped: u32,
    /// Its transcript, in events.
    pub(super) transcript: Transcript,
    /// Its trajectory, in events.
    pub(super) trajectory: Transcript,
}

/// Returns where the database of an agent is.
pub(super) fn database(state_dir: &Path, agent: &AgentId) -> PathBuf {
    state_dir.join("agents").join(&agent.0).join("agent/openclaw-agent.sqlite")
}

/// Reads the lane `key`, whose transcript is that of `session`.
///
/// # Errors
///
/// Returns the reason, for people. A table that is not there is one: the database is then of a version
/// that was not run.
pub(super) fn read(
    database: &Path,
    key: &SessionKey,
    session: Option<&SessionId>,
) -> Result<LaneRows, String> {
    sqlite::query(database, |db| rows(db, key, session)).map_err(|error| chain(&error))
}

fn rows(
    db: &Connection,
    key: &SessionKey,
    session: Option<&SessionId>,
) -> rusqlite::Result<LaneRows> {
    Ok(LaneRows {
        run: run(db, key)?,
        queued: inputs(db, key, "state = 'queued'")?,
        dropped: inputs(db, key, "state IN ('cancelled', 'interrupted')")?,
        transcript: events(db, "transcript_events", session)?,
        trajectory: events(db, "trajectory_runtime_events", session)?,
    })
}

/// Reads the rows of those of `keys` that have one.
///
/// # Errors
///
/// As [`read`].
pub(super) fn children(
    database: &Path,
    keys: &[&SessionKey],
) -> Result<Vec<ChildRow>, SqliteError> {
    sqlite::query(database, |db| {
        let rows = keys.iter().map(|key| child(db, database, key));
        rows.filter_map(Result::transpose).collect()
    })
}

fn child(db: &Connection, database: &Path, key: &SessionKey) -> rusqlite::Result<Option<ChildRow>> {
    const CHILD: &str = "SELECT status, current_session_id,
          json_extract(entry, '$.startedAt'), json_extract(entry, '$.endedAt')
        FROM (SELECT status, current_session_id, CASE WHEN octet_length(entry_json) <= ?2
            AND json_valid(entry_json) THEN entry_json END AS entry
          FROM session_nodes WHERE session_key = ?1)";
    let at = |value: ValueRef<'_>| match value {
        ValueRef::Null => Field::Absent,
        ValueRef::Integer(at) => Field::Value(UnixMillis(at)),
        _ => Field::Malformed,
    };
    let found = db.query_row(CHILD, (&key.0, ENTRY_BYTES_MAX), |row| {
        let status = match row.get_ref(0)? {
            ValueRef::Null => LaneStatus::Absent,
            ValueRef::Text(b"running") => LaneStatus::Running,
            ValueRef::Text(b"done" | b"failed" | b"killed" | b"timeout") => LaneStatus::Ended,
            _ => LaneStatus::Unknown,
        };
        Ok(ChildRow {
            key: key.clone(),
            store: database.to_owned(),
            session_id: row.get_ref(1)?.as_str().ok().map(SessionId::from),
            status,
            started_at: at(row.get_ref(2)?),
            ended_at: at(row.get_ref(3)?),
            transcript: Transcript::Unreadable,
        })
    });
    let Some(mut row) = found.optional()? else { return Ok(None) };
    row.transcript = events(db, "transcript_events", row.session_id.as_ref())?;
    Ok(Some(row))
}

fn run(db: &Connection, key: &SessionKey) -> rusqlite::Result<Option<RunId>> {
    const RUN: &str = "SELECT json_extract(entry_json, '$.lifecycleRunId') FROM session_nodes
        WHERE session_key = ?1 AND length(entry_json) <= ?2 AND json_valid(entry_json)";
    let found = db.query_row(RUN, (&key.0, ENTRY_BYTES_MAX), |row| {
        // Any other shape than text names no run.
        Ok(row.get_ref(0)?.as_str().ok().filter(|id| !id.is_empty()).map(|id| RunId(id.to_owned())))
    });
    Ok(found.optional()?.flatten())
}

fn inputs(db: &Connection, key: &SessionKey, which: &str) -> rusqlite::Result<u32> {
    let count =
        format!("SELECT count(*) FROM session_pending_inputs WHERE session_key = ?1 AND {which}");
    db.query_row(&count, [&key.0], |row| row.get(0))
}

/// How many events `table` has of the session, by their numbers, and when the last was written.
fn events(
    db: &Connection,
    table: &str,
    session: Option<&SessionId>,
) -> rusqlite::Result<Transcript> {
    let Some(session) = session else { return Ok(Transcript::Unreadable) };
    let last = format!(
        "SELECT seq, created_at FROM {table} WHERE session_id = ?1 ORDER BY seq DESC LIMIT 1"
    );
    let last = db.query_row(&last, [&session.0], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)));
    Ok(match last.optional()? {
        None => Transcript::Missing,
        Some((seq, at)) => Transcript::Present {
            bytes: u64::try_from(seq).unwrap_or_default().saturating_add(1),
            modified_at: UnixMillis(at),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "agent:main:main";

    /// The columns of 2026.9.6 that are read.
    const TABLES: &str = "
        CREATE TABLE session_nodes (session_key TEXT PRIMARY KEY, entry_json TEXT) STRICT;
        CREATE TABLE session_pending_inputs (seq INTEGER PRIMARY KEY, session_key TEXT, state TEXT);
        CREATE TABLE transcript_events (session_id TEXT, seq INTEGER, created_at INTEGER);
        CREATE TABLE trajectory_runtime_events (session_id TEXT, seq INTEGER, created_at INTEGER);";

    fn look(rows: &str) -> Result<LaneRows, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("openclaw-agent.sqlite");
        Connection::open(&path).unwrap().execute_batch(rows).unwrap();
        read(&path, &KEY.into(), Some(&"s1".into()))
    }

    #[test]
    fn reads_the_run_and_counts_what_waits_and_what_was_dropped() {
        let rows = look(&format!(
            "{TABLES}
            INSERT INTO session_nodes VALUES
                ('{KEY}', '{{\"lifecycleRunId\":\"r1\"}}'), ('b', '{{\"lifecycleRunId\":\"r2\"}}');
            INSERT INTO session_pending_inputs VALUES (1, '{KEY}', 'queued'), (2, '{KEY}', 'queued'),
                (3, '{KEY}', 'cancelled'), (4, '{KEY}', 'interrupted'), (5, 'b', 'queued');
            INSERT INTO transcript_events VALUES ('s1', 0, 5), ('s1', 1, 7), ('s2', 9, 9);"
        ));
        let want = LaneRows {
            run: Some(RunId("r1".to_owned())),
            queued: 2,
            dropped: 2,
            transcript: Transcript::Present { bytes: 2, modified_at: UnixMillis(7) },
            trajectory: Transcript::Missing,
        };
        assert_eq!(rows, Ok(want));
    }

    #[test]
    fn a_row_that_names_no_run_in_text_names_none() {
        for entry in ["{}", "{\"lifecycleRunId\":7}", "{\"lifecycleRunId\":null}", "torn", "[]"] {
            let rows =
                look(&format!("{TABLES} INSERT INTO session_nodes VALUES ('{KEY}', '{entry}');"));
            assert_eq!(rows.unwrap().run, None, "{entry}");
        }
        assert_eq!(look(TABLES).unwrap().run, None);
    }

    #[test]
    fn a_database_of_another_shape_is_an_error_and_never_an_absence() {
        assert!(look("CREATE TABLE session_nodes (session_key TEXT, entry_json TEXT);").is_err());
        assert!(read(Path::new("/nowhere"), &KEY.into(), None).is_err());
    }
}
