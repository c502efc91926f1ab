//! The sessions of ACP agents, in all eras.
//!
//! Up to 2026.5.28 the session stores have everything. From 2026.6.1 on, what is known of the agent
//! is in `acp_sessions` of `state/openclaw.sqlite`, and from 2026.8.1 on the sessions are in the
//! databases of their agents.

mod join;
mod metadata;
mod nodes;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::chain;
use crate::model::{AcpSession, AgentId, Era, Gap, Source, UnixMillis};
use crate::observe::era::agent_folders;
use crate::observe::kept::Kept;
use crate::observe::sqlite::{self, SqliteError};
use join::Parts;
use metadata::StateRows;
use nodes::NodeRows;

/// Most rows of one table that are read.
const ROWS_MAX: usize = 10_000;

/// The last look at the databases that tell of ACP sessions.
#[derive(Debug, Default)]
pub struct AcpReader {
    state: Kept<Arc<StateRows>>,
    nodes: Kept<Arc<NodeRows>>,
    joined: Option<(Parts, Vec<Arc<AcpSession>>)>,
}

impl AcpReader {
    /// Returns the sessions of ACP agents of `state_dir` at `now`, in order of store and key, and tells
    /// what could not be read. `files` are those in session stores. To find nothing changed takes two
    /// stats for each database.
    ///
    /// Never call this while `openclaw` maintenance runs, or while this process has one of the
    /// databases open: see [`crate::observe::sqlite`].
    pub fn read(
        &mut self,
        state_dir: &Path,
        era: &Era,
        files: Vec<Arc<AcpSession>>,
        now: UnixMillis,
    ) -> (Vec<Arc<AcpSession>>, Vec<Gap>) {
        let mut gaps = Vec::new();
        let is_sqlite = match era {
            Era::Files => return (files, gaps),
            Era::Hybrid => false,
            Era::Sqlite => true,
            // What is wrong with the era is said by whoever found that out.
            Era::Newer { what: why } | Era::Unknown { why } => {
                gaps.push(gap(state_dir, format!("not opened: {why}")));
                return (files, gaps);
            }
        };
        let database = state_dir.join("state/openclaw.sqlite");
        let state = self.state(&database, now, &mut gaps);
        let nodes = match is_sqlite {
            true => self.agents(state_dir, &state, now, &mut gaps),
            false => Vec::new(),
        };
        let parts = Parts { is_sqlite, database, state, nodes, files };
        let sessions = match &self.joined {
            Some((known, sessions)) if known.is_same(&parts) => sessions.clone(),
            _ => parts.join(),
        };
        self.joined = Some((parts, sessions.clone()));
        (sessions, gaps)
    }

    fn state(&mut self, path: &Path, now: UnixMillis, gaps: &mut Vec<Gap>) -> Arc<StateRows> {
        let read = |path: &Path| sqlite::query(path, metadata::read).map(Arc::new);
        let rows = answer(self.state.read(path, now, read), path, gaps);
        if rows.is_cut {
            gaps.push(gap(path, format!("more than {ROWS_MAX} rows in acp_sessions")));
        }
        rows
    }

    /// Reads each database once, by whichever way it was found.
    fn agents(
        &mut self,
        state_dir: &Path,
        state: &StateRows,
        now: UnixMillis,
        gaps: &mut Vec<Gap>,
    ) -> Vec<Arc<NodeRows>> {
        let mut found = BTreeSet::new();
        for folder in agent_folders(state_dir, &mut Vec::new()) {
            let agent = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.insert((folder.join("agent/openclaw-agent.sqlite"), AgentId(agent)));
        }
        for (agent, path) in &state.databases {
            let path = state_dir.join(path);
            if found.iter().any(|(known, _)| *known == path) {
                continue;
            }
            match is_inside(&path, state_dir) {
                Some(true) => {
                    found.insert((path, agent.clone()));
                }
                Some(false) => gaps.push(gap(&path, "not opened: outside the state directory")),
                None => {}
            }
        }
        found.iter().map(|(path, agent)| self.agent(path, agent, now, gaps)).collect()
    }

    fn agent(
        &mut self,
        path: &Path,
        agent: &AgentId,
        now: UnixMillis,
        gaps: &mut Vec<Gap>,
    ) -> Arc<NodeRows> {
        let read =
            |path: &Path| sqlite::query(path, |db| nodes::read(db, agent, path)).map(Arc::new);
        let rows = answer(self.nodes.read(path, now, read), path, gaps);
        if rows.is_cut {
            gaps.push(gap(path, format!("more than {ROWS_MAX} ACP sessions")));
        }
        rows
    }
}

/// A database that is missing says nothing, and one that cannot be read is a gap.
fn answer<T: Default>(
    read: Result<Arc<T>, SqliteError>,
    path: &Path,
    gaps: &mut Vec<Gap>,
) -> Arc<T> {
    read.unwrap_or_else(|error| {
        if !matches!(error, SqliteError::Missing { .. }) {
            gaps.push(gap(path, chain(&error)));
        }
        Arc::default()
    })
}

/// Whether a database lies in the state directory, after symlinks; `None` if it is not there.
fn is_inside(path: &Path, state_dir: &Path) -> Option<bool> {
    let real = path.canonicalize().ok()?;
    Some(state_dir.canonicalize().is_ok_and(|dir| real.starts_with(dir)))
}

fn gap(path: &Path, reason: impl Into<String>) -> Gap {
    Gap { source: Source::Acp, path: PathBuf::from(path), reason: reason.into() }
}
