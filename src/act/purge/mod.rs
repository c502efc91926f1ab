//! Takes a task out of every place that names it, or puts it back, with its gateway stopped: all of it
//! or nothing.
//!
//! What is about to change is copied first, as it is and as it will be. Each place is then changed by
//! itself, files by exchange and databases in a transaction, and the gateway is looked for before each:
//! one that starts in the middle finds everything as it was. So does whoever looks after a crash.

mod change;
mod members;
mod rows;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::ActError;
use super::exchange::ours_to_write;
use super::quarantine::Manifest;
use super::{Actuator, Performed, Reach, Step, file};
use crate::model::{ActionId, FileStamp, Outcome, RowCopy, TaskPurge};
use change::{Change, State};
use rows::There;

/// Largest file that is rewritten.
const FILE_BYTES_MAX: usize = 256 << 20;

/// What it takes to finish, revert or undo a purge, or its undo. The bytes of each file before and
/// after lie beside it: `0.before`, `0.after`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PurgeManifest {
    /// Every place, in the order in which it is changed.
    pub parts: Vec<PurgePart>,
}

/// One place that is changed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "kind")]
pub enum PurgePart {
    /// Rows of a database.
    Rows {
        /// The database.
        database: PathBuf,
        /// The rows.
        rows: Vec<RowCopy>,
        /// Whether they are taken out; else they are put back.
        takes: bool,
    },
    /// A file.
    File {
        /// The file.
        path: PathBuf,
        /// As it was read; `None` if it was not there.
        read: Option<FileStamp>,
        /// Its permission bits.
        mode: u32,
        /// The members that are taken out of it; empty: the whole file goes.
        members: Vec<Member>,
        /// Whether it is there afterwards.
        stays: bool,
    },
}

/// A member of a JSON object.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The keys that lead there.
    pub at: Vec<String>,
    /// Key and value, as they were written.
    pub text: String,
}

/// A place, and what its file says before and after.
struct Planned {
    part: PurgePart,
    before: Option<Vec<u8>>,
    after: Option<Vec<u8>>,
}

/// Takes out everything that `purge` names.
pub(super) fn purge(
    actuator: &Actuator<'_>,
    id: ActionId,
    purge: &TaskPurge,
) -> Result<Performed, ActError> {
    if let Err(why) = (actuator.stopped)() {
        return Ok(Performed::changed(why));
    }
    let planned = match plan(purge)? {
        Ok(planned) => planned,
        Err(why) => return Ok(Performed::changed(why)),
    };
    if planned.is_empty() {
        let note = Some("no place names it any more".to_owned());
        return Ok(Performed { outcome: Outcome::AlreadyGone, note });
    }
    let note = format!("taken out of: {}", purge.places().join(", "));
    carry_out(actuator, id, planned, Manifest::PurgeTask, note)
}

/// Puts everything back that `manifest`'s action took out.
pub(super) fn undo(
    actuator: &Actuator<'_>,
    undone: ActionId,
    id: ActionId,
    manifest: &PurgeManifest,
) -> Result<Performed, ActError> {
    if let Err(why) = (actuator.stopped)() {
        return Ok(Performed::changed(why));
    }
    let mut planned = Vec::new();
    for (number, part) in manifest.parts.iter().enumerate() {
        let kept = |when| kept(actuator, undone, number, when);
        match back(actuator, part, kept("before")?, kept("after")?)? {
            Ok(part) => planned.extend(part),
            Err(why) => return Ok(Performed::changed(why)),
        }
    }
    if planned.is_empty() {
        return Ok(Performed::changed("everything is as it was before it"));
    }
    // The other way round: what was taken out last is put back first.
    planned.reverse();
    carry_out(actuator, id, planned, Manifest::RestoreTask, "everything is back".to_owned())
}

/// Says what becomes of each place, or why nothing can.
fn plan(purge: &TaskPurge) -> Result<Result<Vec<Planned>, String>, ActError> {
    let mut planned = Vec::new();
    for (database, rows) in purge.rows.iter().filter(|(_, rows)| !rows.is_empty()) {
        if let Err(why) = ours_to_write(database) {
            return Ok(Err(format!("{}: {why}", database.display())));
        }
        let part = PurgePart::Rows { database: database.clone(), rows: rows.clone(), takes: true };
        planned.push(Planned { part, before: None, after: None });
    }
    let edits = purge.members.iter().map(|(path, read, at)| (path, read, Some(at)));
    let files = purge.files.iter().map(|(path, read)| (path, read, None));
    for (path, read, at) in edits.chain(files) {
        match plan_file(path, read, at)? {
            Ok(part) => planned.push(part),
            Err(why) => return Ok(Err(format!("{}: {why}", path.display()))),
        }
    }
    Ok(Ok(planned))
}

fn plan_file(
    path: &Path,
    read: &FileStamp,
    at: Option<&Vec<String>>,
) -> Result<Result<Planned, String>, ActError> {
    if let Err(why) = ours_to_write(path) {
        return Ok(Err(why));
    }
    let (stamp, mode, before) = read_file(path)?;
    if stamp != *read {
        return Ok(Err("it has changed since it was looked at".to_owned()));
    }
    let (after, members) = match at {
        None => (None, Vec::new()),
        Some(at) => match members::take(&before, at) {
            Ok(Some((after, text))) => {
                let Ok(text) = String::from_utf8(text) else {
                    return Ok(Err("it is not UTF-8".to_owned()));
                };
                (Some(after), vec![Member { at: at.clone(), text }])
            }
            Ok(None) => return Ok(Err("the entry is gone".to_owned())),
            Err(why) => return Ok(Err(why)),
        },
    };
    let stays = after.is_some();
    let part = PurgePart::File { path: path.to_owned(), read: Some(stamp), mode, members, stays };
    Ok(Ok(Planned { part, before: Some(before), after }))
}

/// The way back of one place; `None` if it is as it was before. A file that says what the action left
/// gets its bytes back; into one that was written since, only what was taken out is put back.
fn back(
    actuator: &Actuator<'_>,
    part: &PurgePart,
    before: Option<Vec<u8>>,
    after: Option<Vec<u8>>,
) -> Result<Result<Option<Planned>, String>, ActError> {
    match part {
        PurgePart::Rows { database, rows, takes } => {
            // Even to look, it is opened for writing.
            let is_back = actuator.reach == Reach::Live
                && rows::there(database, rows).is_ok_and(|there| there == There::All);
            let part =
                PurgePart::Rows { database: database.clone(), rows: rows.clone(), takes: !takes };
            Ok(Ok((!is_back).then_some(Planned { part, before: None, after: None })))
        }
        PurgePart::File { path, mode, stays: false, .. } => {
            if path.symlink_metadata().is_ok() {
                let is_back = read_file(path).is_ok_and(|(_, _, now)| Some(now) == before);
                let why = || format!("{} is there again", path.display());
                return Ok(if is_back { Ok(None) } else { Err(why()) });
            }
            let part = file_part(path, None, *mode);
            Ok(Ok(Some(Planned { part, before: None, after: before })))
        }
        PurgePart::File { path, members, .. } => {
            if let Err(why) = ours_to_write(path) {
                return Ok(Err(format!("{}: {why}", path.display())));
            }
            let (read, mode, now) = read_file(path)?;
            let then = match before {
                Some(before) if Some(&now) == after.as_ref() => before,
                _ => match put_back(&now, members) {
                    Ok(then) => then,
                    Err(why) => return Ok(Err(format!("{}: {why}", path.display()))),
                },
            };
            if then == now {
                return Ok(Ok(None));
            }
            let part = file_part(path, Some(read), mode);
            Ok(Ok(Some(Planned { part, before: Some(now), after: Some(then) })))
        }
    }
}

fn put_back(now: &[u8], members: &[Member]) -> Result<Vec<u8>, String> {
    let mut then = now.to_vec();
    for member in members {
        match members::put(&then, &member.at, member.text.as_bytes())? {
            Some(with) => then = with,
            None => match members::take(&then, &member.at)? {
                Some((_, text)) if text == member.text.as_bytes() => {}
                _ => return Err("it names another one of that name by now".to_owned()),
            },
        }
    }
    Ok(then)
}

fn file_part(path: &Path, read: Option<FileStamp>, mode: u32) -> PurgePart {
    PurgePart::File { path: path.to_owned(), read, mode, members: Vec::new(), stays: true }
}

fn carry_out(
    actuator: &Actuator<'_>,
    id: ActionId,
    planned: Vec<Planned>,
    manifest: impl FnOnce(Box<PurgeManifest>) -> Manifest,
    note: String,
) -> Result<Performed, ActError> {
    if actuator.reach == Reach::DryRun {
        return Ok(Performed::of(Outcome::WouldDo));
    }
    (actuator.before)(Step::Begin);
    let parts: Vec<_> = planned.iter().map(|planned| planned.part.clone()).collect();
    actuator.quarantine.begin(id, &manifest(Box::new(PurgeManifest { parts })))?;
    for (number, planned) in planned.iter().enumerate() {
        keep(actuator, id, number, "before", planned.before.as_deref())?;
        keep(actuator, id, number, "after", planned.after.as_deref())?;
    }
    let changes: Vec<_> = planned.into_iter().map(|planned| Change::new(id, planned)).collect();
    match apply(actuator, &changes) {
        Ok(()) => Ok(Performed { outcome: Outcome::Done, note: Some(note) }),
        Err((why, begun)) => {
            revert(actuator, &changes[..begun])?;
            Ok(Performed::changed(format!("{why}; everything is as it was")))
        }
    }
}

/// Changes place after place, and looks at all of them afterwards. Returns why not, and how many of
/// them were changed until then.
fn apply(actuator: &Actuator<'_>, changes: &[Change]) -> Result<(), (String, usize)> {
    for (number, change) in changes.iter().enumerate() {
        (actuator.stopped)().map_err(|why| (why, number))?;
        if let Err(why) = change.apply(actuator) {
            let is_begun = change.settle().is_err() || matches!(change.state(), Ok(State::After));
            return Err((why, number + usize::from(is_begun)));
        }
    }
    let all = changes.len();
    (actuator.before)(Step::Verify);
    for change in changes {
        if change.state().map_err(|error| (error.to_string(), all))? != State::After {
            return Err((format!("{} was written meanwhile", change.path().display()), all));
        }
    }
    (actuator.stopped)().map_err(|why| (why, all))
}

fn revert(actuator: &Actuator<'_>, changes: &[Change]) -> Result<(), ActError> {
    let mut first = None;
    for change in changes.iter().rev() {
        if let Err(error) = change.revert(actuator) {
            first.get_or_insert(error);
        }
    }
    first.map_or(Ok(()), Err)
}

/// Brings a purge, or its undo, to an end that a crash interrupted: finished if every place was changed,
/// else everything is put back. Not beside a gateway: it holds tasks in its memory.
pub(super) fn recover(
    actuator: &Actuator<'_>,
    id: ActionId,
    manifest: &PurgeManifest,
) -> Result<Performed, ActError> {
    let mut changes = Vec::new();
    for (number, part) in manifest.parts.iter().enumerate() {
        let before = kept(actuator, id, number, "before")?;
        let after = kept(actuator, id, number, "after")?;
        let (wants_before, wants_after) = part.wants();
        if before.is_some() != wants_before || after.is_some() != wants_after {
            return Ok(Performed::changed("interrupted before anything was changed"));
        }
        changes.push(Change::new(id, Planned { part: part.clone(), before, after }));
    }
    if let Err(why) = (actuator.stopped)() {
        let places: Vec<_> =
            changes.iter().map(|change| change.path().display().to_string()).collect();
        let note = format!(
            "interrupted in the middle, and {why}; stop it and call clawarden undo {id} to have \
             everything back: {}",
            places.join(", ")
        );
        return Ok(Performed { outcome: Outcome::Unverified, note: Some(note) });
    }
    for change in &changes {
        change.settle()?;
    }
    let states: Vec<_> = changes.iter().map(Change::state).collect::<Result<_, _>>()?;
    if states.iter().all(|state| *state == State::After) {
        return Ok(Performed::of(Outcome::Done));
    }
    revert(actuator, &changes)?;
    Ok(Performed::changed("interrupted; everything was put back"))
}

impl PurgePart {
    /// Whether its file was there before, and is there after.
    fn wants(&self) -> (bool, bool) {
        match self {
            PurgePart::Rows { .. } => (false, false),
            PurgePart::File { read, stays, .. } => (read.is_some(), *stays),
        }
    }
}

fn read_file(path: &Path) -> Result<(FileStamp, u32, Vec<u8>), ActError> {
    use std::io::Read;
    use std::os::unix::fs::MetadataExt;
    let read = || -> std::io::Result<_> {
        let file = file::open(path)?;
        let meta = file.metadata()?;
        if meta.len() > FILE_BYTES_MAX as u64 {
            return Err(std::io::Error::other(format!("larger than {} MiB", FILE_BYTES_MAX >> 20)));
        }
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX as u64).read_to_end(&mut bytes)?;
        Ok((file::stamp_of(&meta), meta.mode() & 0o7777, bytes))
    };
    read().map_err(|source| ActError::Look { path: path.to_owned(), source })
}

fn keep(
    actuator: &Actuator<'_>,
    id: ActionId,
    number: usize,
    when: &str,
    bytes: Option<&[u8]>,
) -> Result<(), ActError> {
    let Some(bytes) = bytes else { return Ok(()) };
    let folder = actuator.quarantine.folder(id);
    let path = folder.join(format!("{number}.{when}"));
    file::create_whole(&path, bytes, 0o600)
        .and_then(|()| file::sync_folder(&folder))
        .map_err(|source| ActError::Quarantine { path, source })
}

fn kept(
    actuator: &Actuator<'_>,
    id: ActionId,
    number: usize,
    when: &str,
) -> Result<Option<Vec<u8>>, ActError> {
    let path = actuator.quarantine.folder(id).join(format!("{number}.{when}"));
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ActError::Manifest { path, source }),
    }
}
