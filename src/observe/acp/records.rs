//! Reads the session records of acpx, each again only when it has changed.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::glance::{Glance, Held};
use super::record::{Content, file_name, parse};
use super::workspaces::{LISTING_LASTS, RecordFolder};
use crate::model::{AcpxRecord, BackingId, FileStamp, Gap, Source, UnixMillis};
use crate::observe::files::{Gated, is_gone, is_settled, oddity, open_regular, stamp};

/// Most records of all folders together. The gateway never removes one.
const RECORDS_MAX: usize = 20_000;

/// Most names of one folder that are looked at.
const NAMES_MAX: usize = 100_000;

/// Largest record that is read: it holds every message of its session.
const RECORD_BYTES_MAX: u64 = 16 << 20;

/// Most broken records of one folder that are told one by one.
const GAPS_MAX: usize = 50;

/// All session records of a state directory.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RecordsRead {
    /// The records, in order of folder and name.
    pub records: Vec<Arc<AcpxRecord>>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

/// The last look at each folder of records.
#[derive(Debug, Default)]
pub struct RecordReader {
    folders: BTreeMap<PathBuf, Folder>,
}

#[derive(Debug)]
struct Folder {
    listed_at: UnixMillis,
    uid: u32,
    /// For how many names there was room, and whether there were more.
    room: usize,
    is_cut: bool,
    names: Gated<Vec<Name>>,
}

/// A file in a folder, and what it said when it was read.
#[derive(Debug)]
struct Name {
    path: PathBuf,
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    /// From before it was opened: what changes it later then differs.
    glance: Glance,
    /// Whether a later write shows.
    is_settled: bool,
    said: Said,
}

/// What a file says; `None`: it is none of acpx's session records.
type Said = Result<Option<Arc<AcpxRecord>>, String>;

impl RecordReader {
    /// Reads the records in all of `folders` at `now`, and forgets all others.
    ///
    /// A folder is listed when its modification time has moved: the gateway replaces records by
    /// rename (2026.4.15 to 2026.7.1). Each file is looked at each time, and read when it has
    /// changed. One that is no record is ignored, as is one that is not named after its record,
    /// for acpx never reads it. A folder that is missing has no records.
    pub fn read(&mut self, folders: &[RecordFolder], now: UnixMillis) -> RecordsRead {
        self.read_at_most(RECORDS_MAX, folders, now)
    }

    fn read_at_most(
        &mut self,
        max: usize,
        folders: &[RecordFolder],
        now: UnixMillis,
    ) -> RecordsRead {
        let mut old = std::mem::take(&mut self.folders);
        let mut all = RecordsRead::default();
        let (mut seen, mut count) = (Vec::new(), 0);
        for at in folders {
            let room = max - count;
            match look_at(at, old.remove(&at.path), now, room, &mut seen) {
                Ok(Some(mut folder)) => {
                    folder.read(at, now, &mut all);
                    count += folder.names.value.len();
                    if folder.is_cut {
                        let why = format!("more than {max} records, or too many names");
                        all.gaps.push(gap(&at.path, why));
                    }
                    self.folders.insert(at.path.clone(), folder);
                }
                Ok(None) => {}
                Err(reason) => all.gaps.push(gap(&at.path, reason)),
            }
        }
        all
    }
}

fn gap(path: &Path, reason: String) -> Gap {
    Gap { source: Source::Records, path: path.to_owned(), reason }
}

/// Lists a folder if it may have changed. `seen` are those that have been looked at under
/// another name.
fn look_at(
    at: &RecordFolder,
    old: Option<Folder>,
    now: UnixMillis,
    room: usize,
    seen: &mut Vec<(u64, u64)>,
) -> Result<Option<Folder>, String> {
    // Before the listing: what changes the folder later then differs from this stamp.
    let meta = match fs::metadata(&at.path) {
        Ok(meta) if meta.is_dir() => meta,
        Ok(_) => return Ok(None),
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let (stamp, uid) = (stamp(&meta), meta.uid());
    if seen.contains(&(stamp.dev, stamp.ino)) {
        return Ok(None);
    }
    seen.push((stamp.dev, stamp.ino));
    let known = match old {
        Some(old) if old.is_current(stamp, uid, now) && old.fits(room) => return Ok(Some(old)),
        // Who owns the folder is part of every record.
        Some(old) if old.uid == uid => old.names.value,
        _ => Vec::new(),
    };
    if !lies_in(&at.path, &at.base).map_err(|error| error.to_string())? {
        return Err("a link out of the state directory, or of the configured folder".to_owned());
    }
    let (names, is_cut) = list(&at.path, known, room).map_err(|error| error.to_string())?;
    Ok(Some(Folder { listed_at: now, uid, room, is_cut, names: Gated::new(stamp, now, names) }))
}

fn lies_in(path: &Path, base: &Path) -> io::Result<bool> {
    Ok(fs::canonicalize(path)?.starts_with(fs::canonicalize(base)?))
}

/// Returns the files that may be records, sorted, with what is `known` of them, and whether there
/// are too many.
fn list(folder: &Path, known: Vec<Name>, room: usize) -> io::Result<(Vec<Name>, bool)> {
    let mut known: BTreeMap<_, _> = known.into_iter().map(|name| (name.path, name.known)).collect();
    let (mut names, mut is_cut) = (Vec::new(), false);
    for (count, entry) in fs::read_dir(folder)?.enumerate() {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            is_cut |= count >= NAMES_MAX;
        } else if names.len() < room {
            names.push(Name { known: known.remove(&path).flatten(), path });
        } else {
            is_cut = true;
        }
        if is_cut {
            break;
        }
    }
    names.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((names, is_cut))
}

impl Folder {
    fn is_current(&self, stamp: FileStamp, uid: u32, now: UnixMillis) -> bool {
        self.names.is_current(stamp)
            && self.uid == uid
            && now >= self.listed_at
            && now.since(self.listed_at) < LISTING_LASTS
    }

    /// Returns true if a listing now would stop where this one did.
    fn fits(&self, room: usize) -> bool {
        self.room == room || (!self.is_cut && self.names.value.len() <= room)
    }

    fn read(&mut self, at: &RecordFolder, now: UnixMillis, all: &mut RecordsRead) {
        let held = match Held::open(&at.path) {
            Ok(held) => held,
            Err(error) => return all.gaps.push(gap(&at.path, error.to_string())),
        };
        let mut broken = 0_usize;
        for name in &mut self.names.value {
            match name.look(&held, self.uid, now) {
                Ok(record) => all.records.extend(record),
                Err(reason) => {
                    broken += 1;
                    if broken <= GAPS_MAX {
                        all.gaps.push(gap(&name.path, reason));
                    }
                }
            }
        }
        if broken > GAPS_MAX {
            let more = broken - GAPS_MAX;
            all.gaps.push(gap(&at.path, format!("{more} more records could not be read")));
        }
    }
}

impl Name {
    fn look(&mut self, held: &Held, folder_uid: u32, now: UnixMillis) -> Said {
        let glance = match held.glance(&self.path) {
            Ok(Some(glance)) => glance,
            Ok(None) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        if let Some(known) = &self.known
            && known.is_settled
            && known.glance == glance
        {
            return known.said.clone();
        }
        self.known = None;
        let Some((mut file, meta)) = open(&self.path)? else { return Ok(None) };
        let said = read(&mut file, &meta)
            .and_then(|json| parse(&json))
            .map(|content| content.and_then(|content| self.record(content, &meta, folder_uid)));
        let is_settled = is_settled(stamp(&meta), now);
        self.known = Some(Known { glance, is_settled, said: said.clone() });
        said
    }

    fn record(
        &self,
        content: Content,
        meta: &Metadata,
        folder_uid: u32,
    ) -> Option<Arc<AcpxRecord>> {
        let named_after_it = file_name(&content.record_id);
        self.path.file_name().filter(|name| **name == *named_after_it)?;
        Some(Arc::new(AcpxRecord {
            path: self.path.clone(),
            stamp: stamp(meta),
            uid: meta.uid(),
            folder_uid,
            record_id: content.record_id,
            session_key: content.session_key,
            backing_id: content.backing_id.map(BackingId),
            mode: content.mode,
            command: content.command,
            cwd: content.cwd,
            pid: content.pid,
            agent_started_at: content.agent_started_at,
            is_closed: content.is_closed,
            closed_at: content.closed_at,
        }))
    }
}

/// Opens a file; `None` if it is gone.
fn open(path: &Path) -> Result<Option<(fs::File, Metadata)>, String> {
    // To open a device can already do something to it.
    match fs::symlink_metadata(path).map(|meta| oddity(meta.file_type())) {
        Ok(Some(what)) => return Err(what.to_owned()),
        Ok(None) => {}
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    }
    match open_regular(path) {
        Ok(opened) => opened.map(Some).map_err(str::to_owned),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

fn read(file: &mut fs::File, meta: &Metadata) -> Result<Vec<u8>, String> {
    let too_large = || format!("larger than {} MiB", RECORD_BYTES_MAX >> 20);
    if meta.len() > RECORD_BYTES_MAX {
        return Err(too_large());
    }
    let mut json = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or_default());
    file.take(RECORD_BYTES_MAX + 1).read_to_end(&mut json).map_err(|error| error.to_string())?;
    if json.len() as u64 > RECORD_BYTES_MAX { Err(too_large()) } else { Ok(json) }
}

#[cfg(test)]
mod tests;
