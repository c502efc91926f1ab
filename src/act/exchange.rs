//! Replaces a file that the gateway may write at any moment, and loses none of its writes.
//!
//! The new file is written beside the old one and exchanged with it atomically. What comes out of
//! the exchange must be the file that was read; else the gateway wrote in between, and it is
//! exchanged back.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::attributes::carry_over;
use super::error::ActError;
use super::quarantine::aside;
use super::{Actuator, Performed, Step, file};
use crate::model::{ActionId, FileStamp, Outcome};

/// How often a file is exchanged back before a human is asked. Each round means that the gateway
/// wrote within the microseconds between two system calls.
const ROUNDS_MAX: u32 = 8;

/// Why nothing was changed after all.
pub(super) const BUSY: &str = "the gateway wrote the file meanwhile";

/// A file whose successor is in its place. The file itself lies aside until [`Exchanged::keep`] or
/// [`Exchanged::revert`].
pub(super) struct Exchanged<'a> {
    actuator: &'a Actuator<'a>,
    id: ActionId,
    path: PathBuf,
    aside: PathBuf,
    read: FileStamp,
    ours: FileStamp,
}

/// Says why the file at `path` is not ours to write, if it is not. A file that another user owns
/// would become unreadable to its gateway, which then reads it as empty and overwrites it.
pub(super) fn ours_to_write(path: &Path) -> Result<(), String> {
    let euid = nix::unistd::geteuid().as_raw();
    let meta = |path: &Path| path.symlink_metadata().map_err(|error| error.to_string());
    let (file, folder) = (meta(path)?, folder(path));
    if !file.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    match [file.uid(), meta(folder)?.uid()].into_iter().find(|uid| *uid != euid) {
        Some(uid) => Err(format!("the file or its folder belongs to uid {uid}")),
        None => Ok(()),
    }
}

/// Writes the successor of `old` to `path`, which must be free: what `content` writes, with owner,
/// mode and extended attributes of `old`, synced.
pub(super) fn write_aside(
    old: &File,
    path: &Path,
    content: impl FnOnce(&File) -> io::Result<()>,
) -> Result<(), ActError> {
    let write = || -> io::Result<()> {
        let new = file::create(path, 0o600)?;
        content(&new)?;
        carry_over(old, &new)?;
        new.sync_all()
    };
    write().map_err(|source| ActError::WriteAside { path: path.to_owned(), source })
}

/// Exchanges the file at `path` for what lies aside. Returns `None` if the gateway wrote it since
/// it was `read`: its newest write is in place then, and nothing lies aside.
pub(super) fn exchange<'a>(
    actuator: &'a Actuator<'a>,
    id: ActionId,
    path: &Path,
    read: FileStamp,
) -> Result<Option<Exchanged<'a>>, ActError> {
    let aside = aside(folder(path), id);
    let failed = |source| ActError::Exchange { path: path.to_owned(), source };
    let ours = file::stamp(&aside).map_err(failed)?;
    (actuator.before)(Step::Move);
    if let Err(source) = file::exchange(path, &aside) {
        let _ = file::remove(&aside);
        return Err(failed(source));
    }
    (actuator.before)(Step::Compare);
    let exchanged = Exchanged { actuator, id, path: path.to_owned(), aside, read, ours };
    let rounds = exchanged.put_newest_back(&read, &ours)?;
    if rounds == 0 {
        return Ok(Some(exchanged));
    }
    exchanged.drop_superseded(rounds)?;
    Ok(None)
}

impl<'a> Exchanged<'a> {
    /// Takes up an exchange that a crash interrupted: what was read lies aside.
    pub(super) fn found(
        actuator: &'a Actuator<'a>,
        id: ActionId,
        path: &Path,
        read: FileStamp,
    ) -> Result<Exchanged<'a>, ActError> {
        let look = |source| ActError::Look { path: path.to_owned(), source };
        let ours = file::stamp(path).map_err(look)?;
        let aside = aside(folder(path), id);
        Ok(Exchanged { actuator, id, path: path.to_owned(), aside, read, ours })
    }

    /// Returns true if nobody has written the file since the exchange.
    pub(super) fn is_in_place(&self) -> bool {
        file::stamp(&self.path).is_ok_and(|now| now == self.ours)
    }

    /// Removes what lies aside: the exchange stands.
    pub(super) fn keep(self) -> Result<(), ActError> {
        (self.actuator.before)(Step::Remove);
        self.remove_aside()
    }

    /// Exchanges back, the very file that was read, and returns true; false if the gateway has
    /// written it since, whose write then stays.
    pub(super) fn revert(self) -> Result<bool, ActError> {
        if !self.is_in_place() {
            self.keep()?;
            return Ok(false);
        }
        (self.actuator.before)(Step::Move);
        file::exchange(&self.path, &self.aside).map_err(self.stuck())?;
        (self.actuator.before)(Step::Compare);
        let rounds = self.put_newest_back(&self.ours, &self.read)?;
        self.drop_superseded(rounds)?;
        Ok(rounds == 0)
    }

    /// Exchanges until the place holds the newest write, and returns how often that took.
    ///
    /// What comes out of an exchange must be what was in place before: first `expected`, then what
    /// the exchange before put there. Anything else is a newer write of the gateway, and goes back
    /// in.
    fn put_newest_back(&self, expected: &FileStamp, placed: &FileStamp) -> Result<u32, ActError> {
        let (mut expected, mut placed) = (*expected, *placed);
        for round in 0..ROUNDS_MAX {
            let out = file::stamp(&self.aside).map_err(self.stuck())?;
            if out == expected {
                return Ok(round);
            }
            file::exchange(&self.path, &self.aside).map_err(self.stuck())?;
            (expected, placed) = (placed, out);
        }
        Err(self.stuck()(io::ErrorKind::ResourceBusy.into()))
    }

    /// Removes what lies aside after `rounds` exchanges back. The gateway wrote twice within
    /// microseconds if there were several, and its second write may not know of its first.
    fn drop_superseded(self, rounds: u32) -> Result<(), ActError> {
        if rounds > 1 {
            keep_superseded(self.actuator, self.id, &self.aside)?;
        }
        self.keep()
    }

    fn remove_aside(&self) -> Result<(), ActError> {
        file::remove(&self.aside).map_err(self.stuck())?;
        file::sync_folder(folder(&self.path)).map_err(self.stuck())
    }

    fn stuck(&self) -> impl Fn(io::Error) -> ActError {
        let (path, moved) = (self.path.clone(), self.aside.clone());
        move |source| ActError::Return { path: path.clone(), moved: moved.clone(), source }
    }
}

/// Finishes or reverts an exchange that a crash interrupted, by what lies where: `is_after` and
/// `is_ours` tell whether a file holds what the action writes, and whether one holds that, or the
/// beginning of it.
pub(super) fn recover(
    actuator: &Actuator<'_>,
    id: ActionId,
    path: &Path,
    read: &FileStamp,
    is_after: &dyn Fn(&Path) -> bool,
    is_ours: &dyn Fn(&Path) -> bool,
) -> Result<Performed, ActError> {
    let left = aside(folder(path), id);
    let stuck = |source| ActError::Return { path: path.to_owned(), moved: left.clone(), source };
    let Ok(out) = file::stamp(&left) else {
        return Ok(if is_after(path) {
            Performed::of(Outcome::Done)
        } else {
            Performed::changed("interrupted before the file was exchanged")
        });
    };
    let outcome = if out == *read {
        // The exchange took place, and what came out is what was read.
        Performed::of(Outcome::Done)
    } else if is_ours(&left) {
        Performed::changed("interrupted before the file was exchanged")
    } else if is_after(path) {
        // The gateway's own write came out, and ours is in its place.
        file::exchange(path, &left).map_err(stuck)?;
        Performed::changed("interrupted after the gateway had written; its file was put back")
    } else {
        keep_superseded(actuator, id, &left)?;
        Performed::changed("the gateway has written since; an older file was kept in quarantine")
    };
    file::remove(&left).map_err(stuck)?;
    file::sync_folder(folder(path)).map_err(stuck)?;
    Ok(outcome)
}

fn keep_superseded(actuator: &Actuator<'_>, id: ActionId, aside: &Path) -> Result<(), ActError> {
    let kept = actuator.quarantine.folder(id).join("superseded.json");
    let copy = || -> io::Result<()> {
        let mut out = file::create(&kept, 0o600)?;
        io::copy(&mut file::open(aside)?, &mut out)?;
        out.sync_all()
    };
    copy().map_err(|source| ActError::Quarantine { path: kept.clone(), source })
}

/// The folder that holds `path`.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}
