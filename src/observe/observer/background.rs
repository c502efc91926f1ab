//! The part of a look that is about background tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lane::agent_of;
use super::{Observer, agent_path, is_running};
use crate::error::chain;
use crate::model::{
    ChildRow, Era, Gap, Lane, ProcessId, SessionKey, Source, Status, SubagentRun, Task, UnixMillis,
};
use crate::observe::files::{Keep, StoreCache, TasksKept};
use crate::observe::kept::Kept;
use crate::observe::locate::{session_folders, stores};
use crate::observe::sqlite::SqliteError;
use crate::observe::{lane_rows, tasks};

/// What is wanted of the background, and what makes the next look at it cheap.
#[derive(Debug, Default)]
pub(super) struct Background {
    wanted: Option<TasksKept>,
    tasks: Kept<Vec<Task>>,
    subagents: Kept<Vec<SubagentRun>>,
    stores: StoreCache,
    rows: Kept<Vec<ChildRow>>,
    /// The children that `rows` were read for.
    children: BTreeSet<SessionKey>,
}

/// What was seen of it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) tasks: Option<Vec<Task>>,
    pub(super) subagents: Option<Vec<SubagentRun>>,
    pub(super) children: Vec<ChildRow>,
}

impl Background {
    /// Takes into use what is wanted.
    pub(super) fn want(&mut self, wanted: Option<TasksKept>) {
        if self.wanted != wanted {
            *self = Background { wanted, ..Background::default() };
        }
    }
}

impl Observer {
    /// Looks at all background tasks, also those that are over and told.
    pub fn ask_for_all_tasks(&mut self) {
        self.background.want(Some(TasksKept::All));
    }

    /// The task database is asked only while some lane says `running` under a live gateway.
    pub(super) fn task_lanes(
        &mut self,
        era: &Era,
        lanes: &[Lane],
        status: Status,
        gaps: &mut Vec<Gap>,
        now: UnixMillis,
    ) -> Option<BTreeSet<SessionKey>> {
        if !lanes.iter().any(is_running) || status != Status::Up {
            return None;
        }
        let state_dir = &self.settings.install.state_dir;
        tasks::active_lanes(era, state_dir, &mut self.tasks, now).unwrap_or_else(|gap| {
            gaps.push(gap);
            None
        })
    }

    /// Opens no database while `maintenance` runs: it wants them for itself.
    pub(super) fn background(
        &mut self,
        era: &Era,
        maintenance: Option<ProcessId>,
        gaps: &mut Vec<Gap>,
        now: UnixMillis,
    ) -> Seen {
        let Some(wanted) = self.background.wanted.filter(|_| maintenance.is_none()) else {
            return Seen::default();
        };
        let state_dir = self.settings.install.state_dir.clone();
        let kept = &mut self.background.tasks;
        let tasks = tasks::tasks(era, &state_dir, wanted, kept, now).unwrap_or_else(|gap| {
            gaps.push(gap);
            None
        });
        let Some(tasks) = tasks else { return Seen::default() };
        let subagents = self.registry(era, &state_dir, gaps, now);
        let open = tasks.iter().filter(|task| task.is_active() || wanted == TasksKept::All);
        let children: BTreeSet<_> = open.filter_map(|task| task.child.clone()).collect();
        let children = self.task_children(era, &state_dir, children, gaps, now);
        Seen { tasks: Some(tasks), subagents, children }
    }

    fn registry(
        &mut self,
        era: &Era,
        state_dir: &Path,
        gaps: &mut Vec<Gap>,
        now: UnixMillis,
    ) -> Option<Vec<SubagentRun>> {
        let file = match era {
            Era::Sqlite => Ok(Arc::default()),
            _ => self.subagents.runs(state_dir, now),
        };
        let rows = tasks::subagents(era, state_dir, &mut self.background.subagents, now);
        match (file, rows) {
            (Ok(file), Ok(mut runs)) => {
                runs.extend(file.iter().cloned());
                Some(runs)
            }
            (file, rows) => {
                gaps.extend(file.err().into_iter().chain(rows.err()));
                None
            }
        }
    }

    fn task_children(
        &mut self,
        era: &Era,
        state_dir: &Path,
        children: BTreeSet<SessionKey>,
        gaps: &mut Vec<Gap>,
        now: UnixMillis,
    ) -> Vec<ChildRow> {
        if children.is_empty() {
            return Vec::new();
        }
        let mut rows = match era {
            Era::Sqlite => self.children_in_databases(state_dir, children, gaps, now),
            _ => self.children_in_stores(state_dir, children, gaps, now),
        };
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        rows
    }

    /// In whatever store: `session.store` may say that there is one for all agents.
    fn children_in_stores(
        &mut self,
        state_dir: &Path,
        children: BTreeSet<SessionKey>,
        gaps: &mut Vec<Gap>,
        now: UnixMillis,
    ) -> Vec<ChildRow> {
        let install = &self.settings.install;
        let (folders, _) = session_folders(install);
        // Their gaps are those of the lanes, which were told.
        let (found, _) = stores(install, &folders);
        let at: Vec<_> = found.into_iter().map(agent_path).collect();
        let keep = Keep::Only(Arc::new(children));
        let read = self.background.stores.read_all(state_dir, &at, &keep, now);
        for gap in read.gaps {
            if !gaps.contains(&gap) {
                gaps.push(gap);
            }
        }
        let rows = read.lanes.into_iter().map(|lane| ChildRow {
            key: lane.key,
            store: lane.store.path.clone(),
            session_id: lane.row.session_id,
            status: lane.row.status,
            started_at: lane.row.started_at,
            ended_at: lane.row.ended_at,
            transcript: lane.transcript,
        });
        rows.collect()
    }

    fn children_in_databases(
        &mut self,
        state_dir: &Path,
        children: BTreeSet<SessionKey>,
        gaps: &mut Vec<Gap>,
        now: UnixMillis,
    ) -> Vec<ChildRow> {
        if self.background.children != children {
            self.background.rows = Kept::default();
        }
        let mut places: BTreeMap<PathBuf, Vec<&SessionKey>> = BTreeMap::new();
        for key in &children {
            let path = agent_of(key).map(|agent| lane_rows::database(state_dir, &agent));
            places.entry(path.unwrap_or_default()).or_default().push(key);
        }
        let mut rows = Vec::new();
        for (path, keys) in places {
            let read = |path: &Path| lane_rows::children(path, &keys);
            match self.background.rows.read(&path, now, read) {
                Ok(found) => rows.extend(found),
                // An agent that was removed has no rows.
                Err(SqliteError::Missing { .. }) => {}
                Err(error) => {
                    let reason = chain(&error);
                    gaps.push(Gap { source: Source::Sessions, path, reason });
                }
            }
        }
        self.background.children = children;
        rows
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "takes a database away")]

    use std::fs;
    use std::path::Path;

    use rusqlite::Connection;
    use tempfile::{TempDir, tempdir};

    use super::*;
    use crate::model::{LaneStatus, Snapshot};
    use crate::observe::Sought;
    use crate::observe::locate::{Request, locate};

    const TASKS: &str = "CREATE TABLE task_runs (task_id TEXT PRIMARY KEY, run_id TEXT,
        child_session_key TEXT, status TEXT, delivery_status TEXT);
        INSERT INTO task_runs VALUES ('t1', 'r', 'agent:claude:acp:1', 'running', 'pending'),
          ('t2', 'r', 'agent:claude:acp:1', 'failed', 'delivered'),
          ('t3', 'q', 'agent:main:main', 'succeeded', 'delivered'),
          ('t4', 'p', 'agent:main:gone', 'queued', 'pending');";

    struct Bed {
        dir: TempDir,
        observer: Observer,
    }

    /// A state directory of the files era with all places that a task may be in.
    fn bed() -> Bed {
        let dir = tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("openclaw.json", "{}");
        write(
            "agents/claude/sessions/sessions.json",
            r#"{"agent:claude:acp:1":{"sessionId":"s1","status":"failed","endedAt":9},
                "agent:claude:acp:2":{"status":"done"}}"#,
        );
        write("agents/main/sessions/sessions.json", r#"{"agent:main:main":{"status":"done"}}"#);
        write(
            "subagents/runs.json",
            r#"{"runs":{"r":{"childSessionKey":"agent:claude:acp:1","endedAt":9}}}"#,
        );
        fs::create_dir(dir.path().join("tasks")).unwrap();
        let db = Connection::open(dir.path().join("tasks/runs.sqlite")).unwrap();
        db.execute_batch(TASKS).unwrap();
        let env = |_: &str| None;
        let request = Request { state_dir: Some(dir.path().to_owned()), env: &env };
        let install = locate(&request).unwrap();
        let mut observer = Observer::new(install, Path::new("/proc"), Box::new(env));
        observer.configure(Sought { tasks: Some(TasksKept::Notable), ..Sought::default() });
        Bed { dir, observer }
    }

    impl Bed {
        fn look(&mut self) -> Snapshot {
            self.observer.look(UnixMillis(4_000_000_000_000)).unwrap()
        }
    }

    fn ids(snapshot: &Snapshot) -> Option<Vec<&str>> {
        let tasks = snapshot.tasks.as_ref()?;
        Some(tasks.iter().map(|task| task.id.0.as_str()).collect())
    }

    #[test]
    fn sees_tasks_with_their_family_registry_and_rows_of_their_children() {
        let mut bed = bed();
        let snapshot = bed.look();
        assert_eq!(ids(&snapshot).unwrap(), ["t1", "t2", "t4"]);
        let children: Vec<_> =
            snapshot.task_children.iter().map(|row| (&*row.key.0, &row.status)).collect();
        assert_eq!(children, [("agent:claude:acp:1", &LaneStatus::Ended)]);
        assert_eq!(snapshot.subagents.unwrap().len(), 1);
    }

    #[test]
    fn a_change_is_seen_and_an_unreadable_database_is_a_gap() {
        let mut bed = bed();
        bed.look();
        let path = bed.dir.path().join("tasks/runs.sqlite");
        let db = Connection::open(&path).unwrap();
        db.execute("UPDATE task_runs SET status = 'lost', delivery_status = 'delivered'", [])
            .unwrap();
        drop(db);
        let snapshot = bed.look();
        assert_eq!(ids(&snapshot).unwrap(), Vec::<&str>::new());
        assert_eq!(snapshot.task_children, []);
        fs::write(&path, "not a database, but as long as the header of one would be".repeat(9))
            .unwrap();
        let snapshot = bed.look();
        assert_eq!((ids(&snapshot), snapshot.gap(Source::Tasks).is_some()), (None, true));
        fs::remove_file(&path).unwrap();
        assert_eq!(ids(&bed.look()).unwrap(), Vec::<&str>::new());
    }

    #[test]
    fn nothing_is_looked_for_beside_maintenance_or_unwanted() {
        let mut bed = bed();
        let doctor = Some(ProcessId { pid: 7, start_ticks: 1 });
        let mut gaps = Vec::new();
        let now = UnixMillis(4_000_000_000_000);
        assert!(bed.observer.background(&Era::Files, doctor, &mut gaps, now).tasks.is_none());
        assert!(bed.observer.background(&Era::Files, None, &mut gaps, now).tasks.is_some());
        bed.observer.configure(Sought::default());
        assert!(bed.look().tasks.is_none());
    }
}
