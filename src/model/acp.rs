//! Sessions of ACP agents as the gateway's own stores have them: who asked for them, and by which
//! backing id their agent would find its conversation again.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{AgentId, Field, LaneStatus, RecordMode, SessionId, SessionKey, UnixMillis};

/// The id by which an ACP agent finds a conversation again: what `session/load` and
/// `claude --resume` want. Kept as a name; it grants nothing by itself.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct BackingId(pub String);

impl fmt::Display for BackingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for BackingId {
    fn from(text: &str) -> Self {
        BackingId(text.to_owned())
    }
}

/// One session that an ACP agent works or worked for: a row of a session store, with what the
/// gateway knows of its agent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AcpSession {
    /// The session key, such as `agent:claude:acp:<uuid>`.
    pub key: SessionKey,
    /// The agent in whose store it is.
    pub agent: AgentId,
    /// The `sessions.json`, or the database. Of what is known of an agent without its session, the
    /// database that has it.
    pub store: PathBuf,
    /// `sessionId`.
    pub session_id: Option<SessionId>,
    /// `status`.
    pub status: LaneStatus,
    /// `startedAt`.
    pub started_at: Field<UnixMillis>,
    /// `endedAt`.
    pub ended_at: Field<UnixMillis>,
    /// `updatedAt`.
    pub updated_at: Field<UnixMillis>,
    /// `spawnedBy`: the session that asked for it.
    pub spawned_by: Option<SessionKey>,
    /// `parentSessionKey`.
    pub parent: Option<SessionKey>,
    /// What is known of its agent; `None` where the gateway has dropped it, or never had it.
    pub metadata: Option<AcpMetadata>,
}

impl AcpSession {
    /// Returns the session that may ask for it: who spawned it, else its parent.
    #[must_use]
    pub fn requester(&self) -> Option<&SessionKey> {
        self.spawned_by.as_ref().or(self.parent.as_ref())
    }
}

/// What the gateway keeps of an ACP session's agent: the `acp` block of a row (up to 2026.5.28), or
/// a row of `acp_sessions` (2026.6.1 and later).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AcpMetadata {
    /// `agent`: the family, such as `claude`.
    pub family: String,
    /// `mode`.
    pub mode: RecordMode,
    /// `state`: `idle`, `running`, `error`.
    pub state: String,
    /// `cwd`.
    pub cwd: Option<PathBuf>,
    /// Every backing id that it names, the one the gateway would use first: `identity.agentSessionId`,
    /// `identity.acpxSessionId`, and `backendSessionId` inside `runtimeSessionName`.
    pub backing_ids: Vec<BackingId>,
    /// `identity.acpxRecordId`, or the one inside `runtimeSessionName`.
    pub record_id: Option<String>,
    /// Whether `identity.state` is `resolved`.
    pub is_resolved: bool,
    /// Whether the gateway itself still reads it: since 2026.8.1 it is bound to the session's
    /// `lifecycleRevision`, which any reset changes, and is then dead data ("ACP metadata is
    /// missing").
    pub is_current: bool,
    /// `identity.lastUpdatedAt`, else `lastActivityAt`.
    pub updated_at: Option<UnixMillis>,
}
