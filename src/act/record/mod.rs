//! Closes an acpx record in place, and opens it again.
//!
//! A record that stays open is taken up by the next start of the gateway, which starts a process
//! for it again (#73609). `closed` alone is undone by that start (2026.4.15); together with
//! `reset_on_next_ensure` it lasts (#130601).

mod edit;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use super::error::ActError;
use super::exchange::{self, BUSY, Exchanged, exchange, folder, ours_to_write, write_aside};
use super::quarantine::{Manifest, RecordManifest, aside};
use super::{Actuator, Performed, Reach, Step, file};
use crate::model::{ActionId, FileStamp, Outcome, RecordClose};

/// Largest record that is rewritten. It holds the session's messages; real ones of long sessions
/// have some MiB.
const RECORD_BYTES_MAX: usize = 32 << 20;

/// A record, as it was found right before it is closed.
pub(super) enum Found {
    /// It is what was judged; the text says what it becomes.
    Open(Box<Opened>),
    /// It is closed, or gone: there is nothing to do.
    Settled,
    /// It is no longer what was judged; the text says why.
    Changed(String),
}

/// An open record.
pub(super) struct Opened {
    file: File,
    /// What is to become of it.
    pub manifest: RecordManifest,
}

/// Compares the record with what was judged, and says what it becomes.
pub(super) fn look(close: &RecordClose) -> Result<Found, ActError> {
    let path = &close.path;
    if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(Found::Settled);
    }
    if let Err(why) = ours_to_write(path) {
        return Ok(Found::Changed(why));
    }
    let (file, read, bytes) = open(path, RECORD_BYTES_MAX)?;
    if read != close.expected {
        return Ok(Found::Changed("the gateway has written the record since".to_owned()));
    }
    let refuse = |why: String| ActError::EditRecord { path: path.clone(), why };
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(refuse(format!("it has more than {RECORD_BYTES_MAX} bytes")));
    }
    let after = edit::close(&bytes, &close.record_id, close.closed_at).map_err(refuse)?;
    let Some(after) = after else { return Ok(Found::Settled) };
    let text = |bytes| String::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8".to_owned()));
    let (before, after) = (text(bytes)?, text(after)?);
    let manifest = RecordManifest { path: path.clone(), read, before, after };
    Ok(Found::Open(Box::new(Opened { file, manifest })))
}

/// Opens a record and reads at most `bytes_max` bytes of it and one more.
fn open(path: &Path, bytes_max: usize) -> Result<(File, FileStamp, Vec<u8>), ActError> {
    let read = || -> io::Result<(File, FileStamp, Vec<u8>)> {
        let file = file::open(path)?;
        let stamp = file::stamp_of(&file.metadata()?);
        let mut bytes = Vec::new();
        (&file).take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
        Ok((file, stamp, bytes))
    };
    read().map_err(|source| ActError::Look { path: path.to_owned(), source })
}

impl Opened {
    /// Puts the new text in the place of the old one, whose file lies aside from then on. Returns
    /// `None` if the gateway wrote the record meanwhile. Its manifest must be in quarantine.
    pub(super) fn exchange<'a>(
        &self,
        actuator: &'a Actuator<'a>,
        id: ActionId,
    ) -> Result<Option<Exchanged<'a>>, ActError> {
        let RecordManifest { path, read, after, .. } = &self.manifest;
        let new = aside(folder(path), id);
        (actuator.before)(Step::WriteAside);
        let written =
            write_aside(&self.file, &new, |mut new: &File| new.write_all(after.as_bytes()));
        if written.is_ok() && file::stamp(path).is_ok_and(|now| now == *read) {
            return exchange(actuator, id, path, *read);
        }
        let _ = file::remove(&new);
        written.map(|()| None)
    }
}

/// Opens a record again that `manifest`'s action closed, if it still is what the action left.
pub(super) fn restore(
    actuator: &Actuator<'_>,
    id: ActionId,
    manifest: &RecordManifest,
) -> Result<Performed, ActError> {
    let RecordManifest { path, before, after, .. } = manifest;
    if let Err(why) = ours_to_write(path) {
        return Ok(Performed::changed(why));
    }
    let (file, read, bytes) = open(path, after.len())?;
    if bytes != after.as_bytes() {
        return Ok(Performed::changed("the record has changed since"));
    }
    if actuator.reach == Reach::DryRun {
        return Ok(Performed::of(Outcome::WouldDo));
    }
    let back =
        RecordManifest { path: path.clone(), read, before: after.clone(), after: before.clone() };
    (actuator.before)(Step::Begin);
    actuator.quarantine.begin(id, &Manifest::RestoreRecord(Box::new(back.clone())))?;
    match (Opened { file, manifest: back }).exchange(actuator, id)? {
        Some(exchanged) => exchanged.keep().map(|()| Performed::of(Outcome::Done)),
        None => Ok(Performed::changed(BUSY)),
    }
}

/// Ends a rewrite that a crash interrupted: finishes it if it `stands`, else reverts it as long as
/// what was read still lies aside.
pub(super) fn recover(
    actuator: &Actuator<'_>,
    id: ActionId,
    manifest: &RecordManifest,
    stands: bool,
) -> Result<Performed, ActError> {
    let RecordManifest { path, read, after, .. } = manifest;
    let bytes = |path: &Path| file::lock_stamp(path, after.len()).map(|stamp| stamp.bytes);
    let is_after = |path: &Path| bytes(path).is_ok_and(|bytes| bytes == after.as_bytes());
    let is_ours = |path: &Path| bytes(path).is_ok_and(|bytes| after.as_bytes().starts_with(&bytes));

    let is_aside = file::stamp(&aside(folder(path), id)).is_ok_and(|out| out == *read);
    if is_aside && !stands && is_after(path) {
        Exchanged::found(actuator, id, path, *read)?.revert()?;
        return Ok(Performed::changed("interrupted; the record was opened again"));
    }
    exchange::recover(actuator, id, path, read, &is_after, &is_ours)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
