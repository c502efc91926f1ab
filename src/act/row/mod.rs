//! Writes the end of a dead run into its row, and takes it back.

mod edit;
mod scan;
mod store_lock;
mod write;

use std::ffi::OsStr;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::error::ActError;
use super::exchange::{self, folder};
use super::quarantine::RowManifest;
use super::{Actuator, Performed, Reach, Step, file};
use crate::format;
use crate::model::{ActionId, LaneStatus, Outcome, Row, RowEdit, SessionKey, Transcript};
use write::{Refusal, Rewrite, rewrite};

/// How long after a write the store is looked at again. The gateway's own window between its look
/// at the store and its rename is a few milliseconds.
const VERIFY_AFTER: Duration = Duration::from_millis(250);

/// Settles the row if everything that was judged still holds.
pub(super) fn settle(
    actuator: &Actuator<'_>,
    id: ActionId,
    edit: &RowEdit,
) -> Result<Performed, ActError> {
    let new_text = |text: &[u8]| {
        if format::read_row(text).as_ref() != Some(&edit.expected) {
            return Err(Refusal::Changed("the row has changed".to_owned()));
        }
        edit::settle(text, edit.ended_at.0, edit.runtime_ms).map_err(Refusal::Edit)
    };
    let job = Rewrite {
        store: &edit.store,
        key: &edit.key,
        protocol: edit.protocol,
        new_text: &new_text,
        still: &|| still(actuator, edit),
    };
    let performed = rewrite(actuator, id, &job)?;
    if performed.outcome != Outcome::Done {
        return Ok(performed);
    }
    (actuator.before)(Step::Verify);
    (actuator.wait)(VERIFY_AFTER);
    // A message may have begun the next run by now: what was settled is the run that was judged.
    let is_settled =
        |row: &Row| row.status != LaneStatus::Running || row.started_at != edit.expected.started_at;
    verify(&edit.store, &edit.key, is_settled)
}

/// What was judged beside the row itself.
fn still(actuator: &Actuator<'_>, edit: &RowEdit) -> Result<(), String> {
    if !(actuator.is_alive)(edit.gateway) {
        return Err("the gateway has ended or restarted".to_owned());
    }
    let named = edit.expected.session_file.as_deref().and_then(Path::parent);
    for folder in [Some(folder(&edit.store)), named.filter(|named| named.is_dir())] {
        if let Some(lock) = folder.map_or(Ok(None), |folder| a_lock(folder, &edit.expected))? {
            return Err(format!("the lane is locked by {lock}"));
        }
    }
    let moved = transcript(edit).is_some_and(|path| {
        // One that was missing, as in a first turn, has been begun.
        let Transcript::Present { bytes, modified_at } = edit.transcript else { return true };
        let unchanged = |stamp: crate::model::FileStamp| {
            let millis = stamp.mtime_s.saturating_mul(1000) + stamp.mtime_ns / 1_000_000;
            stamp.bytes == bytes && millis == modified_at.0
        };
        !file::stamp(&path).is_ok_and(unchanged)
    });
    if moved { Err("the transcript has been written".to_owned()) } else { Ok(()) }
}

/// The transcript that was judged, where it is known by its usual name.
fn transcript(edit: &RowEdit) -> Option<std::path::PathBuf> {
    let beside = |name: &OsStr| folder(&edit.store).join(name);
    let named = edit.expected.session_file.as_deref();
    let candidates = [
        named.map(Path::to_owned),
        named.and_then(Path::file_name).map(beside),
        edit.expected.session_id.as_ref().map(|id| beside(OsStr::new(&format!("{id}.jsonl")))),
    ];
    candidates.into_iter().flatten().find(|path| path.symlink_metadata().is_ok())
}

/// The name of a lock of the lane, if there is one now.
fn a_lock(folder: &Path, row: &Row) -> Result<Option<String>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    for entry in entries {
        let name = entry.map_err(|error| error.to_string())?.file_name();
        if row.is_guarded_by(&name) {
            return Ok(Some(name.to_string_lossy().into_owned()));
        }
    }
    Ok(None)
}

fn verify(
    store: &Path,
    key: &SessionKey,
    is_right: impl Fn(&Row) -> bool,
) -> Result<Performed, ActError> {
    let look = |source| ActError::Look { path: store.to_owned(), source };
    let text = row_text(store, key).map_err(look)?;
    let row = text.as_deref().and_then(format::read_row);
    Ok(match row {
        Some(row) if is_right(&row) => Performed::of(Outcome::Done),
        _ => Performed {
            outcome: Outcome::Unverified,
            note: Some("the row does not show it a moment later".to_owned()),
        },
    })
}

fn row_text(store: &Path, key: &SessionKey) -> io::Result<Option<Vec<u8>>> {
    let file = file::open(store)?;
    let located = scan::locate(BufReader::with_capacity(64 << 10, file).bytes(), &key.0)?;
    Ok(located.map(|located| located.text))
}

/// Puts a row back as it was before `manifest`'s action, if it still is what the action left.
///
/// The gateway may have laid out the file anew meanwhile: rows are compared by their values.
pub(super) fn restore(
    actuator: &Actuator<'_>,
    id: ActionId,
    manifest: &RowManifest,
) -> Result<Performed, ActError> {
    let new_text = |text: &[u8]| {
        let value = |text: &[u8]| serde_json::from_slice::<Value>(text).ok();
        let left = value(manifest.after.as_bytes());
        if left.is_none() || value(text) != left {
            return Err(Refusal::Changed("the row has changed since".to_owned()));
        }
        Ok(manifest.before.clone().into_bytes())
    };
    let job = Rewrite {
        store: &manifest.store,
        key: &manifest.key,
        protocol: manifest.protocol,
        new_text: &new_text,
        still: &|| Ok(()),
    };
    let performed = rewrite(actuator, id, &job)?;
    if performed.outcome != Outcome::Done {
        return Ok(performed);
    }
    let before = format::read_row(manifest.before.as_bytes());
    verify(&manifest.store, &manifest.key, |row| Some(row) == before.as_ref())
}

/// Finishes or reverts a rewrite that a crash interrupted.
pub(super) fn recover(
    actuator: &Actuator<'_>,
    id: ActionId,
    manifest: &RowManifest,
) -> Result<Performed, ActError> {
    if actuator.reach == Reach::DryRun {
        return Ok(Performed::of(Outcome::WouldDo));
    }
    if let Some(payload) = &manifest.store_lock {
        store_lock::release(&manifest.store, payload);
    }
    exchange::recover(
        actuator,
        id,
        &manifest.store,
        &manifest.read,
        &|path| is_after(path, manifest),
        &|path| is_ours(path, manifest),
    )
}

fn is_after(store: &Path, manifest: &RowManifest) -> bool {
    row_text(store, &manifest.key)
        .is_ok_and(|text| text.is_some_and(|text| text == manifest.after.as_bytes()))
}

/// A store that is cut off is one that we did not finish: the gateway renames whole files only.
fn is_ours(left: &Path, manifest: &RowManifest) -> bool {
    let cut = |error: &io::Error| error.kind() == io::ErrorKind::InvalidData;
    match row_text(left, &manifest.key) {
        Ok(Some(text)) => text == manifest.after.as_bytes(),
        Ok(None) => std::fs::metadata(left).is_ok_and(|meta| meta.len() == 0),
        Err(error) => cut(&error),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
