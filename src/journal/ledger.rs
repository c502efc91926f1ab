//! Which processes were seen below a gateway, stored only where that changed.

use std::time::Duration;

use rusqlite::{Connection, Row, Transaction, params};

use super::history::apart;
use super::row::{bits, millis, process};
use super::stored::Difference;
use super::{Journal, JournalError, schema};
use crate::model::{BootId, Descent, Ledger, ProcessId, SessionKey, UnixMillis};

/// When a gateway was last seen may be this much out of date on disk. After a loss it proves
/// less, never more: a process that began later is not taken for one of its group.
const LAZY: Duration = Duration::from_secs(60);

impl Journal {
    /// Returns the ledger of the running boot. In another one, pids and ticks mean other
    /// processes.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be read. It is then not known to be empty: what it would
    /// prove is unknown.
    pub fn load_ledger(&mut self, boot: &BootId) -> Result<Ledger, JournalError> {
        let stored = self.read("the ledger", |db| stored(db, boot))?;
        let ledger = stored.ledger.clone();
        self.ledger = Some(stored);
        Ok(ledger)
    }

    /// Stores gateways and descents where they changed, and deletes those that are no longer in
    /// the ledger, and all of other boots; if nothing differs, nothing is written. When a gateway
    /// was last seen may lag behind by a minute. A ledger before its first look says nothing, and
    /// changes nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if nothing was stored; the next call tries the same again.
    pub fn save_ledger(&mut self, ledger: &Ledger) -> Result<(), JournalError> {
        let Some(boot) = &ledger.boot else { return Ok(()) };
        if self.ledger.as_ref().is_some_and(|stored| stored.ledger.boot != ledger.boot) {
            self.ledger = None;
        }
        let read = |db: &Connection| stored(db, boot);
        let compare = |stored: &Stored| Changes::between(stored, ledger, boot);
        self.save("the ledger", |journal| &mut journal.ledger, read, compare).map(drop)
    }
}

/// What the database has.
#[derive(Debug)]
pub(super) struct Stored {
    /// Of one boot.
    ledger: Ledger,
    /// Whether it has anything of other boots.
    has_others: bool,
}

/// What must be written to get from the stored ledger to another of the same boot.
struct Changes<'a> {
    boot: &'a BootId,
    gateways: Vec<(ProcessId, UnixMillis)>,
    descents: Vec<(ProcessId, &'a Descent)>,
    gone_gateways: Vec<ProcessId>,
    gone_descents: Vec<ProcessId>,
    clears_others: bool,
}

impl<'a> Changes<'a> {
    fn between(stored: &Stored, wanted: &'a Ledger, boot: &'a BootId) -> Changes<'a> {
        let Stored { ledger: old, has_others } = stored;
        let is_late = |id, at| old.gateways.get(id).is_none_or(|old| apart(*old, at) > LAZY);
        let gateways = wanted.gateways.iter().filter(|(id, at)| is_late(*id, **at));
        let descents = wanted.descents.iter().filter(|(id, new)| old.descents.get(id) != Some(new));
        let gone_gateways = old.gateways.keys().filter(|id| !wanted.gateways.contains_key(id));
        let gone_descents = old.descents.keys().filter(|id| !wanted.descents.contains_key(id));
        Changes {
            boot,
            gateways: gateways.map(|(id, at)| (*id, *at)).collect(),
            descents: descents.map(|(id, descent)| (*id, descent)).collect(),
            gone_gateways: gone_gateways.copied().collect(),
            gone_descents: gone_descents.copied().collect(),
            clears_others: *has_others,
        }
    }

    fn delete(
        &self,
        tx: &Transaction<'_>,
        table: &str,
        gone: &[ProcessId],
    ) -> rusqlite::Result<()> {
        if self.clears_others {
            tx.execute(&format!("DELETE FROM {table} WHERE boot_id <> ?1"), [&self.boot.0])?;
        }
        let sql =
            format!("DELETE FROM {table} WHERE boot_id = ?1 AND pid = ?2 AND start_ticks = ?3");
        let mut delete = tx.prepare(&sql)?;
        for id in gone {
            delete.execute(params![self.boot.0, id.pid, id.start_ticks.cast_signed()])?;
        }
        Ok(())
    }

    fn put_gateways(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        let sql = "INSERT OR REPLACE INTO ledger_gateways (boot_id, pid, start_ticks, last_seen)
            VALUES (?1, ?2, ?3, ?4)";
        let mut put = tx.prepare(sql)?;
        for (id, seen) in &self.gateways {
            put.execute(params![self.boot.0, id.pid, id.start_ticks.cast_signed(), seen.0])?;
        }
        Ok(())
    }

    fn put_descents(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        let sql = "INSERT OR REPLACE INTO ledger_descents (
                boot_id, pid, start_ticks, gateway_pid, gateway_ticks, parent_pid, parent_ticks,
                argv_hash, session_key, first_seen
            ) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let mut put = tx.prepare(sql)?;
        for (id, descent) in &self.descents {
            put.execute(params![
                self.boot.0,
                id.pid,
                id.start_ticks.cast_signed(),
                descent.gateway.pid,
                descent.gateway.start_ticks.cast_signed(),
                descent.parent.pid,
                descent.parent.start_ticks.cast_signed(),
                descent.argv_hash.cast_signed(),
                descent.session_key.as_ref().map(|key| &key.0),
                descent.first_seen.0,
            ])?;
        }
        Ok(())
    }
}

impl Difference<Stored> for Changes<'_> {
    fn is_empty(&self) -> bool {
        let Changes { gateways, descents, gone_gateways, gone_descents, clears_others, .. } = self;
        gateways.is_empty()
            && descents.is_empty()
            && gone_gateways.is_empty()
            && gone_descents.is_empty()
            && !clears_others
    }

    fn write(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        self.delete(tx, "ledger_gateways", &self.gone_gateways)?;
        self.delete(tx, "ledger_descents", &self.gone_descents)?;
        self.put_gateways(tx)?;
        self.put_descents(tx)
    }

    fn apply(&self, stored: &mut Stored) {
        let Stored { ledger, has_others } = stored;
        for id in &self.gone_gateways {
            ledger.gateways.remove(id);
        }
        for id in &self.gone_descents {
            ledger.descents.remove(id);
        }
        ledger.gateways.extend(self.gateways.iter().copied());
        ledger.descents.extend(self.descents.iter().map(|(id, descent)| (*id, (*descent).clone())));
        *has_others = false;
    }
}

/// Reads the ledger of one boot. A database that could only be read may be from before it.
fn stored(db: &Connection, boot: &BootId) -> rusqlite::Result<Stored> {
    let mut ledger = Ledger { boot: Some(boot.clone()), ..Ledger::default() };
    if schema::version(db)? < schema::LEDGER {
        return Ok(Stored { ledger, has_others: false });
    }
    ledger.gateways = db
        .prepare("SELECT * FROM ledger_gateways WHERE boot_id = ?1")?
        .query_map([&boot.0], |row| Ok((own_id(row)?, millis(row, "last_seen")?)))?
        .collect::<rusqlite::Result<_>>()?;
    ledger.descents = db
        .prepare("SELECT * FROM ledger_descents WHERE boot_id = ?1")?
        .query_map([&boot.0], |row| Ok((own_id(row)?, descent(row)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let others = "SELECT EXISTS (SELECT 1 FROM ledger_gateways WHERE boot_id <> ?1)
            OR EXISTS (SELECT 1 FROM ledger_descents WHERE boot_id <> ?1)";
    let has_others = db.query_row(others, [&boot.0], |row| row.get(0))?;
    Ok(Stored { ledger, has_others })
}

fn own_id(row: &Row<'_>) -> rusqlite::Result<ProcessId> {
    process(row, "pid", "start_ticks")
}

fn descent(row: &Row<'_>) -> rusqlite::Result<Descent> {
    Ok(Descent {
        gateway: process(row, "gateway_pid", "gateway_ticks")?,
        parent: process(row, "parent_pid", "parent_ticks")?,
        argv_hash: bits(row, "argv_hash")?,
        session_key: row.get::<_, Option<String>>("session_key")?.map(SessionKey),
        first_seen: millis(row, "first_seen")?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, NOW, at, check_not_written, fill};
    use super::*;

    const GATEWAY: ProcessId = id(10);
    const AGENT: ProcessId = id(11);

    const fn id(pid: i32) -> ProcessId {
        ProcessId { pid, start_ticks: u64::MAX - 7 }
    }

    fn boot(name: &str) -> BootId {
        BootId(name.to_owned())
    }

    fn descent() -> Descent {
        Descent {
            gateway: GATEWAY,
            parent: ProcessId { pid: i32::MAX, start_ticks: 0 },
            argv_hash: u64::MAX,
            session_key: Some("agent:main:acp:1".into()),
            first_seen: UnixMillis(i64::MIN),
        }
    }

    fn some_ledger(name: &str) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.enter(&boot(name));
        ledger.see_gateway(GATEWAY, NOW);
        ledger.see(AGENT, descent());
        ledger.see(id(12), Descent { argv_hash: 1 << 63, session_key: None, ..descent() });
        ledger
    }

    fn empty(name: &str) -> Ledger {
        Ledger { boot: Some(boot(name)), ..Ledger::default() }
    }

    /// Returns what is on disk after `change` was made to a ledger that is on disk already, and
    /// whether that took a write.
    fn saved(change: impl FnOnce(&mut Ledger)) -> (Ledger, bool) {
        let folder = Folder::new();
        let mut journal = folder.open();
        let mut ledger = some_ledger("b");
        journal.save_ledger(&ledger).unwrap();
        let before = journal.db.total_changes();
        change(&mut ledger);
        journal.save_ledger(&ledger).unwrap();
        let wrote = journal.db.total_changes() != before;
        (folder.open().load_ledger(&boot("b")).unwrap(), wrote)
    }

    #[track_caller]
    fn check_stored(change: fn(&mut Ledger)) {
        let mut want = some_ledger("b");
        change(&mut want);
        assert_eq!(saved(change), (want, true));
    }

    #[test]
    fn what_was_saved_is_loaded_by_the_next_process() {
        let folder = Folder::new();
        assert_eq!(folder.open().load_ledger(&boot("b")).unwrap(), empty("b"));
        folder.open().save_ledger(&some_ledger("b")).unwrap();
        assert_eq!(folder.open().load_ledger(&boot("b")).unwrap(), some_ledger("b"));
    }

    #[test]
    fn what_changed_is_stored_and_what_is_gone_deleted() {
        check_stored(|ledger| ledger.see_gateway(id(20), at(1)));
        check_stored(|ledger| ledger.see(id(20), descent()));
        check_stored(|ledger| ledger.note_session(id(12), &"agent:main:acp:2".into()));
        check_stored(|ledger| ledger.retain(|id| id != AGENT));
        check_stored(|ledger| ledger.gateways.clear());
    }

    #[test]
    fn the_sight_of_a_gateway_is_stored_late() {
        for (millis, wrote) in [(60_000, false), (60_001, true), (-60_000, false), (-60_001, true)]
        {
            let seen = UnixMillis(NOW.0 + millis);
            let (on_disk, did) = saved(|ledger| ledger.see_gateway(GATEWAY, seen));
            assert_eq!((on_disk.gateways[&GATEWAY], did), (if wrote { seen } else { NOW }, wrote));
        }
    }

    #[test]
    fn a_pass_without_change_does_not_even_wait_for_a_writer() {
        let folder = Folder::new();
        folder.open().save_ledger(&some_ledger("b")).unwrap();
        let mut journal = folder.open();
        journal.db.busy_timeout(Duration::ZERO).unwrap();
        let writer = folder.raw();
        writer.execute_batch("BEGIN IMMEDIATE").unwrap();
        for _ in 0..2 {
            journal.save_ledger(&some_ledger("b")).unwrap();
        }
        check_not_written(journal.save_ledger(&empty("b")), "another clawarden is writing");
    }

    #[test]
    fn another_boot_has_another_ledger_and_the_old_one_goes_when_that_is_saved() {
        let folder = Folder::new();
        folder.open().save_ledger(&some_ledger("b")).unwrap();
        let mut journal = folder.open();
        assert_eq!(journal.load_ledger(&boot("c")).unwrap(), empty("c"));
        assert_eq!(journal.load_ledger(&boot("b")).unwrap(), some_ledger("b"));
        let mut new = empty("c");
        new.see_gateway(GATEWAY, NOW);
        journal.save_ledger(&new).unwrap();
        assert_eq!(folder.open().load_ledger(&boot("c")).unwrap(), new);
        assert_eq!(folder.open().load_ledger(&boot("b")).unwrap(), empty("b"));
        let left: i64 = folder
            .raw()
            .query_row("SELECT count(*) FROM ledger_descents", [], |row| row.get(0))
            .unwrap();
        assert_eq!(left, 0);
        let writer = folder.raw();
        writer.execute_batch("BEGIN IMMEDIATE").unwrap();
        journal.db.busy_timeout(Duration::ZERO).unwrap();
        journal.save_ledger(&new).unwrap();
    }

    #[test]
    fn a_ledger_before_its_first_look_changes_nothing() {
        let folder = Folder::new();
        let mut journal = folder.open();
        journal.save_ledger(&some_ledger("b")).unwrap();
        journal.save_ledger(&Ledger::default()).unwrap();
        assert_eq!(folder.open().load_ledger(&boot("b")).unwrap(), some_ledger("b"));
    }

    #[test]
    fn a_failed_save_is_tried_again() {
        let folder = Folder::new();
        let mut journal = folder.open();
        fill(&journal);
        let mut large = some_ledger("b");
        (100..2_000).for_each(|pid| large.see(id(pid), descent()));
        check_not_written(journal.save_ledger(&large), "free space");
        assert_eq!(folder.beside().load_ledger(&boot("b")).unwrap(), empty("b"));
        journal.db.pragma_update(None, "max_page_count", 100_000).unwrap();
        journal.save_ledger(&large).unwrap();
        assert_eq!(folder.beside().load_ledger(&boot("b")).unwrap(), large);
    }

    #[test]
    fn numbers_that_are_no_pids_are_errors() {
        for set in
            ["pid = 0", "pid = -11", "pid = 5000000000", "gateway_pid = 0", "parent_pid = -1"]
        {
            let folder = Folder::new();
            folder.open().save_ledger(&some_ledger("b")).unwrap();
            let sql = format!("UPDATE ledger_descents SET {set} WHERE pid = 11");
            assert_eq!(folder.raw().execute(&sql, []).unwrap(), 1);
            let error = folder.open().load_ledger(&boot("b")).unwrap_err();
            assert!(matches!(error, JournalError::Read { what: "the ledger", .. }), "{error}");
            folder.open().save_ledger(&empty("b")).unwrap_err();
        }
    }
}
