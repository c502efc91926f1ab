//! Background tasks as the gateway's database has them.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, ErrorCode, Row, ffi};

use super::tasks::columns;
use crate::model::{
    AgentId, Delivery, RunId, SessionKey, Task, TaskId, TaskRuntime, TaskStatus, UnixMillis,
};

/// Most tasks that are kept in each pass. A busy gateway has some dozen that are not over.
const KEPT_MAX: usize = 20_000;

/// Most tasks that are kept for somebody who asks for all. The gateway forgets them after a week.
const ALL_MAX: usize = 200_000;

/// Longest text of a cell that is read. Ids and keys have about 100 bytes.
const TEXT_BYTES_MAX: usize = 1024;

/// How much of a label is kept.
const LABEL_BYTES_MAX: usize = 200;

/// How many runs of one child and label are no accident.
const AGAIN: usize = 3;

/// What is read of a task, in the order of [`task`].
const COLUMNS: [&str; 16] = [
    "task_id",
    "runtime",
    "run_id",
    "owner_key",
    "requester_session_key",
    "child_session_key",
    "agent_id",
    "parent_flow_id",
    "parent_task_id",
    "label",
    "status",
    "delivery_status",
    "created_at",
    "started_at",
    "ended_at",
    "last_event_at",
];

/// Columns without which a table is another one.
const NEEDED: [&str; 3] = ["task_id", "status", "delivery_status"];

/// Which tasks are wanted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TasksKept {
    /// Those that are not over, those whose end is not told, and those of a child and label that
    /// ended in three runs or more; with all others of the same run.
    #[default]
    Notable,
    /// All.
    All,
}

/// Reads `task_runs` of the database, which is at `path`, sorted by id.
///
/// A table that is missing has no tasks. A row without a usable id is no task, for nothing could
/// name it. No text of a task is read, and no cell above 1 KiB.
///
/// # Errors
///
/// Returns an error if the database cannot be read, the table is another one, or more than 20,000
/// tasks would be kept, 200,000 if all are wanted.
pub fn read_tasks(db: &Connection, path: &Path, wanted: TasksKept) -> rusqlite::Result<Vec<Task>> {
    let there = columns(db)?;
    if there.is_empty() {
        return Ok(Vec::new());
    }
    let kept = match wanted {
        TasksKept::All => None,
        TasksKept::Notable => Some(notable(db, &there)?),
    };
    if kept.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Vec::new());
    }
    let owner_pid = cell("execution_owner_pid", &there);
    let cells: Vec<_> = COLUMNS.iter().map(|name| cell(name, &there)).collect();
    let select = format!("SELECT {}, {owner_pid} FROM task_runs", cells.join(", "));
    let mut tasks = Vec::new();
    match kept {
        None => {
            let mut statement = db.prepare(&select)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                tasks.extend(task(row, path)?);
                refuse_more_than(ALL_MAX, tasks.len())?;
            }
        }
        Some(ids) => {
            let mut statement = db.prepare(&format!("{select} WHERE rowid = ?1"))?;
            for id in ids {
                let mut rows = statement.query([id])?;
                // It may be gone since.
                if let Some(row) = rows.next()? {
                    tasks.extend(task(row, path)?);
                }
            }
        }
    }
    tasks.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(tasks)
}

/// The expression of a column: `NULL` where this version lacks it, or a cell is too large. To learn
/// its size, SQLite does not read it.
fn cell(name: &str, there: &BTreeSet<String>) -> String {
    if there.contains(name) || NEEDED.contains(&name) {
        format!("CASE WHEN octet_length({name}) <= {TEXT_BYTES_MAX} THEN {name} END")
    } else {
        "NULL".to_owned()
    }
}

/// What of one row tells whether its family is worth a second look.
struct Glance {
    row: i64,
    family: u64,
    run: u64,
    /// Child and label, of a row that is over and has both.
    told: Option<u64>,
    is_notable: bool,
}

/// Returns the rows that are worth a second look, with all others of their families.
fn notable(db: &Connection, there: &BTreeSet<String>) -> rusqlite::Result<Vec<i64>> {
    let names =
        ["run_id", "task_id", "status", "delivery_status", "child_session_key", "label", "runtime"];
    let cells: Vec<_> = names.iter().map(|name| cell(name, there)).collect();
    let mut statement =
        db.prepare(&format!("SELECT rowid, {} FROM task_runs", cells.join(", ")))?;
    let (mut rows, mut glances) = (statement.query([])?, Vec::new());
    while let Some(row) = rows.next()? {
        glances.push(glance(row)?);
    }
    let again = told_again(&glances);
    glances.sort_by_key(|glance| glance.family);
    let mut kept = Vec::new();
    for family in glances.chunk_by(|a, b| a.family == b.family) {
        let is_again = |glance: &Glance| glance.told.is_some_and(|told| again.contains(&told));
        if family.iter().any(|glance| glance.is_notable || is_again(glance)) {
            kept.extend(family.iter().map(|glance| glance.row));
            refuse_more_than(KEPT_MAX, kept.len())?;
        }
    }
    Ok(kept)
}

fn glance(row: &Row<'_>) -> rusqlite::Result<Glance> {
    let (run, id) = (bytes(row.get_ref(1)?), bytes(row.get_ref(2)?));
    let (status, delivery) = (bytes(row.get_ref(3)?), bytes(row.get_ref(4)?));
    let (child, label) = (bytes(row.get_ref(5)?), bytes(row.get_ref(6)?));
    let is_over = ended(status.unwrap_or_default()).is_some();
    // What a call of `agent` leaves has the label of nobody's spawn.
    let is_spawned = bytes(row.get_ref(7)?) != Some(b"cli");
    Ok(Glance {
        row: row.get(0)?,
        family: hash(&(run.is_some(), run.or(id))),
        run: hash(&run),
        told: child.zip(label).filter(|_| is_over && is_spawned).map(|both| hash(&both)),
        is_notable: !is_over || delivery == Some(b"pending"),
    })
}

/// Returns the children and labels that ended in [`AGAIN`] runs or more.
fn told_again(glances: &[Glance]) -> BTreeSet<u64> {
    let mut told: Vec<_> =
        glances.iter().filter_map(|glance| Some((glance.told?, glance.run))).collect();
    told.sort_unstable();
    told.dedup();
    let groups = told.chunk_by(|a, b| a.0 == b.0);
    groups.filter(|runs| runs.len() >= AGAIN).map(|runs| runs[0].0).collect()
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Returns the text of a cell; none if it is empty, or no text.
fn bytes(value: ValueRef<'_>) -> Option<&[u8]> {
    match value {
        ValueRef::Text(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn task(row: &Row<'_>, path: &Path) -> rusqlite::Result<Option<Task>> {
    let text = |at: usize| -> rusqlite::Result<Option<String>> {
        let text = bytes(row.get_ref(at)?).and_then(|text| std::str::from_utf8(text).ok());
        // SQLite's own functions end a text at a NUL; such an id names something else to them.
        Ok(text.filter(|text| !text.contains('\0')).map(str::to_owned))
    };
    let at = |at: usize| -> rusqlite::Result<Option<UnixMillis>> {
        Ok(row.get_ref(at)?.as_i64().ok().filter(|at| *at > 0).map(UnixMillis))
    };
    let Some(id) = text(0)? else { return Ok(None) };
    Ok(Some(Task {
        id: TaskId(id),
        database: path.to_owned(),
        runtime: runtime(text(1)?),
        run: text(2)?.map(RunId),
        owner: text(3)?.map(SessionKey),
        requester: text(4)?.map(SessionKey),
        child: text(5)?.map(SessionKey),
        agent: text(6)?.map(AgentId),
        flow: text(7)?,
        parent: text(8)?.map(TaskId),
        label: text(9)?.map(shorten),
        status: status(text(10)?),
        delivery: delivery(text(11)?),
        created_at: at(12)?,
        started_at: at(13)?,
        ended_at: at(14)?,
        last_event_at: at(15)?,
        owner_pid: row.get_ref(16)?.as_i64().ok().and_then(|pid| i32::try_from(pid).ok()),
    }))
}

fn shorten(mut label: String) -> String {
    label.truncate(label.floor_char_boundary(LABEL_BYTES_MAX));
    label
}

fn runtime(text: Option<String>) -> TaskRuntime {
    match text.as_deref() {
        Some("acp") => TaskRuntime::Acp,
        Some("subagent") => TaskRuntime::Subagent,
        Some("cli") => TaskRuntime::Cli,
        Some("cron") => TaskRuntime::Cron,
        _ => TaskRuntime::Other(text.unwrap_or_default()),
    }
}

fn status(text: Option<String>) -> TaskStatus {
    match text.as_deref() {
        Some("queued") => TaskStatus::Queued,
        Some("running") => TaskStatus::Running,
        other => match ended(other.unwrap_or_default().as_bytes()) {
            Some(how) => TaskStatus::Ended(how),
            None => TaskStatus::Other(text.unwrap_or_default()),
        },
    }
}

fn ended(status: &[u8]) -> Option<&'static str> {
    const ENDS: [&str; 5] = ["succeeded", "failed", "timed_out", "cancelled", "lost"];
    ENDS.into_iter().find(|end| end.as_bytes() == status)
}

fn delivery(text: Option<String>) -> Delivery {
    match text.as_deref() {
        Some("pending") => Delivery::Unsettled,
        Some("delivered" | "session_queued" | "failed" | "parent_missing" | "not_applicable") => {
            Delivery::Settled
        }
        _ => Delivery::Unknown,
    }
}

fn refuse_more_than(max: usize, count: usize) -> rusqlite::Result<()> {
    if count <= max {
        return Ok(());
    }
    let code = ffi::Error { code: ErrorCode::TooBig, extended_code: ffi::SQLITE_TOOBIG };
    Err(Error::SqliteFailure(code, Some(format!("more than {max} tasks to look at"))))
}

#[cfg(test)]
mod tests;
