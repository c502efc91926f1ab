//! `acp_sessions` in `state/openclaw.sqlite` (2026.6.1 and later), and its list of agent databases.

use std::path::PathBuf;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::ROWS_MAX;
use crate::format::{AcpColumns, acp_session_key};
use crate::model::{AcpMetadata, AgentId, SessionId, SessionKey};
use crate::observe::columns::columns;

/// Longest text that is read of one cell. The gateway's have some hundred bytes.
const CELL_BYTES_MAX: usize = 16 << 10;

/// Most agent databases. A gateway has one for each agent.
const DATABASES_MAX: usize = 1000;

/// What the state database says of ACP sessions.
#[derive(Debug, Default)]
pub(super) struct StateRows {
    /// By their keys, as they are spelled there.
    pub(super) rows: Vec<MetadataRow>,
    /// Whether there are more than are kept.
    pub(super) is_cut: bool,
    /// `agent_databases`: where agents keep their sessions, relative to the state directory or not.
    pub(super) databases: Vec<(AgentId, PathBuf)>,
}

/// One row.
#[derive(Debug)]
pub(super) struct MetadataRow {
    /// In whose store the session is, where the key says so.
    pub(super) agent: Option<AgentId>,
    /// The session.
    pub(super) key: SessionKey,
    /// What it is bound to; `None`: to nothing.
    pub(super) bound_to: Option<SessionId>,
    /// `updated_at`, in ms.
    pub(super) updated_at: Option<i64>,
    /// What is known of the agent. Whether that is current is not known here.
    pub(super) metadata: AcpMetadata,
}

/// Reads them. A table that is missing has no rows.
///
/// # Errors
///
/// Returns an error if the database cannot be read.
pub(super) fn read(db: &Connection) -> rusqlite::Result<StateRows> {
    let (rows, is_cut) = rows(db)?;
    Ok(StateRows { rows, is_cut, databases: databases(db)? })
}

fn rows(db: &Connection) -> rusqlite::Result<(Vec<MetadataRow>, bool)> {
    let wanted = [
        "session_key",
        "session_id",
        "agent",
        "runtime_session_name",
        "identity_json",
        "mode",
        "cwd",
        "state",
        "last_activity_at",
        "updated_at",
    ];
    let Some(names) = columns(db, "acp_sessions", wanted)? else { return Ok((vec![], false)) };
    let list = names.join(", ");
    let sql = format!("SELECT {list} FROM acp_sessions ORDER BY 1 LIMIT {}", ROWS_MAX + 1);
    let mut statement = db.prepare(&sql)?;
    let mut found = statement.query([])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        if rows.len() == ROWS_MAX {
            return Ok((rows, true));
        }
        rows.extend(metadata_row(row)?);
    }
    Ok((rows, false))
}

/// A row whose key is no text, or longer than any, is nobody's.
fn metadata_row(row: &Row<'_>) -> rusqlite::Result<Option<MetadataRow>> {
    let Some(key) = text(row, 0)?.filter(|key| key.len() <= 2048) else { return Ok(None) };
    let (agent, key) = acp_session_key(key);
    let columns = AcpColumns {
        agent: text(row, 2)?,
        runtime_session_name: text(row, 3)?,
        identity: text(row, 4)?,
        mode: text(row, 5)?,
        cwd: text(row, 6)?,
        state: text(row, 7)?,
        last_activity_at: number(row, 8)?,
    };
    Ok(Some(MetadataRow {
        agent: agent.map(AgentId),
        key,
        bound_to: text(row, 1)?.map(SessionId::from),
        updated_at: number(row, 9)?,
        metadata: columns.metadata(),
    }))
}

fn databases(db: &Connection) -> rusqlite::Result<Vec<(AgentId, PathBuf)>> {
    let Some(names) = columns(db, "agent_databases", ["agent_id", "path"])? else {
        return Ok(Vec::new());
    };
    let list = names.join(", ");
    let sql = format!("SELECT {list} FROM agent_databases ORDER BY 1, 2 LIMIT {DATABASES_MAX}");
    let mut statement = db.prepare(&sql)?;
    let mut found = statement.query([])?;
    let mut databases = Vec::new();
    while let Some(row) = found.next()? {
        if let (Some(agent), Some(path)) = (text(row, 0)?, text(row, 1)?) {
            databases.push((AgentId::from(agent), PathBuf::from(path)));
        }
    }
    Ok(databases)
}

/// Returns the text in a column. What is no text, no UTF-8 or too long is none.
pub(super) fn text<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<Option<&'a str>> {
    Ok(row.get_ref(column)?.as_str().ok().filter(|text| text.len() <= CELL_BYTES_MAX))
}

/// Returns the whole number in a column.
pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<i64>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Integer(number) => Some(number),
        _ => None,
    })
}
