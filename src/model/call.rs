//! Repairs of a lane that only the gateway itself can make.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    LockStamp, ProcessId, Row, RunId, SessionId, SessionKey, Transcript, UnixMillis, Version,
};

/// One rung of the ladder of repairs, the least costly first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// `sessions.abort`: ends the run, keeps the conversation.
    Abort,
    /// `sessions.steer`: interrupts the run with a message, keeps the conversation, costs a model turn.
    Steer,
    /// `sessions.recover` (2026.9.6): continues a tombstoned session under a new key.
    Recover,
    /// `sessions.reset`: begins the conversation anew; the old one is archived.
    Reset,
    /// `/new`: as reset, with a model turn.
    New,
}

impl Rung {
    /// Every rung, lowest first.
    pub const ALL: [Rung; 5] = [Rung::Abort, Rung::Steer, Rung::Recover, Rung::Reset, Rung::New];

    /// Returns the name used in configuration, reports and journal.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Rung::Abort => "abort",
            Rung::Steer => "steer",
            Rung::Recover => "recover",
            Rung::Reset => "reset",
            Rung::New => "new",
        }
    }

    /// Returns true if the conversation goes on where it was.
    #[must_use]
    pub fn keeps_conversation(self) -> bool {
        match self {
            Rung::Abort | Rung::Steer | Rung::Recover => true,
            Rung::Reset | Rung::New => false,
        }
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A repair of one lane over RPC, and what it was judged by. All of it is looked at again right
/// before the call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LaneCall {
    /// What to do.
    pub rung: Rung,
    /// The lane.
    pub key: SessionKey,
    /// The id of its transcript; another one is another conversation.
    pub session_id: Option<SessionId>,
    /// When the run began; another time is another run.
    pub started_at: Option<UnixMillis>,
    /// The run, where it is known: nothing else is aborted.
    pub run: Option<RunId>,
    /// The lock that the run holds, which must be gone afterwards.
    pub lock: Option<PathBuf>,
    /// How many messages waited behind the run when it was judged.
    pub queued: Option<u32>,
    /// The gateway under which it was judged. Another one, or none: the judgement is void.
    pub gateway: ProcessId,
    /// Its version, by its own word.
    pub version: Version,
    /// How long the effect may take to show.
    pub settle_within: Duration,
    /// What is said into the chat afterwards, if the user wants that.
    pub tell: Option<String>,
}

/// What is on disk of the lane of a call, at one instant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LaneSight {
    /// When it was looked at.
    pub at: UnixMillis,
    /// Where its transcript is, by its row, else by its session id. The two need not agree: a reset of
    /// 2026.4.15 changes the id and leaves the name.
    pub file: Option<PathBuf>,
    /// Its row, where stores are files.
    pub row: Option<Row>,
    /// The transcript that was judged; in the SQLite era its size is in events. `None`: it was not
    /// looked at.
    pub transcript: Option<Transcript>,
    /// Its trajectory, likewise.
    pub trajectory: Option<Transcript>,
    /// All locks of the session that was judged.
    pub locks: BTreeMap<PathBuf, LockStamp>,
    /// The run that is under way, where that is on disk: in the SQLite era.
    pub run: Option<RunId>,
    /// How many messages wait behind the run, and how many that waited were dropped so far. `None`: that
    /// is not on disk.
    pub waiting: Option<Waiting>,
}

/// Messages that wait behind a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Waiting {
    /// How many wait.
    pub queued: u32,
    /// How many waited once, and are never answered: cancelled with a run, or interrupted by a reset.
    pub dropped: u32,
}
