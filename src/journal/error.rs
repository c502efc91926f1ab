//! What can go wrong with our own state.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;
use thiserror::Error;

use crate::model::{ActionId, Outcome};

/// Why the journal cannot be used. After any of these on a write, nothing was recorded and the
/// caller does not act.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The database file could not be made.
    #[error("create journal `{path}`{}", advice(.source.kind()))]
    Create {
        /// The database.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The database could not be opened, or its schema not brought up to date.
    #[error("open journal `{path}`{}", next_step(.source))]
    Open {
        /// The database.
        path: PathBuf,
        /// The cause.
        source: rusqlite::Error,
    },
    /// The database is damaged and could not be set aside.
    #[error("set corrupt journal `{path}` aside; move it away by hand")]
    SetAside {
        /// The database.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A later clawarden wrote the database.
    #[error(
        "use journal `{path}`: its schema is version {found}, and this clawarden knows up to \
         {known}; install the clawarden that wrote it, or move the file away to begin anew"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// A query failed, or a row holds what this version never writes.
    #[error("read {what} from journal `{path}`{}", next_step(.source))]
    Read {
        /// The database.
        path: PathBuf,
        /// What was asked for.
        what: &'static str,
        /// The cause.
        source: rusqlite::Error,
    },
    /// A change was not stored. It is undone as a whole.
    #[error("write {what} to journal `{path}`{}", next_step(.source))]
    Write {
        /// The database.
        path: PathBuf,
        /// What was to be written.
        what: &'static str,
        /// The cause.
        source: rusqlite::Error,
    },
    /// The second copy of the tombstones could not be read or written.
    #[error("use `{path}`, the second copy of the tombstones{}", advice(.source.kind()))]
    Copy {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// No such action, or it was pruned.
    #[error("find action {id} in the journal; `clawarden history` lists those it has")]
    NoSuchAction {
        /// The action.
        id: ActionId,
    },
    /// An action is concluded once.
    #[error("conclude action {id} as {wanted}: it is already concluded as {outcome}")]
    AlreadyConcluded {
        /// The action.
        id: ActionId,
        /// What the journal has.
        outcome: Outcome,
        /// What was to be written.
        wanted: Outcome,
    },
    /// An intended action was not a dry run.
    #[error("conclude action {id} as would_do: a dry run intends nothing")]
    NotADryRun {
        /// The action.
        id: ActionId,
    },
    /// What is still in doubt cannot be undone yet.
    #[error("undo action {id}: it is not concluded yet")]
    UndoInDoubt {
        /// The action.
        id: ActionId,
    },
    /// An action is undone once.
    #[error("undo action {id}: action {by} has already undone it")]
    AlreadyUndone {
        /// The action.
        id: ActionId,
        /// The undo.
        by: ActionId,
    },
}

impl JournalError {
    /// Returns true if the same call may succeed a moment later: another process was writing.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }

    /// Returns true if the database is damaged. The next start sets it aside.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        self.code().is_some_and(damaged)
    }

    fn code(&self) -> Option<ErrorCode> {
        match self {
            JournalError::Open { source, .. }
            | JournalError::Read { source, .. }
            | JournalError::Write { source, .. } => source.sqlite_error_code(),
            JournalError::Create { .. }
            | JournalError::SetAside { .. }
            | JournalError::Newer { .. }
            | JournalError::Copy { .. }
            | JournalError::NoSuchAction { .. }
            | JournalError::AlreadyConcluded { .. }
            | JournalError::NotADryRun { .. }
            | JournalError::UndoInDoubt { .. }
            | JournalError::AlreadyUndone { .. } => None,
        }
    }
}

/// Returns true if the file itself is broken, rather than the access to it.
fn damaged(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
}

fn next_step(source: &rusqlite::Error) -> &'static str {
    match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "; free space on its filesystem",
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            "; run clawarden as the owner of its state folder, on a writable filesystem"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "; another clawarden is writing, try again"
        }
        Some(code) if damaged(code) => "; the next `clawarden run` sets the damaged file aside",
        _ => "",
    }
}

/// Returns what the user can do about an I/O error in our own folder, as the end of a message.
pub(super) fn advice(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::PermissionDenied => "; run clawarden as the owner of its state folder",
        io::ErrorKind::ReadOnlyFilesystem => "; set STATE_DIRECTORY to a writable folder",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free space",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: i32, transient: bool, corrupt: bool, want: &str) {
        let source = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        let error = JournalError::Write { path: "/h/clawarden.db".into(), what: "x", source };
        assert_eq!((error.is_transient(), error.is_corrupt()), (transient, corrupt));
        assert_eq!(error.to_string(), format!("write x to journal `/h/clawarden.db`{want}"));
    }

    #[test]
    fn a_failed_write_names_the_file_and_the_next_step() {
        use rusqlite::ffi::{
            SQLITE_BUSY, SQLITE_CORRUPT, SQLITE_FULL, SQLITE_IOERR, SQLITE_NOTADB,
        };
        check(SQLITE_FULL, false, false, "; free space on its filesystem");
        check(SQLITE_BUSY, true, false, "; another clawarden is writing, try again");
        let aside = "; the next `clawarden run` sets the damaged file aside";
        check(SQLITE_CORRUPT, false, true, aside);
        check(SQLITE_NOTADB, false, true, aside);
        check(SQLITE_IOERR, false, false, "");
    }
}
