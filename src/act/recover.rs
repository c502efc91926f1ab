//! Finishes or reverts what a crash left between intent and outcome.

use super::error::ActError;
use super::quarantine::Manifest;
use super::{Actuator, Performed, end_tree, lane, lock, purge, record, restore, row};
use crate::model::{ActionId, LockStamp};

/// Looks at an action whose outcome was never recorded, and brings it to an end. Never repeats it.
///
/// # Errors
///
/// Returns an error if its remains can neither be finished nor reverted; they stay where they are.
pub fn recover(actuator: &Actuator<'_>, id: ActionId) -> Result<Performed, ActError> {
    match actuator.quarantine.manifest(id)? {
        None => Ok(Performed::changed("interrupted before it began")),
        Some(Manifest::ReleaseLock { path, dev, ino, text, .. }) => {
            let expected = LockStamp { dev, ino, bytes: text.into_bytes() };
            lock::recover_release(actuator, id, &path, &expected)
        }
        Some(Manifest::RestoreLock { path, text }) => lock::recover_restore(id, &path, &text),
        Some(Manifest::Settle(manifest)) => row::recover(actuator, id, &manifest),
        Some(Manifest::EndTree(manifest)) => end_tree::recover(actuator, id, &manifest),
        Some(Manifest::CallLane(manifest)) => Ok(lane::recover(&manifest)),
        Some(Manifest::PurgeTask(manifest) | Manifest::RestoreTask(manifest)) => {
            purge::recover(actuator, id, &manifest)
        }
        Some(Manifest::Restore(restore)) => Ok(restore::recover(&restore)),
        Some(Manifest::RestoreRecord(manifest)) => record::recover(actuator, id, &manifest, true),
    }
}
