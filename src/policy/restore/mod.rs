//! Whether a backing session may be given back, and whether that is safe now. Only ever asked because
//! a person asked.

use std::path::Path;

use crate::model::{
    Agent, Authority, BackingId, LaneStatus, RecordMode, SessionKey, Snapshot, Source, Tombstone,
    Version,
};

/// How a gateway of some version gives a backing session back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// `sessions_spawn` with `resumeSessionId`: it checks nobody's ownership, so we do (2026.3.24 to
    /// 2026.4.15, run for real on 2026.4.15).
    Spawn,
    /// Only with a row of its own session store that says whose it is (2026.5.7 to 2026.5.28).
    OwnRow,
    /// Only with a row of its database, which nobody else may write (2026.6.1 and later).
    Database,
    /// Not known of this version.
    Unknown,
}

const FIRST_SPAWN: Version = Version::new(2026, 3, 24);
const LAST_SPAWN: Version = Version::new(2026, 4, 15);
const FIRST_ROW: Version = Version::new(2026, 5, 7);
const LAST_ROW: Version = Version::new(2026, 5, 28);
const FIRST_DATABASE: Version = Version::new(2026, 6, 1);

/// Returns how a gateway of this version gives a backing session back; what lies between versions that
/// were looked at is not guessed.
#[must_use]
pub fn way(version: Option<Version>) -> Way {
    match version {
        Some(version) if (FIRST_SPAWN..=LAST_SPAWN).contains(&version) => Way::Spawn,
        Some(version) if (FIRST_ROW..=LAST_ROW).contains(&version) => Way::OwnRow,
        Some(version) if version >= FIRST_DATABASE => Way::Database,
        Some(_) | None => Way::Unknown,
    }
}

/// Says why `requester` may have the session. `force`: the owner of the state directory says so.
///
/// # Errors
///
/// Returns why it may not, for people, and nobody's key but its own.
pub fn authorise(
    tombstone: &Tombstone,
    requester: &SessionKey,
    force: bool,
) -> Result<Authority, String> {
    let is_recorded = tombstone.facts.requester.as_ref() == Some(requester);
    let is_disputed = !tombstone.disputed_by.is_empty();
    match (is_recorded && !is_disputed, force) {
        (true, _) => Ok(Authority::Recorded),
        (false, true) => Ok(Authority::Forced),
        (false, false) if is_recorded => Err("somebody else claims it, too".to_owned()),
        (false, false) if tombstone.facts.requester.is_none() => {
            Err("it is on record for nobody".to_owned())
        }
        (false, false) => Err(format!("it is not on record for `{requester}`")),
    }
}

/// Returns what in the world speaks against loading this session anew: somebody works on it, or
/// whether that is so cannot be told.
#[must_use]
pub fn obstacle(id: &BackingId, tombstone: &Tombstone, snapshot: &Snapshot) -> Option<String> {
    gap(snapshot)
        .or_else(|| wrapped(id, snapshot))
        .or_else(|| recorded(id, snapshot))
        .or_else(|| snapshot.agents.iter().find_map(|agent| worked_on(id, tombstone, agent)))
}

fn gap(snapshot: &Snapshot) -> Option<String> {
    let hides = [
        Source::Config,
        Source::Processes,
        Source::Sessions,
        Source::Acp,
        Source::Records,
        Source::Leases,
    ];
    let gap = hides.into_iter().find_map(|source| snapshot.gap(source));
    let is_seen = snapshot.acp.is_some() && snapshot.records.is_some();
    match gap {
        Some(gap) => Some(format!(
            "whether somebody works on it cannot be told: {} could not be read: {}",
            gap.path.display(),
            gap.reason
        )),
        None if is_seen => None,
        None => Some("whether somebody works on it was not looked at".to_owned()),
    }
}

/// A session that wraps it and may go on with it.
fn wrapped(id: &BackingId, snapshot: &Snapshot) -> Option<String> {
    snapshot.acp.iter().flatten().find_map(|session| {
        let metadata = session.metadata.as_ref().filter(|of| of.is_current)?;
        if !metadata.backing_ids.contains(id) {
            return None;
        }
        let key = &session.key;
        if session.status == LaneStatus::Running || metadata.state == "running" {
            return Some(format!(
                "session `{key}` works on it now, as its row says; if nobody does, see \
                 clawarden explain {key}"
            ));
        }
        (metadata.mode == RecordMode::Persistent)
            .then(|| format!("session `{key}` still has it; go on there"))
    })
}

fn recorded(id: &BackingId, snapshot: &Snapshot) -> Option<String> {
    let records = snapshot.records.iter().flatten();
    let mut open = records.filter(|of| of.backing_id.as_ref() == Some(id) && !of.is_closed);
    open.find_map(|record| {
        let (key, path) = (&record.session_key, record.path.display());
        // A gateway that was killed leaves the record of a oneshot session open for ever; whether a
        // process still works for it is looked at by itself.
        (record.mode == RecordMode::Persistent).then(|| {
            format!("session `{key}` still has it, by its open record {path}; go on there")
        })
    })
}

/// A process that works on it, or of which that cannot be excluded.
fn worked_on(id: &BackingId, tombstone: &Tombstone, agent: &Agent) -> Option<String> {
    let who = agent.subject_id();
    let of_record = agent.record.as_ref().and_then(|record| record.backing_id.as_ref());
    let key = agent.session_key.as_ref();
    if agent.command.contains(&id.0)
        || of_record == Some(id)
        || key.is_some_and(|key| tombstone.wrapper(key).is_some())
    {
        return Some(format!("process {who} works on it"));
    }
    let is_others = key.is_some() || of_record.is_some() || agent.kind.is_none();
    let cwd = tombstone.facts.cwd.as_deref();
    let is_elsewhere = |of: &Path| cwd.is_some_and(|cwd| cwd != of);
    if is_others || agent.cwd.as_deref().is_some_and(is_elsewhere) {
        return None;
    }
    Some(format!("process {who} is an agent in the same folder, and may work on it"))
}

#[cfg(test)]
mod tests;
