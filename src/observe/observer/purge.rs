//! Finds everything that names one task, for whoever takes it out; and whether the gateway is stopped.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension};

use super::Observer;
use crate::error::chain;
use crate::model::{
    AcpxRecord, Cell, Era, FileStamp, RecordMode, RowCopy, SessionKey, Snapshot, Status, Task,
    TaskId, TaskPurge, TaskRuntime, UnixMillis,
};
use crate::observe::era::Eras;
use crate::observe::files::{open_below, stamp};
use crate::observe::gateway::{Scene, VersionProbe, identify};
use crate::observe::host;
use crate::observe::sqlite::{self, SqliteError};

/// Largest cell that is copied.
const CELL_BYTES_MAX: usize = 16 << 20;

/// Largest store that is rewritten.
const STORE_BYTES_MAX: u64 = 256 << 20;

impl Observer {
    /// Returns nothing if no gateway works on this state directory, and nothing else of OpenClaw that
    /// writes there, looked at anew.
    ///
    /// # Errors
    ///
    /// Returns why that is not so, or not proven, for people.
    pub fn stopped(&self, now: UnixMillis) -> Result<(), String> {
        let host = host::read(&self.table.root).map_err(|error| chain(&error))?;
        let table = self.anew()?;
        let (era, mut gaps) = Eras::default().look(self.state_dir(), now);
        let scene = Scene {
            install: &self.settings.install,
            era: &era,
            table: &table,
            host: &host,
            env: &*self.env,
            now,
            start_grace: self.start_grace,
            token: &|| None,
        };
        let mut sight = identify(&scene, &mut VersionProbe::default());
        gaps.append(&mut sight.gaps);
        if let Some(gap) = gaps.first() {
            return Err(format!("{} could not be read: {}", gap.path.display(), gap.reason));
        }
        match era {
            Era::Files | Era::Hybrid => {}
            Era::Sqlite => {
                return Err("only the gateway may change a database of its era".to_owned());
            }
            Era::Newer { .. } | Era::Unknown { .. } => {
                return Err("the layout of the state directory is not understood".to_owned());
            }
        }
        if let Some(id) = sight.maintenance {
            return Err(format!("openclaw maintenance runs as {id}"));
        }
        if let Some((id, _)) = sight.other_runners.first() {
            return Err(format!("another OpenClaw process, {id}, may be writing"));
        }
        match sight.gateway.status {
            Status::Down => Ok(()),
            status => Err(format!("the gateway is {}: {}", status.name(), sight.gateway.why)),
        }
    }

    /// Finds everything that names the tasks of `ids`, one run of `snapshot`, which has all tasks.
    ///
    /// The session of a child, and its record, are among it only for an ACP agent of one prompt: any
    /// other is a conversation that somebody may go on with.
    ///
    /// # Errors
    ///
    /// Returns why not everything can be found, for people.
    pub fn task_purge(
        &mut self,
        snapshot: &Snapshot,
        id: &TaskId,
        ids: &[TaskId],
    ) -> Result<TaskPurge, String> {
        if let Some(gap) = snapshot.gaps.first() {
            return Err(format!("{} could not be read: {}", gap.path.display(), gap.reason));
        }
        let all = snapshot.tasks.as_ref().ok_or("the tasks were not read")?;
        let tasks: Vec<_> = all.iter().filter(|task| ids.contains(&task.id)).collect();
        let mut purge = TaskPurge {
            id: id.clone(),
            rows: self.rows_of(&snapshot.gateway.era, all, &tasks)?,
            members: Vec::new(),
            files: Vec::new(),
        };
        let run = tasks.iter().find_map(|task| task.run.as_ref());
        let registered = snapshot.subagents.iter().flatten();
        let registry = self.state_dir().join("subagents/runs.json");
        if registered.filter(|known| Some(&known.run) == run).any(|run| run.registry == registry) {
            let keys = ["runs".to_owned(), run.map(|run| run.0.clone()).unwrap_or_default()];
            let stamp = self.stamp_below(&registry)?;
            purge.members.push((registry, stamp, keys.into()));
        }
        let is_acp = |task: &&&Task| task.runtime == TaskRuntime::Acp;
        let child = tasks.iter().find(is_acp).and_then(|task| task.child.clone());
        // Another run of the same child may still need it.
        let is_free = |child: &SessionKey| {
            let mut others = all.iter().filter(|task| !ids.contains(&task.id) && task.is_active());
            !others.any(|task| task.child.as_ref() == Some(child))
        };
        if let Some(child) = child.filter(|child| child.is_acp() && is_free(child)) {
            self.session_of(snapshot, &child, &mut purge)?;
        }
        Ok(purge)
    }

    fn session_of(
        &mut self,
        snapshot: &Snapshot,
        child: &SessionKey,
        purge: &mut TaskPurge,
    ) -> Result<(), String> {
        let now = snapshot.taken_at;
        let install = &self.settings.install;
        let workspaces = self.workspaces.look(install, now);
        let read = self.records.read(&workspaces.record_folders, now);
        if let Some(gap) = workspaces.gaps.iter().chain(&read.gaps).next() {
            return Err(format!("{} could not be read: {}", gap.path.display(), gap.reason));
        }
        let records: Vec<_> =
            read.records.iter().filter(|record| record.session_key == *child).collect();
        let is_oneshot = |record: &&std::sync::Arc<AcpxRecord>| record.mode == RecordMode::Oneshot;
        if records.is_empty() || !records.iter().all(is_oneshot) {
            return Ok(());
        }
        for row in snapshot.task_children.iter().filter(|row| row.key == *child) {
            let stamp = self.stamp_below(&row.store)?;
            if stamp.bytes > STORE_BYTES_MAX {
                return Err(format!("{} is too large to be rewritten", row.store.display()));
            }
            purge.members.push((row.store.clone(), stamp, vec![child.0.clone()]));
        }
        let files = records.into_iter().map(|record| (record.path.clone(), record.stamp));
        purge.files.extend(files);
        Ok(())
    }

    fn rows_of(
        &self,
        era: &Era,
        all: &[Task],
        tasks: &[&Task],
    ) -> Result<Vec<(PathBuf, Vec<RowCopy>)>, String> {
        let Some(database) = tasks.first().map(|task| task.database.clone()) else {
            return Ok(Vec::new());
        };
        let of_tasks = |table| tasks.iter().map(move |task| (table, "task_id", task.id.0.as_str()));
        let flows = flows_of(all, tasks);
        let flows: Vec<_> = flows.map(|flow| ("flow_runs", "flow_id", flow)).collect();
        let runs = tasks.iter().filter_map(|task| task.run.as_ref()).take(1);
        let runs = runs.map(|run| ("subagent_runs", "run_id", run.0.as_str()));
        let mut named: Vec<_> =
            of_tasks("task_runs").chain(of_tasks("task_delivery_state")).collect();
        named.extend(runs);
        let mut rows = Vec::new();
        if *era == Era::Files {
            rows.push((self.state_dir().join("flows/registry.sqlite"), flows));
        } else {
            named.extend(flows);
        }
        rows.push((database, named));
        rows.into_iter()
            .map(|(database, named)| {
                let found = copies(&database, &named).map_err(|error| chain(&error))?;
                if !found.is_empty() {
                    // Nothing is written behind a link out of the state directory.
                    self.stamp_below(&database)?;
                }
                Ok((database, found))
            })
            .collect()
    }

    fn stamp_below(&self, path: &Path) -> Result<FileStamp, String> {
        let opened = open_below(self.state_dir(), path)
            .map_err(|why| format!("{}: {why}", path.display()))?
            .ok_or_else(|| format!("{} is gone", path.display()))?;
        if opened.is_symlink {
            return Err(format!("{} is a symbolic link", path.display()));
        }
        Ok(stamp(&opened.meta))
    }
}

/// Returns the flows of `tasks`, each once; not one that a task of another run is a step of, too.
fn flows_of<'a>(all: &'a [Task], tasks: &[&'a Task]) -> impl Iterator<Item = &'a str> + use<'a> {
    let others = all.iter().filter(|task| !tasks.iter().any(|of| of.id == task.id));
    let others: BTreeSet<_> = others.filter_map(|task| task.flow.as_deref()).collect();
    let flows: BTreeSet<_> = tasks.iter().filter_map(|task| task.flow.as_deref()).collect();
    flows.into_iter().filter(move |flow| !others.contains(flow))
}

/// Copies the rows that are there; a database that is not there has none.
fn copies(path: &Path, named: &[(&str, &str, &str)]) -> Result<Vec<RowCopy>, SqliteError> {
    let read = |db: &Connection| {
        let rows = named.iter().map(|(table, column, id)| copy(db, table, column, id));
        rows.filter_map(Result::transpose).collect()
    };
    match sqlite::query(path, read) {
        Err(SqliteError::Missing { .. }) => Ok(Vec::new()),
        other => other,
    }
}

fn copy(db: &Connection, table: &str, column: &str, id: &str) -> rusqlite::Result<Option<RowCopy>> {
    let mut statement = db.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let columns: Vec<String> =
        statement.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    if !columns.iter().any(|name| name == column) {
        return Ok(None);
    }
    let select = format!("SELECT * FROM {table} WHERE {column} = ?1");
    let cells = db.query_row(&select, [id], |row| {
        let cells = columns.iter().map(|name| Ok((name.clone(), cell(row.get_ref(&**name)?)?)));
        cells.collect::<rusqlite::Result<Vec<_>>>()
    });
    Ok(cells.optional()?.map(|cells| RowCopy {
        table: table.to_owned(),
        column: column.to_owned(),
        id: id.to_owned(),
        cells,
    }))
}

/// What could not be put back as it was is refused.
fn cell(value: ValueRef<'_>) -> rusqlite::Result<Cell> {
    let refused = || {
        let why = "a cell is larger than 16 MiB, or no UTF-8, and could not be put back";
        rusqlite::Error::ToSqlConversionFailure(why.into())
    };
    let bytes = value.as_bytes_or_null().ok().flatten().map_or(0, <[u8]>::len);
    if bytes > CELL_BYTES_MAX {
        return Err(refused());
    }
    Ok(match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number.to_bits()),
        ValueRef::Text(text) => {
            Cell::Text(std::str::from_utf8(text).map_err(|_| refused())?.to_owned())
        }
        ValueRef::Blob(bytes) => Cell::Blob(bytes.to_vec()),
    })
}
