//! The lanes that a task or a subagent run in a database keeps busy.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::files::{lanes_of_active_tasks, open_subagent_rows};
use super::kept::Kept;
use super::sqlite;
use crate::model::{Era, Gap, SessionKey, Source, UnixMillis};

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

fn database(era: &Era, state_dir: &Path) -> Option<PathBuf> {
    match era {
        Era::Files => Some(state_dir.join("tasks/runs.sqlite")),
        Era::Hybrid => Some(state_dir.join("state/openclaw.sqlite")),
        Era::Sqlite | Era::Newer { .. } | Era::Unknown { .. } => None,
    }
}
