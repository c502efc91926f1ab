//! Transcript locks.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{AgentId, Lane, ProcessId, Sighting, UnixMillis};

/// A `*.jsonl.lock` file and what is seen of its holder.
///
/// Up to 2026.5.7 the payload is `{pid, createdAt, starttime?}`; from 2026.5.28 it also has
/// `maxHoldMs`. The gateway removes it after the run; a crash leaves it behind.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lock {
    /// Where it is.
    pub path: PathBuf,
    /// The agent whose sessions folder holds it.
    pub agent: AgentId,
    /// What makes this file *this* file.
    pub stamp: LockStamp,
    /// When the file was last written, by the file system's clock.
    pub modified_at: UnixMillis,
    /// The user that owns the file.
    pub uid: u32,
    /// The user that owns its folder.
    pub folder_uid: u32,
    /// What it says.
    pub payload: Payload,
}

impl Lock {
    /// Returns the process that is seen under the pid the lock names, if there is one.
    #[must_use]
    pub fn live_holder(&self) -> Option<ProcessId> {
        match self.payload {
            Payload::Claim(_, Sighting::Present { id, .. }) => Some(id),
            Payload::Claim(..) | Payload::Incomplete => None,
        }
    }

    /// Returns true if this lock is one of `lane`'s transcript: `<sessionId>.jsonl.lock`, a topic
    /// file of the same session, or the lock beside the row's own `sessionFile`.
    ///
    /// In whatever folder: with `session.store` set, the store lies in one and transcripts and
    /// locks in another, `agents/<id>/sessions` (measured on 2026.5.28).
    #[must_use]
    pub fn guards(&self, lane: &Lane) -> bool {
        self.path.file_name().is_some_and(|name| lane.row.is_guarded_by(name))
    }
}

/// What identifies a lock file: the gateway may drop a lock and take it again between look
/// and act. The path, and often the pid, are then the same; inode or bytes are not.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LockStamp {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Every byte of the file. Locks are small; larger files are no locks.
    pub bytes: Vec<u8>,
}

/// What a lock's payload says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Payload {
    /// A complete payload, and what is seen under its pid.
    Claim(Claim, Sighting),
    /// Empty, torn, or without a usable pid: its writer may be between open and write.
    Incomplete,
}

/// What a complete payload claims about its holder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Claim {
    /// The holder's pid; always above 1.
    pub pid: i32,
    /// When the lock was taken, by the holder's wall clock.
    pub created_at: UnixMillis,
    /// The holder's start ticks. Linux only, and not from every version.
    pub start_ticks: Option<u64>,
    /// How long the gateway itself means to hold it at most, in ms (2026.5.28 and later).
    pub max_hold_ms: Option<u64>,
}
