//! What the tests of this module start from.

use rusqlite::Connection;
use tempfile::TempDir;

use super::{Instance, Intent, Journal, JournalError, schema};
use crate::model::{BootId, Policy, Subject, SubjectKind, UnixMillis};

/// The instant at which everything in these tests happens, unless it says otherwise.
pub(super) const NOW: UnixMillis = UnixMillis(1_795_159_292_734);

/// A watch folder, and the right to be its daemon.
pub(super) struct Folder {
    pub(super) dir: TempDir,
    pub(super) instance: Instance,
}

impl Folder {
    pub(super) fn new() -> Folder {
        let dir = tempfile::tempdir().unwrap();
        let instance = Instance::take(dir.path()).unwrap();
        Folder { dir, instance }
    }

    /// Returns the journal as the daemon opens it.
    pub(super) fn open(&self) -> Journal {
        Journal::open(&self.instance, NOW).unwrap().journal
    }

    /// Returns the journal as `pause` and `undo` open it.
    pub(super) fn beside(&self) -> Journal {
        Journal::open_beside(self.dir.path()).unwrap()
    }

    /// Returns a journal of version 1, as the first release made it. What it wrote then is written
    /// in the same way now.
    pub(super) fn version_1(&self) -> Journal {
        let path = self.dir.path().join("clawarden.db");
        let mut db = Connection::open(&path).unwrap();
        db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).unwrap();
        schema::migrate_by(&mut db, &schema::MIGRATIONS[..1], 0).unwrap();
        Journal::new(db, path)
    }

    /// Returns the database as a stranger would edit it.
    pub(super) fn raw(&self) -> Connection {
        Connection::open(self.dir.path().join("clawarden.db")).unwrap()
    }
}

pub(super) fn at(after_s: i64) -> UnixMillis {
    UnixMillis(NOW.0 + after_s * 1_000)
}

pub(super) fn lane(id: &str) -> Subject {
    Subject { kind: SubjectKind::Lane, id: id.to_owned() }
}

pub(super) fn intent(id: &str, intended_at: UnixMillis) -> Intent {
    Intent {
        pass_id: "p1".to_owned(),
        boot_id: BootId("b1".to_owned()),
        policy: Policy::StaleLane,
        subject: lane(id),
        incarnation: "i1".to_owned(),
        kind: "settle".to_owned(),
        detail: r#"{"store":"s"}"#.to_owned(),
        reason_code: "older_than_gateway".to_owned(),
        reason_text: "because".to_owned(),
        intended_at,
        undo_of: None,
    }
}

/// Leaves `journal` no page to grow by, as a full disk would.
pub(super) fn fill(journal: &Journal) {
    journal.db.pragma_update(None, "max_page_count", 1).unwrap();
}

#[track_caller]
pub(super) fn check_not_written<T: std::fmt::Debug>(result: Result<T, JournalError>, cause: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, JournalError::Write { .. }), "{error}");
    assert!(error.to_string().contains(cause), "{error}");
}
