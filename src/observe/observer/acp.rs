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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::observe::Sought;
    use crate::observe::locate::{Request, locate};

    #[test]
    fn nothing_is_opened_while_maintenance_runs_or_nobody_wants_to_know() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(dir.path().join("openclaw.json"), "{}").unwrap();
        // Whoever opens it has a gap to tell of.
        std::fs::write(folder.join("openclaw.sqlite"), "no database").unwrap();
        let env = |_: &str| None;
        let request = Request { state_dir: Some(dir.path().to_owned()), env: &env };
        let install = locate(&request).unwrap();
        let mut observer = Observer::new(install, Path::new("/proc"), Box::new(env));
        let doctor = ProcessId { pid: 7, start_ticks: 1 };
        let mut look = |is_sought, maintenance| {
            observer.configure(Sought { acp: is_sought, ..Sought::default() });
            let mut gaps = Vec::new();
            let now = UnixMillis(i64::MAX);
            let seen =
                observer.acp_sessions(&Era::Sqlite, maintenance, vec![], &mut gaps, now).is_some();
            (seen, gaps.len())
        };
        assert_eq!(look(true, Some(doctor)), (false, 0));
        assert_eq!(look(false, None), (false, 0));
        assert_eq!(look(true, None), (true, 1));
    }
}
