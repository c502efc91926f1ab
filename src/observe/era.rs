//! Tells how a state directory keeps its sessions, by what exists on disk.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::OptionalExtension;

use super::kept::Kept;
use super::sqlite::{self, SqliteError};
use crate::model::{Era, Gap, Source, UnixMillis};

/// The highest schema of `state/openclaw.sqlite` that was tested (2026.9.6).
const STATE_SCHEMA_MAX: u32 = 18;
/// The highest schema of `agents/*/agent/openclaw-agent.sqlite` that was tested (2026.9.6).
const AGENT_SCHEMA_MAX: u32 = 23;
/// The first agent schema that holds sessions (2026.7.2-beta.1).
const AGENT_SCHEMA_WITH_SESSIONS: u32 = 4;

/// Tells the era of state directories, and keeps what was read of databases that do not change.
#[derive(Debug, Default)]
pub struct Eras {
    versions: Kept<u32>,
    contents: Kept<Option<String>>,
}

/// Returns how `state_dir` keeps its sessions, as [`Eras::look`] does for the first time.
#[must_use]
pub fn era(state_dir: &Path) -> (Era, Vec<Gap>) {
    Eras::default().look(state_dir, UnixMillis::default())
}

impl Eras {
    /// Returns how `state_dir` keeps its sessions at `now`, and what could not be read.
    ///
    /// The newest era present wins; older stores are then dead data. A database that cannot be
    /// read, or a file store that is still written beside sessions in SQLite, makes the era
    /// unknown. Source: state directories of 2026.3.24 to 2026.9.6.
    #[must_use]
    pub fn look(&mut self, state_dir: &Path, now: UnixMillis) -> (Era, Vec<Gap>) {
        let mut gaps = Vec::new();
        let state = state_dir.join("state/openclaw.sqlite");
        let state_version = self.version(&state, now, &mut gaps);
        let state_version = state_version.map(|of| of.max(self.content_version(&state, of, now)));
        let agents: Vec<Agent> = agent_folders(state_dir, &mut gaps)
            .into_iter()
            .map(|dir| self.agent(&dir, now, &mut gaps))
            .collect();
        if let Some(gap) = gaps.first() {
            return (
                Era::Unknown { why: format!("`{}`: {}", gap.path.display(), gap.reason) },
                gaps,
            );
        }
        (decide(&state, state_version, &agents, state_dir), gaps)
    }

    fn agent(&mut self, dir: &Path, now: UnixMillis, gaps: &mut Vec<Gap>) -> Agent {
        let database = dir.join("agent/openclaw-agent.sqlite");
        let store_path = dir.join("sessions/sessions.json");
        let schema = self.version(&database, now, gaps);
        Agent { schema, store: modified(&store_path), database, store_path }
    }

    fn version(&mut self, path: &Path, now: UnixMillis, gaps: &mut Vec<Gap>) -> Option<u32> {
        // Most agents have none.
        if is_missing(path) {
            return None;
        }
        match self.versions.read(path, now, sqlite::user_version) {
            Ok(version) => Some(version),
            Err(SqliteError::Missing { .. }) => None,
            Err(error) => {
                gaps.push(gap(path, &error));
                None
            }
        }
    }

    /// During a deferred update the content is newer than `user_version` says (2026.9.6).
    fn content_version(&mut self, state: &Path, schema: u32, now: UnixMillis) -> u32 {
        if schema < 2 {
            return 0;
        }
        const SQL: &str = "SELECT value_json FROM config_machine_state
                           WHERE state_key = 'state.schema.contentVersion'";
        let text = self.contents.read(state, now, |state| {
            sqlite::query(state, |db| db.query_row(SQL, [], |row| row.get(0)).optional())
        });
        // No such row, or no such table: nothing is deferred.
        let text = text.ok().flatten();
        let number = match text.and_then(|text: String| serde_json::from_str(&text).ok()) {
            Some(serde_json::Value::Number(number)) => number.as_u64(),
            Some(serde_json::Value::String(text)) => text.parse().ok(),
            _ => None,
        };
        number.map_or(0, |number| u32::try_from(number).unwrap_or(u32::MAX))
    }
}

fn decide(state: &Path, version: Option<u32>, agents: &[Agent], state_dir: &Path) -> Era {
    let newer = |path: &Path, of: u32, max: u32| Era::Newer {
        what: format!("`{}` has schema {of}; the highest tested is {max}", path.display()),
    };
    if let Some(of) = version.filter(|&of| of > STATE_SCHEMA_MAX) {
        return newer(state, of, STATE_SCHEMA_MAX);
    }
    if let Some(agent) = agents.iter().find(|agent| agent.schema > Some(AGENT_SCHEMA_MAX)) {
        return newer(&agent.database, agent.schema.unwrap_or_default(), AGENT_SCHEMA_MAX);
    }
    let in_agents = agents.iter().any(|agent| agent.schema >= Some(AGENT_SCHEMA_WITH_SESSIONS));
    match version {
        Some(2..) => sqlite_or_mixed(state, agents),
        _ if in_agents => sqlite_or_mixed(state, agents),
        Some(1) => Era::Hybrid,
        Some(_) => Era::Unknown { why: format!("`{}` has no schema version yet", state.display()) },
        None if agents.iter().any(|agent| agent.store.is_some()) => Era::Files,
        None if state_dir.join("tasks/runs.sqlite").exists() => Era::Files,
        None => Era::Unknown { why: "no session store and no database is there yet".to_owned() },
    }
}

/// Sessions are in SQLite, unless a `sessions.json` was written after all databases: then two
/// gateways of different eras share the directory.
fn sqlite_or_mixed(state: &Path, agents: &[Agent]) -> Era {
    let databases = agents.iter().map(|agent| agent.database.as_path()).chain([state]);
    let newest = databases.filter_map(written).max();
    match agents.iter().find(|agent| agent.store > newest) {
        Some(agent) => Era::Unknown {
            why: format!(
                "`{}` is newer than every database: sessions are kept in both",
                agent.store_path.display()
            ),
        },
        None => Era::Sqlite,
    }
}

/// What an agent folder says about the era.
struct Agent {
    database: PathBuf,
    schema: Option<u32>,
    store_path: PathBuf,
    /// Modification time of the store, nanoseconds.
    store: Option<i128>,
}

fn written(database: &Path) -> Option<i128> {
    let stamp = sqlite::stamp(database).ok()?;
    stamp.db.into_iter().chain(stamp.wal).map(|file| file.mtime_ns).max()
}

fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Returns when the regular file at `path` was written, in nanoseconds.
fn modified(path: &Path) -> Option<i128> {
    let meta = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some(i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()))
}

/// Returns the folders of all agents.
pub(super) fn agent_folders(state_dir: &Path, gaps: &mut Vec<Gap>) -> Vec<PathBuf> {
    let agents = state_dir.join("agents");
    match fs::read_dir(&agents) {
        Ok(entries) => entries
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            gaps.push(gap(&agents, &error));
            Vec::new()
        }
    }
}

fn gap(path: &Path, error: &dyn std::error::Error) -> Gap {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    Gap { source: Source::Sessions, path: path.to_owned(), reason: format!("{error}{cause}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    /// `(path, user_version)` pairs become databases; 0 makes a plain file of no bytes.
    #[track_caller]
    fn check(databases: &[(&str, u32)], files: &[&str], want: &str) {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        for file in files {
            fs::write(place(file), "{}").unwrap();
        }
        for (name, version) in databases {
            let db = Connection::open(place(name)).unwrap();
            db.execute_batch(&format!(
                "CREATE TABLE config_machine_state (state_key TEXT, value_json TEXT);
                 PRAGMA user_version={version};"
            ))
            .unwrap();
        }
        let (era, gaps) = era(dir.path());
        assert_eq!(era.name(), want, "{era:?}");
        assert_eq!(gaps, vec![]);
    }

    const STATE: &str = "state/openclaw.sqlite";
    const AGENT: &str = "agents/main/agent/openclaw-agent.sqlite";
    const STORE: &str = "agents/main/sessions/sessions.json";

    #[test]
    fn the_newest_era_present_wins() {
        check(&[], &[], "unknown");
        check(&[], &["openclaw.json"], "unknown");
        check(&[], &[STORE], "files");
        check(&[("tasks/runs.sqlite", 0)], &[], "files");
        check(&[(STATE, 1)], &[STORE], "hybrid");
        check(&[(STATE, 1), (AGENT, 3)], &[STORE], "hybrid");
        check(&[(STATE, 1), (AGENT, 4)], &[STORE], "sqlite");
        check(&[(STATE, 2)], &[], "sqlite");
        check(&[(STATE, 18), (AGENT, 23)], &[STORE], "sqlite");
        check(&[(STATE, 0)], &[STORE], "unknown");
    }

    #[test]
    fn a_schema_above_the_tested_one_is_newer() {
        check(&[(STATE, 19)], &[STORE], "newer");
        check(&[(STATE, 18), (AGENT, 24)], &[], "newer");
    }

    #[test]
    fn a_deferred_content_version_counts() {
        for (text, want) in
            [("19", "newer"), ("\"19\"", "newer"), ("18", "sqlite"), ("x", "sqlite")]
        {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("state")).unwrap();
            let db = Connection::open(dir.path().join(STATE)).unwrap();
            db.execute_batch(&format!(
                "CREATE TABLE config_machine_state (state_key TEXT, value_json TEXT);
                 INSERT INTO config_machine_state VALUES ('state.schema.contentVersion', '{text}');
                 PRAGMA user_version=18;"
            ))
            .unwrap();
            drop(db);
            assert_eq!(era(dir.path()).0.name(), want, "{text}");
        }
    }

    #[test]
    fn a_file_store_that_outlives_the_databases_is_a_contradiction() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("agents/main/sessions")).unwrap();
        fs::create_dir(dir.path().join("state")).unwrap();
        let db = Connection::open(dir.path().join(STATE)).unwrap();
        db.execute_batch("PRAGMA user_version=18;").unwrap();
        drop(db);
        let store = fs::File::create(dir.path().join(STORE)).unwrap();
        let written = fs::metadata(dir.path().join(STATE)).unwrap().modified().unwrap();
        store.set_modified(written + std::time::Duration::from_secs(1)).unwrap();
        assert_eq!(era(dir.path()).0.name(), "unknown");
        store.set_modified(written - std::time::Duration::from_secs(1)).unwrap();
        assert_eq!(era(dir.path()).0.name(), "sqlite");
    }

    #[test]
    fn a_corrupt_database_is_a_gap_and_an_unknown_era() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("state")).unwrap();
        fs::write(dir.path().join(STATE), "no database at all").unwrap();
        let (era, gaps) = era(dir.path());
        assert_eq!((era.name(), gaps.len()), ("unknown", 1));
        assert!(gaps[0].reason.contains("not a SQLite database"), "{}", gaps[0].reason);
    }
}
