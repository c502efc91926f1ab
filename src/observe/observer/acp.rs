//! The part of a look that is about sessions of ACP agents and their records.

use std::path::PathBuf;
use std::sync::Arc;

use super::Observer;
use crate::model::{AcpSession, AcpxRecord, Era, Gap, ProcessId, UnixMillis};

impl Observer {
    /// Returns the sessions of ACP agents; `files` are those in session stores. `None` if they are not
    /// sought, or while `openclaw update` and the like want the databases for themselves.
    pub(super) fn acp_sessions(
        &mut self,
        era: &Era,
        maintenance: Option<ProcessId>,
        files: Vec<Arc<AcpSession>>,
        gaps: &mut Vec<Gap>,
        now: UnixMillis,
    ) -> Option<Vec<Arc<AcpSession>>> {
        if !self.seeks_acp || maintenance.is_some() {
            return None;
        }
        let state_dir = &self.settings.install.state_dir;
        let (sessions, acp_gaps) = self.acp.read(state_dir, era, files, now);
        gaps.extend(acp_gaps);
        Some(sessions)
    }

    /// Returns the records that the last look read; `None` if they are not sought.
    pub(super) fn records_read(&self) -> Option<Vec<Arc<AcpxRecord>>> {
        let beside = self.beside.as_ref().filter(|_| self.seeks_acp)?;
        Some(beside.records.clone())
    }

    pub(super) fn acp_folders(&self) -> Vec<PathBuf> {
        let Some(beside) = self.beside.as_ref().filter(|_| self.seeks_acp) else {
            return Vec::new();
        };
        let state = self.settings.install.state_dir.join("state");
        let records = beside.workspaces.record_folders.iter().map(|folder| folder.path.clone());
        records.chain(Some(state).filter(|state| state.is_dir())).collect()
    }
}
