//! Where what was moved or rewritten is kept, so that it can be put back.
//!
//! One folder per action, named by its number, with a manifest that says what was where, down to
//! the last byte. It is on disk before the first change, so that a crash at any later point can
//! be finished or reverted by looking, and an action can be undone.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::ActError;
use super::file;
use super::purge::PurgeManifest;
use crate::model::{
    ActionId, BootId, FileStamp, ProcessId, Restore, RunId, Rung, SessionId, SessionKey,
    UnixMillis, WriteProtocol,
};

/// The folder that holds all actions' folders.
#[derive(Clone, Debug)]
pub struct Quarantine(PathBuf);

/// What one action was about to do, and what it takes to finish, revert or undo it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "kind")]
pub enum Manifest {
    /// A lock that is moved away.
    ReleaseLock {
        /// Where it was.
        path: PathBuf,
        /// Its device number.
        dev: u64,
        /// Its inode number.
        ino: u64,
        /// Its whole text.
        text: String,
        /// Its permission bits.
        mode: u32,
    },
    /// A lock that is put back by an undo.
    RestoreLock {
        /// Where it belongs.
        path: PathBuf,
        /// Its whole text.
        text: String,
    },
    /// A row that is rewritten, by a settle or by its undo.
    Settle(Box<RowManifest>),
    /// A tree of processes that is ended. Which of them were stopped on the way is noted beside
    /// it, in `stopped.jsonl`.
    EndTree(Box<TreeManifest>),
    /// A lane that the gateway is asked to repair.
    CallLane(Box<CallManifest>),
    /// An acpx record that is put back by an undo.
    RestoreRecord(Box<RecordManifest>),
    /// A task that is taken out of every place that names it.
    PurgeTask(Box<PurgeManifest>),
    /// One that is put back there by an undo.
    RestoreTask(Box<PurgeManifest>),
    /// A backing session that the gateway is asked to load into a new session.
    Restore(Box<Restore>),
}

/// What the gateway was asked to do to a lane. It can be neither finished, reverted nor undone from
/// here: this is what there is to say about it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CallManifest {
    /// The lane.
    pub key: SessionKey,
    /// What was asked.
    pub rung: Rung,
    /// Its conversation.
    pub session_id: Option<SessionId>,
    /// Its run, where it was known.
    pub run: Option<RunId>,
    /// When that run began.
    pub started_at: Option<UnixMillis>,
    /// Its transcript: a reset archives it beside that.
    pub transcript: Option<PathBuf>,
}

/// What it takes to finish or revert the end of a tree of processes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TreeManifest {
    /// Where its pids mean something.
    pub realm: Realm,
    /// The topmost process.
    pub root: ProcessId,
    /// The record that is closed first, if there is one.
    pub record: Option<RecordManifest>,
}

/// Where a pid and its start ticks mean one process. The boot alone does not tell: it is the same
/// inside containers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Realm {
    /// The boot.
    pub boot: BootId,
    /// The pid namespace, as `/proc/self/ns/pid` names it.
    pub pid_namespace: String,
}

/// What it takes to finish, revert or undo a rewritten acpx record.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RecordManifest {
    /// The record.
    pub path: PathBuf,
    /// The record as it was read.
    pub read: FileStamp,
    /// Its whole text before.
    pub before: String,
    /// Its whole text after.
    pub after: String,
}

/// What it takes to finish, revert or undo a rewritten row.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RowManifest {
    /// The store.
    pub store: PathBuf,
    /// The row.
    pub key: SessionKey,
    /// The store as it was read.
    pub read: FileStamp,
    /// How it was written.
    pub protocol: WriteProtocol,
    /// The exact payload of the store lock that was taken, if one was.
    pub store_lock: Option<String>,
    /// The row before, as text.
    pub before: String,
    /// The row after, as text.
    pub after: String,
}

const MANIFEST: &str = "manifest.json";

impl Quarantine {
    /// Uses `folder`, which need not exist yet.
    #[must_use]
    pub fn new(folder: PathBuf) -> Quarantine {
        Quarantine(folder)
    }

    /// Where the things of one action are.
    #[must_use]
    pub fn folder(&self, id: ActionId) -> PathBuf {
        self.0.join(id.to_string())
    }

    /// Makes the folder of an action and writes its manifest, synced.
    pub(super) fn begin(&self, id: ActionId, manifest: &Manifest) -> Result<(), ActError> {
        let folder = self.folder(id);
        let path = folder.join(MANIFEST);
        let write = || -> io::Result<()> {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let bytes = serde_json::to_vec_pretty(manifest).map_err(io::Error::other)?;
            file::create_whole(&path, &bytes, 0o600)?;
            file::sync_folder(&folder)?;
            file::sync_folder(&self.0)
        };
        write().map_err(|source| ActError::Quarantine { path, source })
    }

    /// Reads the manifest of an action; `None` if the action never began.
    ///
    /// # Errors
    ///
    /// Returns an error if there is one that cannot be read or understood.
    pub fn manifest(&self, id: ActionId) -> Result<Option<Manifest>, ActError> {
        let path = self.folder(id).join(MANIFEST);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ActError::Manifest { path, source }),
        };
        let manifest = serde_json::from_slice(&bytes).map_err(io::Error::from);
        manifest.map(Some).map_err(|source| ActError::Manifest { path, source })
    }

    /// Removes what was kept of an action that retention has dropped from the journal.
    ///
    /// # Errors
    ///
    /// Returns an error if something of it cannot be removed.
    pub fn forget(&self, id: ActionId) -> io::Result<()> {
        match fs::remove_dir_all(self.folder(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

/// The name under which an action keeps a file in the folder it belongs to, until the action is
/// complete. No part of the gateway looks at such names.
pub(super) fn aside(folder: &Path, id: ActionId) -> PathBuf {
    folder.join(format!(".clawarden-{id}"))
}
