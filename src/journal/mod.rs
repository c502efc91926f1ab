//! Our own durable state: intents and outcomes, history, off switches, and who may write it.
//!
//! One folder per watched state directory holds `clawarden.db`, the quarantine, the locks and a
//! note of what it is about. An intent is on disk before its action, and what limits further
//! actions is stored with it. Foreign data is read leniently elsewhere; here, a row that this
//! version cannot have written is an error.
//!
//! | file | what |
//! |---|---|
//! | `home` | where our state lies |
//! | `instance` | one daemon at a time, one action at a time |
//! | `open`, `schema` | the database, private and whole, and its versions |
//! | `actions`, `record` | intents, outcomes, what is in doubt |
//! | `verdicts` | which judgements changed |
//! | `history` | what passes remember |
//! | `ledger` | which processes were seen below a gateway |
//! | `stored` | what is kept in memory, so that only changes are written |
//! | `controls` | pause and protect |
//! | `tombstones`, `copy` | to whom backing sessions belong, twice |
//! | `retention` | what is forgotten |

mod actions;
mod controls;
mod copy;
mod error;
mod history;
mod home;
mod instance;
mod ledger;
mod open;
mod record;
mod retention;
mod row;
mod schema;
mod stored;
mod tombstones;
mod verdicts;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::model::{History, Policy, UnixMillis};

pub use error::JournalError;
pub use home::{HomeError, QUARANTINE, prepare, state_home, watch_dir};
pub use instance::{ActionLock, Instance, InstanceError};
pub use open::Opened;
pub use record::{Conclusion, Intent, Record};
pub use verdicts::{Absent, Changes, RESOLVED, VerdictChange, VerdictNote};

/// The durable memory of one watch folder.
#[derive(Debug)]
pub struct Journal {
    db: Connection,
    path: PathBuf,
    /// The history as the database has it, once it was read: what equals it is not written.
    stored: Option<History>,
    /// The last judgement of every subject as the database has it, once it was read.
    standing: Option<verdicts::Standing>,
    /// The ledger of one boot as the database has it, once it was read.
    ledger: Option<ledger::Stored>,
    /// The tombstones as the database has them, once they were read.
    tombstones: Option<tombstones::Kept>,
    copy: copy::Copy,
}

/// Which entries of the journal to list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HistoryFilter {
    /// Only from this instant on.
    pub since: Option<UnixMillis>,
    /// Only of the subject with this id.
    pub subject: Option<String>,
    /// Only of this policy.
    pub policy: Option<Policy>,
    /// Only so many of the newest.
    pub limit: Option<u32>,
}

impl Journal {
    fn new(db: Connection, path: PathBuf) -> Journal {
        let copy = copy::Copy::beside(&path);
        Journal { db, path, stored: None, standing: None, ledger: None, tombstones: None, copy }
    }

    /// Returns the database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read<T>(
        &self,
        what: &'static str,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        query(&self.db).map_err(|source| JournalError::Read {
            path: self.path.clone(),
            what,
            source,
        })
    }

    /// Carries out `change` as a whole or not at all. It is on disk when this returns.
    fn write<T>(
        &mut self,
        what: &'static str,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        transact(&mut self.db, change).map_err(|source| JournalError::Write {
            path: self.path.clone(),
            what,
            source,
        })
    }
}

fn transact<T>(
    db: &mut Connection,
    change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let result = change(&tx)?;
    tx.commit()?;
    Ok(result)
}

#[cfg(test)]
mod testing;
