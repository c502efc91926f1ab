//! The session records of acpx.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{BackingId, FileStamp, SessionKey, UnixMillis};

/// One record, schema `acpx.session.v1`: `<workspace>/state/sessions/<encoded id>.json`
/// (2026.4.15 to 2026.7.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AcpxRecord {
    /// Where it is.
    pub path: PathBuf,
    /// Which incarnation of the file was read.
    pub stamp: FileStamp,
    /// The user that owns the file.
    pub uid: u32,
    /// The user that owns its folder.
    pub folder_uid: u32,
    /// `acpx_record_id`.
    pub record_id: String,
    /// `name`: the session key.
    pub session_key: SessionKey,
    /// `acp_session_id`, the backing session.
    pub backing_id: Option<BackingId>,
    /// What may become of the session.
    pub mode: RecordMode,
    /// `agent_command`.
    pub command: String,
    /// `cwd`.
    pub cwd: PathBuf,
    /// `pid`. Behind `npx` it is the launcher's, not the adapter's.
    pub pid: Option<i32>,
    /// `agent_started_at`: within a second of the start of the process (measured on 2026.4.15).
    pub agent_started_at: Option<UnixMillis>,
    /// `closed`.
    pub is_closed: bool,
    /// `closed_at`.
    pub closed_at: Option<UnixMillis>,
}

/// What may become of an acpx session.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordMode {
    /// One prompt, then done: its id is the session key, `:oneshot:` and a UUID (2026.4.15).
    Oneshot,
    /// Anything else, bound ones among them. The next prompt goes on with its context, so it is
    /// never changed.
    Persistent,
}

impl RecordMode {
    /// Returns the name that the gateway uses, too.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            RecordMode::Oneshot => "oneshot",
            RecordMode::Persistent => "persistent",
        }
    }
}
