//! Parts of the database that are kept in memory, too: what equals them is not written.

use rusqlite::{Connection, Transaction};

use super::{Journal, JournalError};

/// What must be written to get from a part as it is stored to what is wanted.
pub(super) trait Difference<S> {
    /// Returns true if nothing must be.
    fn is_empty(&self) -> bool;

    /// Writes it.
    fn write(&self, tx: &Transaction<'_>) -> rusqlite::Result<()>;

    /// Does to the part in memory what [`Difference::write`] did on disk.
    fn apply(&self, stored: &mut S);
}

impl Journal {
    /// Writes what differs from the stored part, all or nothing; if nothing does, there is no
    /// transaction at all. The part is kept in `kept`, and `read` from the database if it is not
    /// there yet. Returns what differed.
    ///
    /// # Errors
    ///
    /// Returns an error if nothing was written; the next call finds the same difference.
    pub(super) fn save<S, D: Difference<S>>(
        &mut self,
        what: &'static str,
        kept: impl Fn(&mut Journal) -> &mut Option<S>,
        read: impl FnOnce(&Connection) -> rusqlite::Result<S>,
        compare: impl FnOnce(&S) -> D,
    ) -> Result<D, JournalError> {
        let mut stored = match kept(self).take() {
            Some(stored) => stored,
            None => self.read(what, read)?,
        };
        let difference = compare(&stored);
        let result = if difference.is_empty() {
            Ok(())
        } else {
            self.write(what, |tx| difference.write(tx))
        };
        if result.is_ok() {
            difference.apply(&mut stored);
        }
        *kept(self) = Some(stored);
        result.map(|()| difference)
    }
}
