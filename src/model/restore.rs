//! Giving a backing session back.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{AgentId, BackingId, ProcessId, SessionKey};

/// A backing session that a gateway is asked to load into a new session, complete: whoever asks it
/// is left nothing to choose.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// The backing session.
    pub id: BackingId,
    /// For whom: the session in whose name the gateway is asked.
    pub requester: SessionKey,
    /// Why that one may have it.
    pub authority: Authority,
    /// The agent that works on it.
    pub agent: AgentId,
    /// Its working directory: where the agent looks for the conversation.
    pub cwd: PathBuf,
    /// What the agent is told first.
    pub task: String,
    /// The gateway under which it was judged. Another one, or none: the judgement is void.
    pub gateway: ProcessId,
}

/// Why somebody may have a backing session.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Authority {
    /// It is the requester on record.
    Recorded,
    /// The owner of the state directory said so.
    Forced,
}
