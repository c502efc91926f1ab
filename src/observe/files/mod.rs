//! What the gateway keeps in files: session stores, transcript locks, the subagent registry.
//!
//! Every reader here is read-only, bounded in memory, and never blocks on what it finds under a
//! name. What cannot be read is a [`Gap`], never an absence.

mod gated;
mod guard;
mod lock_cache;
mod locks;
mod open;
mod payload;
mod rows;
mod store;
mod store_cache;
mod subagent_rows;
mod subagents;
mod task_rows;
mod tasks;
mod transcript;

use std::path::{Path, PathBuf};

use crate::model::{AgentId, Gap, Source};

pub(super) use gated::{Gated, SETTLES_AFTER, is_settled};
pub(super) use guard::Guard;
pub use lock_cache::LockCache;
pub use locks::{LocksRead, read_locks, unlisted_locks};
pub(super) use open::{is_gone, oddity, open_below, open_regular, stamp};
pub(super) use payload::PID_MAX;
pub use payload::read_claim;
pub use rows::Keep;
pub use store::{StoreRead, read_store};
pub use store_cache::{LanesRead, StoreCache};
pub use subagent_rows::{open_subagent_rows, read_subagent_rows};
pub use subagents::{SubagentCache, open_subagents};
pub use task_rows::{TasksKept, read_tasks};
pub use tasks::lanes_of_active_tasks;
pub use transcript::{trajectory_of, transcript_of};

/// A store or a sessions folder, and the agent it belongs to.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct AgentPath {
    /// The `sessions.json`, or the folder that holds locks and transcripts.
    pub path: PathBuf,
    /// The agent.
    pub agent: AgentId,
}

/// Returns the gap that `reason` makes of `path`.
fn gap(source: Source, path: &Path, reason: impl Into<String>) -> Gap {
    Gap { source, path: path.to_owned(), reason: reason.into() }
}
