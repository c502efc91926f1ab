//! Looks at one lane again, for whoever is about to repair it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Observer;
use crate::model::{
    AgentId, Era, Lane, LaneSight, Lock, LockStamp, ProcessId, Row, SessionId, SessionKey,
    Sighting, UnixMillis, Waiting,
};
use crate::observe::files::{
    AgentPath, Keep, read_locks, read_store, trajectory_of, transcript_of,
};
use crate::observe::lane_rows;

/// A lane as it was judged, as far as it takes to find it again.
#[derive(Clone, Debug)]
pub struct LanePlace {
    key: SessionKey,
    store: AgentPath,
    row: Row,
    /// The folders that may hold its locks.
    folders: Vec<PathBuf>,
    /// The database that has all of it, in the SQLite era: session files are dead data then.
    database: Option<PathBuf>,
}

impl LanePlace {
    /// Returns where its transcript is: by the name in its row, which a reset of 2026.4.15 keeps
    /// although the id changes, else by its id.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        let beside = self.store.path.parent().filter(|_| self.database.is_none())?;
        let named = self.row.session_file.as_ref().map(|file| beside.join(file));
        let is_there = |file: &PathBuf| file.parent().is_some_and(Path::is_dir);
        let id = self.row.session_id.as_ref().map(|id| format!("{id}.jsonl"));
        let by_id = id.filter(|name| !name.contains(['/', '\0'])).map(|name| beside.join(name));
        named.filter(is_there).or(by_id)
    }

    /// Returns those of `locks` that are of this lane's session.
    pub fn locks<'a>(&'a self, locks: &'a [Lock]) -> impl Iterator<Item = &'a Lock> {
        locks.iter().filter(|lock| lock.path.file_name().is_some_and(|n| self.row.is_guarded_by(n)))
    }
}

impl Observer {
    /// Returns where the lane is that was `judged`. One that no store lists is looked for where its
    /// agent keeps its sessions.
    ///
    /// # Errors
    ///
    /// Returns why it cannot be told, for people.
    pub fn place_of(
        &self,
        era: &Era,
        key: &SessionKey,
        judged: Option<&Lane>,
        session_id: Option<&SessionId>,
    ) -> Result<LanePlace, String> {
        let state_dir = self.state_dir();
        let (store, row) = match judged {
            Some(lane) => {
                let store = &lane.store;
                let at = AgentPath { path: store.path.clone(), agent: store.agent.clone() };
                (at, lane.row.clone())
            }
            None => {
                let agent = agent_of(key).ok_or("the key of the lane names no agent")?;
                let path = sessions(state_dir, &agent).join("sessions.json");
                let row = Row { session_id: session_id.cloned(), ..Row::default() };
                (AgentPath { path, agent }, row)
            }
        };
        let beside = store.path.parent().map(Path::to_owned);
        let named = row.lock_beside_transcript().and_then(|path| Some(path.parent()?.to_owned()));
        let of_agent = sessions(state_dir, &store.agent);
        let folders = BTreeSet::from_iter([beside, named, Some(of_agent)].into_iter().flatten());
        let folders = folders.into_iter().collect();
        let database = (*era == Era::Sqlite).then(|| lane_rows::database(state_dir, &store.agent));
        Ok(LanePlace { key: key.clone(), store, row, folders, database })
    }

    /// Returns what is on disk of a lane now.
    ///
    /// # Errors
    ///
    /// Returns what cannot be read, for people.
    pub fn lane_again(&self, place: &LanePlace, at: UnixMillis) -> Result<LaneSight, String> {
        if let Some(database) = &place.database {
            return lane_in(database, place, at);
        }
        let root = self.state_dir();
        let keep = Keep::RunningAnd(place.key.clone());
        let read = read_store(root, &place.store, &keep).map_err(|gap| gap.reason)?;
        let mut lanes = read.map(|read| read.lanes).unwrap_or_default().into_iter();
        let lane = lanes.find(|lane| lane.key == place.key);
        let beside = place.store.path.parent().unwrap_or(Path::new("/"));
        Ok(LaneSight {
            at,
            file: place.file(),
            row: lane.map(|lane| lane.row),
            transcript: Some(transcript_of(beside, &place.row)),
            trajectory: Some(trajectory_of(beside, &place.row)),
            locks: locks(root, place)?,
            run: None,
            waiting: None,
        })
    }

    /// Returns everything that is below `gateway` now.
    ///
    /// # Errors
    ///
    /// Returns why the process table cannot be read, for people.
    pub fn below_again(&self, gateway: ProcessId) -> Result<BTreeSet<ProcessId>, String> {
        let table = self.anew()?;
        Ok(table.descendants(gateway).into_iter().map(|process| process.id).collect())
    }
}

fn lane_in(database: &Path, place: &LanePlace, at: UnixMillis) -> Result<LaneSight, String> {
    let rows = lane_rows::read(database, &place.key, place.row.session_id.as_ref())?;
    Ok(LaneSight {
        at,
        file: None,
        row: None,
        transcript: Some(rows.transcript),
        trajectory: Some(rows.trajectory),
        locks: BTreeMap::new(),
        run: rows.run,
        waiting: Some(Waiting { queued: rows.queued, dropped: rows.dropped }),
    })
}

fn locks(root: &Path, place: &LanePlace) -> Result<BTreeMap<PathBuf, LockStamp>, String> {
    let mut found = BTreeMap::new();
    for folder in &place.folders {
        let at = AgentPath { path: folder.clone(), agent: place.store.agent.clone() };
        let read = read_locks(root, &at, &|_| Sighting::Hidden);
        if let Some(gap) = read.gaps.first() {
            return Err(format!("{}: {}", gap.path.display(), gap.reason));
        }
        let own = place.locks(&read.locks).map(|lock| (lock.path.clone(), lock.stamp.clone()));
        found.extend(own);
    }
    Ok(found)
}

fn sessions(state_dir: &Path, agent: &AgentId) -> PathBuf {
    state_dir.join("agents").join(&agent.0).join("sessions")
}

/// The agent of `agent:<id>:…`; none if its name would lead out of its folder.
pub(super) fn agent_of(key: &SessionKey) -> Option<AgentId> {
    let mut parts = key.0.split(':');
    let id = (parts.next() == Some("agent")).then(|| parts.next())??;
    let is_name = !id.is_empty() && !id.contains(['/', '\0']) && id != "." && id != "..";
    is_name.then(|| AgentId(id.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::Transcript;
    use crate::observe::locate::{Request, locate};

    const KEY: &str = "agent:main:telegram:1";
    const LOCK: &str = r#"{"pid":41,"createdAt":"2026-11-20T07:29:30.010Z"}"#;

    /// A state directory with one lane, and an observer of it.
    fn world() -> (tempfile::TempDir, PathBuf, Observer) {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("agents/main/sessions");
        fs::create_dir_all(&folder).unwrap();
        fs::write(dir.path().join("openclaw.json"), "{}").unwrap();
        fs::write(
            folder.join("sessions.json"),
            format!(r#"{{"{KEY}":{{"sessionId":"s1","status":"done"}}}}"#),
        )
        .unwrap();
        fs::write(folder.join("s1.jsonl"), "12345").unwrap();
        let env = |_: &str| None;
        let request = Request { state_dir: Some(dir.path().to_owned()), env: &env };
        let install = locate(&request).unwrap();
        let observer = Observer::new(install, Path::new("/proc"), Box::new(env));
        (dir, folder, observer)
    }

    fn look(observer: &Observer, key: &str) -> Result<LaneSight, String> {
        let place = observer.place_of(&Era::Files, &key.into(), None, Some(&"s1".into()))?;
        observer.lane_again(&place, UnixMillis(1))
    }

    #[test]
    fn sees_row_transcript_and_the_locks_of_its_session_only() {
        let (_dir, folder, observer) = world();
        for name in ["s1.jsonl.lock", "s1-topic-x.jsonl.lock", "s2.jsonl.lock"] {
            fs::write(folder.join(name), LOCK).unwrap();
        }
        let sight = look(&observer, KEY).unwrap();
        assert_eq!(sight.row.unwrap().session_id, Some("s1".into()));
        assert!(matches!(sight.transcript, Some(Transcript::Present { bytes: 5, .. })));
        assert_eq!(sight.trajectory, Some(Transcript::Missing));
        let names: Vec<_> = sight.locks.keys().map(|path| path.file_name().unwrap()).collect();
        assert_eq!(names, ["s1-topic-x.jsonl.lock", "s1.jsonl.lock"]);
        assert_eq!(sight.file, Some(folder.join("s1.jsonl")));
    }

    #[test]
    fn a_lane_that_no_store_lists_has_no_row_and_a_missing_store_is_none() {
        let (_dir, folder, observer) = world();
        assert_eq!(look(&observer, "agent:main:cron:1").unwrap().row, None);
        fs::remove_dir_all(folder).unwrap();
        assert_eq!(look(&observer, KEY).unwrap().row, None);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_never_an_absence() {
        let (dir, folder, observer) = world();
        fs::write(folder.join("sessions.json"), "{\"torn").unwrap();
        assert!(look(&observer, KEY).is_err());
        fs::write(folder.join("sessions.json"), "{}").unwrap();
        let elsewhere = dir.path().join("lock");
        std::os::unix::fs::symlink(elsewhere, folder.join("s1.jsonl.lock")).unwrap();
        let error = look(&observer, KEY).unwrap_err();
        assert!(error.ends_with("a symbolic link"), "{error}");
    }

    #[test]
    fn a_key_whose_agent_would_lead_elsewhere_has_no_place() {
        let (_dir, _folder, observer) = world();
        for key in ["agent:..:main", "agent:a/b:main", "agent::main", "main", "", "agent"] {
            assert!(look(&observer, key).is_err(), "{key}");
        }
    }

    #[test]
    fn children_of_a_process_are_seen_below_it() {
        let (_dir, _folder, observer) = world();
        let own = observer.own_process().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let seen = observer.below_again(own).unwrap().iter().any(|id| id.pid == pid);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(seen);
    }
}
