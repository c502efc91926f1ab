//! One place that is changed, and changed back.

use std::fs::{File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::rows::{self, There};
use super::{Planned, PurgePart};
use crate::act::error::ActError;
use crate::act::exchange::{exchange, folder, write_aside};
use crate::act::quarantine::aside;
use crate::act::{Actuator, Step, file};
use crate::model::{ActionId, FileStamp};

/// A place, and what it says before and after.
pub(super) struct Change {
    id: ActionId,
    planned: Planned,
}

/// What a place says now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// What it said before.
    Before,
    /// What it is to say.
    After,
    /// Something else.
    Other,
}

impl Change {
    pub(super) fn new(id: ActionId, planned: Planned) -> Change {
        Change { id, planned }
    }

    /// The file or database.
    pub(super) fn path(&self) -> &Path {
        match &self.planned.part {
            PurgePart::Rows { database, .. } => database,
            PurgePart::File { path, .. } => path,
        }
    }

    /// Says what is there now.
    pub(super) fn state(&self) -> Result<State, ActError> {
        match &self.planned.part {
            PurgePart::Rows { database, rows, takes } => {
                let there = rows::there(database, rows).map_err(|error| self.look(sql(error)))?;
                Ok(match (there, takes) {
                    (There::All, true) | (There::None, false) => State::Before,
                    (There::None, true) | (There::All, false) => State::After,
                    (There::Other, _) => State::Other,
                })
            }
            PurgePart::File { path, .. } => {
                let now = bytes(path).map_err(|error| self.look(error))?;
                Ok(match () {
                    () if now == self.planned.before => State::Before,
                    () if now == self.planned.after => State::After,
                    () => State::Other,
                })
            }
        }
    }

    /// Makes it say what it is to say, if it says what it said before.
    ///
    /// # Errors
    ///
    /// Returns why it was not, for people; it then says what it said before, or what somebody else
    /// wrote.
    pub(super) fn apply(&self, actuator: &Actuator<'_>) -> Result<(), String> {
        let text = |error: ActError| crate_error(&error);
        match &self.planned.part {
            PurgePart::Rows { database, rows, takes } => {
                (actuator.before)(Step::Move);
                self.rows(database, rows, *takes).map_err(text)?
            }
            PurgePart::File { .. } => {
                let (before, after) = self.planned.texts();
                self.file(actuator, before, after).map_err(text)?
            }
        }
        .then_some(())
        .ok_or_else(|| format!("{} was written meanwhile", self.path().display()))
    }

    /// Makes it say what it said before, unless it does.
    pub(super) fn revert(&self, actuator: &Actuator<'_>) -> Result<(), ActError> {
        // What could not be removed lies in the way.
        self.settle()?;
        match self.state()? {
            State::Before => return Ok(()),
            State::After => {}
            State::Other => {
                return Err(self.look(io::Error::other(format!(
                    "somebody else wrote it; clawarden undo {} puts back what was taken out of it",
                    self.id
                ))));
            }
        }
        let is_done = match &self.planned.part {
            PurgePart::Rows { database, rows, takes } => self.rows(database, rows, !takes)?,
            PurgePart::File { .. } => {
                let (before, after) = self.planned.texts();
                self.file(actuator, after, before)?
            }
        };
        let busy = || self.look(io::ErrorKind::ResourceBusy.into());
        if is_done { Ok(()) } else { Err(busy()) }
    }

    fn rows(
        &self,
        database: &Path,
        rows: &[crate::model::RowCopy],
        takes: bool,
    ) -> Result<bool, ActError> {
        let done = if takes { rows::take(database, rows) } else { rows::put(database, rows) };
        done.map_err(|error| ActError::Exchange { path: database.to_owned(), source: sql(error) })
    }

    /// Makes the file that says `from` say `to`; `None` is no file. False if it says something else,
    /// also by a write of this moment.
    fn file(
        &self,
        actuator: &Actuator<'_>,
        from: Option<&[u8]>,
        to: Option<&[u8]>,
    ) -> Result<bool, ActError> {
        let (path, aside) = (self.path(), self.aside());
        let failed = |source| ActError::Exchange { path: path.to_owned(), source };
        let PurgePart::File { mode, .. } = &self.planned.part else { return Ok(false) };
        (actuator.before)(Step::WriteAside);
        let old = held(path).map_err(failed)?;
        if old.as_ref().map(|old| &*old.bytes) != from {
            return Ok(false);
        }
        match (old, to) {
            (Some(old), Some(to)) => {
                write_aside(&old.file, &aside, |mut new: &File| new.write_all(to))?;
                match exchange(actuator, self.id, path, old.stamp)? {
                    Some(exchanged) => exchanged.keep().map(|()| true),
                    None => Ok(false),
                }
            }
            (Some(old), None) => {
                (actuator.before)(Step::Move);
                file::rename_noreplace(path, &aside).map_err(failed)?;
                (actuator.before)(Step::Compare);
                if file::stamp(&aside).map_err(failed)? != old.stamp {
                    file::rename_noreplace(&aside, path).map_err(failed)?;
                    return Ok(false);
                }
                self.drop_aside(actuator).map(|()| true)
            }
            (None, Some(to)) => {
                // Whatever the umask of whoever calls this says.
                let mode = Permissions::from_mode(*mode);
                file::create_with(&aside, to, 0o600).map_err(failed)?;
                std::fs::set_permissions(&aside, mode).map_err(failed)?;
                (actuator.before)(Step::Move);
                file::rename_noreplace(&aside, path).map_err(failed)?;
                file::sync_folder(folder(path)).map_err(failed).map(|()| true)
            }
            (None, None) => Ok(true),
        }
    }

    /// Removes or takes back what a crash or failure left aside, so that the place alone says how far
    /// it came.
    pub(super) fn settle(&self) -> Result<(), ActError> {
        let PurgePart::File { path, .. } = &self.planned.part else { return Ok(()) };
        let aside = self.aside();
        let Some(left) = bytes(&aside).map_err(|error| self.look(error))? else { return Ok(()) };
        let stuck = |source| ActError::Return { path: path.clone(), moved: aside.clone(), source };
        let now = bytes(path).map_err(|error| self.look(error))?;
        if now.is_none() && Some(&left) == self.planned.before.as_ref() {
            // Moved away, and not yet gone for good.
            return file::rename_noreplace(&aside, path).map_err(stuck);
        }
        let (before, after) = self.planned.texts();
        // It may have been cut short.
        let is_new = after.is_some_and(|after| after.starts_with(&left));
        if !is_new && now.as_deref() == after {
            // What came out of the exchange.
            file::exchange(path, &aside).map_err(stuck)?;
        } else if !is_new && Some(&*left) != before {
            return Err(stuck(io::Error::other("what lies there is none of ours")));
        }
        file::remove(&aside).map_err(stuck)?;
        file::sync_folder(folder(path)).map_err(stuck)
    }

    fn drop_aside(&self, actuator: &Actuator<'_>) -> Result<(), ActError> {
        let (path, aside) = (self.path(), self.aside());
        let failed = |source| ActError::Exchange { path: path.to_owned(), source };
        (actuator.before)(Step::Remove);
        file::remove(&aside).map_err(failed)?;
        file::sync_folder(folder(path)).map_err(failed)
    }

    fn aside(&self) -> PathBuf {
        aside(folder(self.path()), self.id)
    }

    fn look(&self, source: io::Error) -> ActError {
        ActError::Look { path: self.path().to_owned(), source }
    }
}

impl Planned {
    fn texts(&self) -> (Option<&[u8]>, Option<&[u8]>) {
        (self.before.as_deref(), self.after.as_deref())
    }
}

/// A file, and what it says.
struct Held {
    file: File,
    stamp: FileStamp,
    bytes: Vec<u8>,
}

fn bytes(path: &Path) -> io::Result<Option<Vec<u8>>> {
    Ok(held(path)?.map(|held| held.bytes))
}

/// The stamp is older than the bytes: whoever writes in between is found by it.
fn held(path: &Path) -> io::Result<Option<Held>> {
    match file::open(path) {
        Ok(mut file) => {
            let stamp = file::stamp_of(&file.metadata()?);
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(Some(Held { file, stamp, bytes }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn sql(error: rusqlite::Error) -> io::Error {
    io::Error::other(error)
}

/// An error with its causes, in one line.
fn crate_error(error: &ActError) -> String {
    use std::error::Error;
    let mut text = format!("failed to {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
