//! Background tasks and subagent runs, and the lanes that they keep busy.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::files::{
    TasksKept, lanes_of_active_tasks, open_subagent_rows, read_subagent_rows, read_tasks,
};
use super::kept::Kept;
use super::sqlite::{self, SqliteError};
use crate::model::{Era, Gap, SessionKey, Source, SubagentRun, Task, UnixMillis};

/// Returns the session keys that a queued or running task names at `now`; `None` in an era whose
/// tasks are not read here. What was read of a database that has not changed is in `kept`.
///
/// Up to 2026.3.24 there is no task store: then no task names anything.
///
/// # Errors
///
/// Returns a gap if there is a task store that could not be read.
pub(super) fn active_lanes(
    era: &Era,
    state_dir: &Path,
    kept: &mut Kept<BTreeSet<SessionKey>>,
    now: UnixMillis,
) -> Result<Option<BTreeSet<SessionKey>>, Gap> {
    let Some(database) = database(era, state_dir) else { return Ok(None) };
    if !database.exists() {
        return Ok(Some(BTreeSet::new()));
    }
    match kept.read(&database, now, |database| sqlite::query(database, lanes_of_active_tasks)) {
        Ok(lanes) => Ok(Some(lanes)),
        Err(error) => {
            let reason = crate::error::chain(&error);
            Err(Gap { source: Source::Tasks, path: database, reason })
        }
    }
}

/// Returns the child session keys of open subagent runs in the database of the hybrid era, which
/// keeps its registry there; empty in every other.
///
/// # Errors
///
/// Returns a gap if there is a database that could not be read.
pub(super) fn open_subagents(era: &Era, state_dir: &Path) -> Result<BTreeSet<SessionKey>, Gap> {
    let database = database(era, state_dir).filter(|path| *era == Era::Hybrid && path.exists());
    let Some(database) = database else { return Ok(BTreeSet::new()) };
    sqlite::query(&database, open_subagent_rows).map_err(|error| {
        let reason = crate::error::chain(&error);
        Gap { source: Source::Subagents, path: database, reason }
    })
}

/// Returns the tasks of the state directory at `now`, in every era that is understood; `None` in
/// others. What was read of a database that has not changed is in `kept`.
///
/// # Errors
///
/// Returns a gap if there is a task store that could not be read.
pub(super) fn tasks(
    era: &Era,
    state_dir: &Path,
    wanted: TasksKept,
    kept: &mut Kept<Vec<Task>>,
    now: UnixMillis,
) -> Result<Option<Vec<Task>>, Gap> {
    let Some(database) = database_of_any(era, state_dir) else { return Ok(None) };
    let read = |path: &Path| sqlite::query(path, |db| read_tasks(db, path, wanted));
    or_none(kept.read(&database, now, read), Source::Tasks, &database).map(Some)
}

/// Returns the subagent runs in the database of the hybrid and the SQLite era; none in others.
///
/// # Errors
///
/// Returns a gap if there is a database that could not be read.
pub(super) fn subagents(
    era: &Era,
    state_dir: &Path,
    kept: &mut Kept<Vec<SubagentRun>>,
    now: UnixMillis,
) -> Result<Vec<SubagentRun>, Gap> {
    let database = database_of_any(era, state_dir).filter(|_| *era != Era::Files);
    let Some(database) = database else { return Ok(Vec::new()) };
    let read = |path: &Path| sqlite::query(path, |db| read_subagent_rows(db, path));
    or_none(kept.read(&database, now, read), Source::Subagents, &database)
}

/// A database that is not there holds nothing; up to 2026.3.24 there is none for tasks.
fn or_none<T: Default>(
    read: Result<T, SqliteError>,
    source: Source,
    database: &Path,
) -> Result<T, Gap> {
    match read {
        Ok(found) => Ok(found),
        Err(SqliteError::Missing { .. }) => Ok(T::default()),
        Err(error) => {
            let reason = crate::error::chain(&error);
            Err(Gap { source, path: database.to_owned(), reason })
        }
    }
}

fn database_of_any(era: &Era, state_dir: &Path) -> Option<PathBuf> {
    match era {
        Era::Sqlite => Some(state_dir.join("state/openclaw.sqlite")),
        _ => database(era, state_dir),
    }
}

fn database(era: &Era, state_dir: &Path) -> Option<PathBuf> {
    match era {
        Era::Files => Some(state_dir.join("tasks/runs.sqlite")),
        Era::Hybrid => Some(state_dir.join("state/openclaw.sqlite")),
        Era::Sqlite | Era::Newer { .. } | Era::Unknown { .. } => None,
    }
}
