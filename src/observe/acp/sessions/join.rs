//! Brings sessions and what is known of their agents together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::metadata::{MetadataRow, StateRows};
use super::nodes::{Node, NodeRows};
use crate::model::{AcpMetadata, AcpSession, AgentId, Field, LaneStatus, SessionKey};

/// What was read, each part the same value as long as its source has not changed.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) is_sqlite: bool,
    pub(super) database: PathBuf,
    pub(super) state: Arc<StateRows>,
    pub(super) nodes: Vec<Arc<NodeRows>>,
    pub(super) files: Vec<Arc<AcpSession>>,
}

/// What a row of metadata may be bound to.
#[derive(Clone, Copy)]
struct Bond<'a> {
    session: &'a AcpSession,
    /// `lifecycleRevision` and `sessionStartedAt`, since 2026.8.1.
    revised: Option<(Option<&'a str>, i64)>,
}

impl Parts {
    /// Returns true if every part is the very one that `other` has.
    pub(super) fn is_same(&self, other: &Parts) -> bool {
        self.is_sqlite == other.is_sqlite
            && Arc::ptr_eq(&self.state, &other.state)
            && are_same(&self.nodes, &other.nodes)
            && are_same(&self.files, &other.files)
    }

    /// Returns every session with what is known of its agent, in order of store and key, and what is
    /// known of an agent without its session.
    pub(super) fn join(&self) -> Vec<Arc<AcpSession>> {
        let mut rows = self.rows();
        let mut sessions: Vec<_> = match self.is_sqlite {
            true => {
                self.nodes.iter().flat_map(|of| &of.nodes).map(|n| of_node(n, &mut rows)).collect()
            }
            false => self.files.iter().map(|session| of_file(session, &mut rows)).collect(),
        };
        sessions.extend(rows.into_values().map(|row| Arc::new(self.alone(row))));
        sessions.sort_by(|a, b| (&a.store, &a.key).cmp(&(&b.store, &b.key)));
        sessions
    }

    /// The rows by agent and session; of two spellings of one key, the row that was written last.
    fn rows(&self) -> BTreeMap<Place<'_>, &MetadataRow> {
        let mut rows: BTreeMap<Place<'_>, &MetadataRow> = BTreeMap::new();
        for row in &self.state.rows {
            let place = (row.agent.as_ref(), &row.key);
            let is_newer = rows.get(&place).is_none_or(|known| known.updated_at <= row.updated_at);
            if is_newer {
                rows.insert(place, row);
            }
        }
        rows
    }

    /// Without its session the gateway never reads it.
    fn alone(&self, row: &MetadataRow) -> AcpSession {
        let of_key = || row.key.0.split(':').nth(1).map(AgentId::from);
        AcpSession {
            key: row.key.clone(),
            agent: row.agent.clone().or_else(of_key).unwrap_or_default(),
            store: self.database.clone(),
            session_id: None,
            status: LaneStatus::Absent,
            started_at: Field::Absent,
            ended_at: Field::Absent,
            updated_at: Field::Absent,
            spawned_by: None,
            parent: None,
            metadata: Some(AcpMetadata { is_current: false, ..row.metadata.clone() }),
        }
    }
}

/// The agent, where the key of the row says so, and the session.
type Place<'a> = (Option<&'a AgentId>, &'a SessionKey);

fn are_same<T>(some: &[Arc<T>], others: &[Arc<T>]) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(a, b)| Arc::ptr_eq(a, b))
}

/// Takes the row of a session, whether its key names the agent or not.
fn take<'a>(
    session: &'a AcpSession,
    rows: &mut BTreeMap<Place<'a>, &'a MetadataRow>,
    bond: Bond<'_>,
) -> Option<AcpMetadata> {
    let places = [Some(&session.agent), None].map(|agent| (agent, &session.key));
    let found = places.map(|place| rows.remove(&place));
    let current = found.into_iter().flatten().map(|row| (bond.holds(row), row));
    let (is_current, row) = current.max_by_key(|(holds, row)| (*holds, row.updated_at))?;
    Some(AcpMetadata { is_current, ..row.metadata.clone() })
}

impl Bond<'_> {
    /// Returns true if the gateway still reads the row: as `acpSessionRowMatchesEntry` of 2026.7.1,
    /// and as 2026.9.6, which binds it to the revision, and takes what an earlier version bound to
    /// the session if it was written since the session began.
    fn holds(self, row: &MetadataRow) -> bool {
        let Some(bound_to) = &row.bound_to else { return true };
        let is_session = self.session.session_id.as_ref() == Some(bound_to);
        match self.revised {
            None => is_session,
            Some((revision, began)) => {
                revision == Some(&bound_to.0) || is_session && row.updated_at >= Some(began)
            }
        }
    }
}

fn of_node<'a>(node: &'a Node, rows: &mut BTreeMap<Place<'a>, &'a MetadataRow>) -> Arc<AcpSession> {
    let revised = (node.revision.as_deref(), node.session_started_at.unwrap_or_default());
    let bond = Bond { session: &node.session, revised: Some(revised) };
    let metadata = take(&node.session, rows, bond);
    Arc::new(AcpSession { metadata, ..node.session.clone() })
}

/// A block in the file is dead data since 2026.6.1, where the database has the row.
fn of_file<'a>(
    session: &'a Arc<AcpSession>,
    rows: &mut BTreeMap<Place<'a>, &'a MetadataRow>,
) -> Arc<AcpSession> {
    let metadata = take(session, rows, Bond { session, revised: None });
    if metadata.is_none() && session.metadata.is_none() {
        return Arc::clone(session);
    }
    let left = session.metadata.clone().map(|of| AcpMetadata { is_current: false, ..of });
    Arc::new(AcpSession { metadata: metadata.or(left), ..AcpSession::clone(session) })
}
