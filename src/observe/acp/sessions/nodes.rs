//! ACP sessions in the database of one agent (2026.8.1 and later).

use std::path::Path;

use rusqlite::{Connection, Row};

use super::ROWS_MAX;
use super::metadata::{number, text};
use crate::format::{lane_status, row_fields};
use crate::model::{AcpSession, AgentId, Field, LaneStatus, SessionId, SessionKey, UnixMillis};
use crate::observe::columns::columns;

/// Longest `entry_json` that is looked into; real ones have some KiB.
const ENTRY_BYTES_MAX: usize = 1 << 20;

/// The ACP sessions of one database.
#[derive(Debug, Default)]
pub(super) struct NodeRows {
    /// By key.
    pub(super) nodes: Vec<Node>,
    /// Whether there are more than are kept.
    pub(super) is_cut: bool,
}

/// One session, and what its metadata may be bound to.
#[derive(Debug)]
pub(super) struct Node {
    /// Without metadata.
    pub(super) session: AcpSession,
    /// `lifecycleRevision`.
    pub(super) revision: Option<String>,
    /// `sessionStartedAt`, in ms.
    pub(super) session_started_at: Option<i64>,
}

/// Reads the sessions whose keys are those of ACP agents. A table that is missing has none.
///
/// # Errors
///
/// Returns an error if the database cannot be read.
pub(super) fn read(db: &Connection, agent: &AgentId, path: &Path) -> rusqlite::Result<NodeRows> {
    let wanted = [
        "session_key",
        "current_session_id",
        "status",
        "updated_at",
        "spawned_by",
        "parent_session_key",
        "entry_json",
    ];
    let Some(names) = columns(db, "session_nodes", wanted)? else {
        return Ok(NodeRows::default());
    };
    let entry = names[6];
    let inside = |field: &str| {
        format!(
            "CASE WHEN octet_length({entry}) <= {ENTRY_BYTES_MAX} AND json_valid({entry})
                THEN json_extract({entry}, '$.{field}') END"
        )
    };
    let sql = format!(
        "SELECT {}, CASE WHEN octet_length({entry}) <= {ENTRY_BYTES_MAX} THEN {entry} END, {}, {}
        FROM session_nodes WHERE session_key GLOB 'agent:*:acp:*' ORDER BY 1 LIMIT {}",
        names[..6].join(", "),
        inside("lifecycleRevision"),
        inside("sessionStartedAt"),
        ROWS_MAX + 1,
    );
    let mut statement = db.prepare(&sql)?;
    let mut found = statement.query([])?;
    let mut rows = NodeRows::default();
    while let Some(row) = found.next()? {
        if rows.nodes.len() == ROWS_MAX {
            rows.is_cut = true;
            break;
        }
        rows.nodes.extend(node(row, agent, path)?);
    }
    Ok(rows)
}

fn node(row: &Row<'_>, agent: &AgentId, path: &Path) -> rusqlite::Result<Option<Node>> {
    let Some(key) = text(row, 0)?.map(SessionKey::from).filter(SessionKey::is_acp) else {
        return Ok(None);
    };
    let entry = row.get_ref(6)?.as_str().ok().and_then(|json| row_fields(json.as_bytes()));
    let (agent, path) = (agent.clone(), path.to_owned());
    let said =
        entry.map(|mut fields| fields.take_session(key.clone(), agent.clone(), path.clone()));
    let times = said.as_ref().map(|said| (said.started_at, said.ended_at)).unwrap_or_default();
    let named = |column| text(row, column).map(|text| text.map(SessionKey::from));
    Ok(Some(Node {
        session: AcpSession {
            key,
            agent,
            store: path,
            session_id: text(row, 1)?.map(SessionId::from),
            status: text(row, 2)?.map_or(LaneStatus::Absent, lane_status),
            started_at: times.0,
            ended_at: times.1,
            updated_at: number(row, 3)?.map_or(Field::Absent, |at| Field::Value(UnixMillis(at))),
            spawned_by: named(4)?.or_else(|| said.as_ref()?.spawned_by.clone()),
            parent: named(5)?.or_else(|| said.as_ref()?.parent.clone()),
            metadata: None,
        },
        revision: text(row, 7)?.map(str::to_owned),
        session_started_at: number(row, 8)?,
    }))
}
