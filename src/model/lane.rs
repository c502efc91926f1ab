//! Lanes: one session key, one row, one queue.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{AgentId, Field, SessionId, SessionKey, UnixMillis};

/// One lane, as far as disk shows it: its row, its transcript, its locks' names.
///
/// The queue itself lives only in the gateway's memory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lane {
    /// The session key.
    pub key: SessionKey,
    /// The store that holds the row.
    pub store: Arc<Store>,
    /// The row, as read.
    pub row: Row,
    /// The transcript named by the row, or `<sessionId>.jsonl` beside the store.
    pub transcript: Transcript,
    /// `<sessionId>.trajectory.jsonl`, where the version writes one (2026.5.7 and later).
    pub trajectory: Transcript,
}

/// A `sessions.json`, and who may write it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Store {
    /// Where it is.
    pub path: PathBuf,
    /// The agent it belongs to.
    pub agent: AgentId,
    /// The file as it was when it was read.
    pub facts: StoreFacts,
}

/// What was seen of a store's file when it was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StoreFacts {
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was last replaced or written.
    pub modified_at: UnixMillis,
    /// The user that owns the file.
    pub uid: u32,
    /// The user that owns its folder.
    pub folder_uid: u32,
    /// Whether the path is a symbolic link.
    pub is_symlink: bool,
}

impl Store {
    /// Returns the folder of the store, which also holds transcripts and locks.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }
}

/// The run fields of one row. Two equal rows are the same judgement.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Row {
    /// `sessionId`.
    pub session_id: Option<SessionId>,
    /// `status`.
    pub status: LaneStatus,
    /// `startedAt`: when the run began. The only field a lane's age may be taken from.
    pub started_at: Field<UnixMillis>,
    /// `endedAt`; the gateway deletes it when a run begins.
    pub ended_at: Field<UnixMillis>,
    /// `updatedAt`; refreshed by every inbound message, also on a stuck lane.
    pub updated_at: Field<UnixMillis>,
    /// `sessionFile`: the transcript's path, absolute as the gateway writes it.
    pub session_file: Option<PathBuf>,
    /// What an earlier stop, recovery or quota left in the row. Each means: hands off.
    pub residue: Vec<Residue>,
}

impl Row {
    /// Returns the place of the lock beside the row's own `sessionFile`, if that is an absolute
    /// path.
    #[must_use]
    pub fn lock_beside_transcript(&self) -> Option<PathBuf> {
        let file = self.session_file.as_ref().filter(|file| file.is_absolute())?;
        let mut name = file.file_name()?.to_owned();
        name.push(".lock");
        Some(file.with_file_name(name))
    }

    /// Returns true if a lock file of that name is one of this session's.
    #[must_use]
    pub fn is_guarded_by(&self, lock_name: &OsStr) -> bool {
        let Some(transcript) = lock_name.as_encoded_bytes().strip_suffix(b".lock") else {
            return false;
        };
        let of_file = self.session_file.as_deref().and_then(Path::file_name);
        of_file.is_some_and(|name| name.as_encoded_bytes() == transcript)
            || self.session_id.as_ref().is_some_and(|id| is_transcript_of(transcript, &id.0))
    }
}

/// `<sessionId>.jsonl`, `<sessionId>-topic-<name>.jsonl`, and whatever else begins and ends so: a
/// lock is a reason to leave a lane alone, so this errs towards true.
fn is_transcript_of(name: &[u8], session_id: &str) -> bool {
    name.starts_with(session_id.as_bytes()) && name.ends_with(b".jsonl")
}

/// `status` of a row. Nothing re-derives it on 2026.3.24 and 2026.4.15, ever.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum LaneStatus {
    /// Never ran, or just reset.
    #[default]
    Absent,
    /// A run began and has not been seen to end.
    Running,
    /// `done`, `failed`, `killed` or `timeout`.
    Ended,
    /// Any other value.
    Unknown,
}

/// Something in a row that some part of the gateway still means to act on.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Residue {
    /// `abortedLastRun: true`: with `running`, restart recovery has marked it.
    AbortedLastRun,
    /// Another `restartRecovery…` or `mainRestartRecovery` is set.
    RestartRecovery,
    /// `restartRecoveryDelivery…` is set: where a resumed run would answer. Every run of a chat has it
    /// from its begin to its end (measured on 2026.6.11 and 2026.7.1).
    RecoveryDelivery,
    /// `pendingFinalDelivery…` is set: a reply waits to be delivered.
    PendingFinalDelivery,
    /// `quotaSuspension` is set: the lane is quiet on purpose.
    QuotaSuspension,
}

/// A transcript or trajectory, seen only from outside: its content is never read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transcript {
    /// There is a file.
    Present {
        /// Its size in bytes.
        bytes: u64,
        /// When it was last written.
        modified_at: UnixMillis,
    },
    /// There is none. Normal in a first turn.
    Missing,
    /// It could not be looked at, or the row names none.
    Unreadable,
}

impl Transcript {
    /// Returns when it was last written, if it is there.
    #[must_use]
    pub fn modified_at(self) -> Option<UnixMillis> {
        match self {
            Transcript::Present { modified_at, .. } => Some(modified_at),
            Transcript::Missing | Transcript::Unreadable => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_guarded_by_the_locks_of_its_own_session_only() {
        let row = Row {
            session_id: Some("ab-1".into()),
            session_file: Some("/elsewhere/old-name.jsonl".into()),
            ..Row::default()
        };
        let guarded = |name: &str| row.is_guarded_by(OsStr::new(name));
        for name in ["ab-1.jsonl.lock", "ab-1-topic-x.jsonl.lock", "old-name.jsonl.lock"] {
            assert!(guarded(name), "{name}");
        }
        for name in ["ab-2.jsonl.lock", "ab-1.jsonl", "xab-1.jsonl.lock", "sessions.json.lock"] {
            assert!(!guarded(name), "{name}");
        }
    }
}
