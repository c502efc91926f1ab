//! Puts back what an action moved or rewrote.

use super::error::ActError;
use super::quarantine::{Manifest, RecordManifest};
use super::{Actuator, Performed, lane, lock, purge, record, restore, row};
use crate::model::{ActionId, Outcome};

/// Undoes action `undone`, under the journal number `undo`. Refuses, as `changed`, if the place
/// is no longer what the action left.
///
/// # Errors
///
/// Returns an error if the attempt was made and failed, or if nothing was kept of the action.
pub fn undo(
    actuator: &Actuator<'_>,
    undone: ActionId,
    undo: ActionId,
) -> Result<Performed, ActError> {
    match actuator.quarantine.manifest(undone)? {
        None => Ok(Performed::changed("nothing was kept of it; it changed nothing")),
        Some(Manifest::ReleaseLock { path, text, mode, .. }) => {
            lock::restore(actuator, undo, &path, &text, mode)
        }
        Some(Manifest::RestoreLock { .. }) => {
            Ok(Performed::changed("it was an undo itself; release the lock again by a pass"))
        }
        Some(Manifest::Settle(manifest)) => row::restore(actuator, undo, &manifest),
        Some(Manifest::EndTree(manifest)) => match &manifest.record {
            Some(record) => reopen(actuator, undo, record),
            None => Ok(Performed::changed("ended processes cannot be brought back")),
        },
        Some(Manifest::CallLane(manifest)) => Ok(lane::undo(&manifest)),
        Some(Manifest::PurgeTask(manifest)) => purge::undo(actuator, undone, undo, &manifest),
        Some(Manifest::RestoreTask(_)) => {
            Ok(Performed::changed("it was an undo itself; purge the task again"))
        }
        Some(Manifest::Restore(_)) => Ok(restore::undo()),
        Some(Manifest::RestoreRecord(_)) => Ok(Performed::changed("it was an undo itself")),
    }
}

/// All that can be brought back of a tree of processes.
fn reopen(
    actuator: &Actuator<'_>,
    undo: ActionId,
    record: &RecordManifest,
) -> Result<Performed, ActError> {
    let mut performed = record::restore(actuator, undo, record)?;
    if let Outcome::Done | Outcome::WouldDo = performed.outcome {
        let note = "only its session record; ended processes cannot be brought back";
        performed.note = Some(note.to_owned());
    }
    Ok(performed)
}
