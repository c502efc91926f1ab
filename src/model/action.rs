//! Changes to the world, and what became of them.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    BootId, LaneCall, LockStamp, ProcessId, Row, SessionKey, TaskPurge, TombstoneEvent, Transcript,
    UnixMillis,
};

/// A change to the world, complete: the actuator is left nothing to choose.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Move a lock whose holder is dead into quarantine.
    ReleaseLock {
        /// The lock.
        path: PathBuf,
        /// The dead holder, for reports.
        holder_pid: i32,
        /// The file that was judged.
        expected: LockStamp,
        /// The gateway under which it was judged. Another one, or none: the judgement is void.
        gateway: ProcessId,
    },
    /// Write the end of a dead run into its row.
    Settle(Box<RowEdit>),
    /// End a tree of processes that nobody can reach any more, or that the user wants ended.
    EndTree(Box<TreeEnd>),
    /// Have the gateway itself repair a lane.
    CallLane(Box<LaneCall>),
    /// Take a task out of every place that names it, with the gateway stopped.
    PurgeTask(Box<TaskPurge>),
    /// Write down what happened to a backing session, in our own state. Touches nothing of anybody
    /// else's.
    Record(Vec<TombstoneEvent>),
}

impl Action {
    /// Returns the name used in reports and in the journal.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Action::ReleaseLock { .. } => "release_lock",
            Action::Settle(_) => "settle",
            Action::EndTree(_) => "end_tree",
            Action::CallLane(call) => call.rung.name(),
            Action::PurgeTask(_) => "purge_task",
            Action::Record(_) => "record",
        }
    }
}

/// A tree of processes to end, and what it was judged by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TreeEnd {
    /// The boot in which these identities mean anything.
    pub boot: BootId,
    /// The topmost process.
    pub root: ProcessId,
    /// All of the tree as it was judged, the root first. What it has become since is looked for
    /// anew, and every new member must pass the same guards.
    pub members: Vec<ProcessId>,
    /// Why it is to end. Judged once more right before the first signal.
    pub cause: EndCause,
    /// How long it has after SIGTERM before SIGKILL.
    pub term_wait: Duration,
    /// The record to be closed first, so that nothing starts it again.
    pub record: Option<RecordClose>,
}

/// Why a tree is to end.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// Nobody can reach it any more.
    Orphan,
    /// Its session is closed, and it still hangs on the live gateway.
    Leak,
    /// It uses more than the user allows.
    Runaway,
}

/// An acpx record of a oneshot session that is to be marked as closed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecordClose {
    /// The record.
    pub path: PathBuf,
    /// The file that was judged.
    pub expected: FileStamp,
    /// Its `acpx_record_id`.
    pub record_id: String,
    /// What becomes its `closed_at`.
    pub closed_at: UnixMillis,
}

/// What `settle` writes, and the state it was decided on.
///
/// The row's status becomes `failed`; `endedAt` and `runtimeMs` follow. Nothing else changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RowEdit {
    /// The `sessions.json`.
    pub store: PathBuf,
    /// The row.
    pub key: SessionKey,
    /// The row that was judged.
    pub expected: Row,
    /// The transcript that was judged.
    pub transcript: Transcript,
    /// The new `endedAt`.
    pub ended_at: UnixMillis,
    /// The new `runtimeMs`, for a row that has none.
    pub runtime_ms: i64,
    /// How this gateway version wants its store written.
    pub protocol: WriteProtocol,
    /// The gateway under which it was judged. Another one, or none: the judgement is void.
    pub gateway: ProcessId,
}

/// How a session store is written beside its gateway.
///
/// In every case the file is replaced by an atomic exchange, and what comes out must be what
/// was read: else it is exchanged back, so that no write of the gateway is lost.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteProtocol {
    /// Up to 2026.4.x: under `sessions.json.lock`, as the gateway itself does.
    LockFile,
    /// From 2026.5.2, where there is no such lock: only a store that has been quiet for 2 s.
    QuietStore,
    /// Version unknown: both.
    Both,
}

impl WriteProtocol {
    /// Returns true if the store's lock file must be taken.
    #[must_use]
    pub fn takes_lock(self) -> bool {
        matches!(self, WriteProtocol::LockFile | WriteProtocol::Both)
    }

    /// Returns true if the store must have been quiet.
    #[must_use]
    pub fn needs_quiet(self) -> bool {
        matches!(self, WriteProtocol::QuietStore | WriteProtocol::Both)
    }
}

/// What identifies one incarnation of a file that is replaced by rename.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FileStamp {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// Modification time, whole seconds.
    pub mtime_s: i64,
    /// Modification time, nanoseconds within the second.
    pub mtime_ns: i64,
}

/// What became of one action.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done, and seen to be done.
    Done,
    /// The subject was already gone. The goal is met, so this is no failure.
    AlreadyGone,
    /// The subject is no longer what was judged; the next pass judges anew.
    Changed,
    /// Dry run: checked as far as possible, then not taken.
    WouldDo,
    /// The attempt was made and failed; the error says why.
    Failed,
    /// Done, but a second look did not find the effect.
    Unverified,
}

impl Outcome {
    /// Returns the name used in reports and in the journal.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::AlreadyGone => "already_gone",
            Outcome::Changed => "changed",
            Outcome::WouldDo => "would_do",
            Outcome::Failed => "failed",
            Outcome::Unverified => "unverified",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
