//! Off switches that survive a restart. Any process may set them; passes read them.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::row::millis;
use super::{Journal, JournalError};
use crate::model::{Controls, Protection, UnixMillis};

impl Journal {
    /// Returns what is switched off at `now`. What has expired is left out.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be read. It is then not known to be nothing: no action.
    pub fn controls(&self, now: UnixMillis) -> Result<Controls, JournalError> {
        self.read("the off switches", |db| controls(db, now))
    }

    /// Allows no action before `until`. Replaces an earlier pause.
    ///
    /// # Errors
    ///
    /// Returns an error if it was not stored: actions go on.
    pub fn pause(&mut self, until: UnixMillis, reason: &str) -> Result<(), JournalError> {
        self.write("the pause", |tx| {
            let sql = "INSERT OR REPLACE INTO pause (id, until, reason) VALUES (1, ?1, ?2)";
            tx.execute(sql, params![until.0, reason]).map(drop)
        })
    }

    /// Ends the pause, and returns true if there was one, expired or not.
    ///
    /// # Errors
    ///
    /// Returns an error if it was not stored: the pause goes on.
    pub fn resume(&mut self) -> Result<bool, JournalError> {
        self.write("the end of the pause", |tx| Ok(tx.execute("DELETE FROM pause", [])? > 0))
    }

    /// Leaves the subject with this id alone until `until`. Replaces an earlier protection.
    ///
    /// # Errors
    ///
    /// Returns an error if it was not stored: the subject is not protected.
    pub fn protect(&mut self, id: &str, until: UnixMillis) -> Result<(), JournalError> {
        self.write("the protection", |tx| {
            let sql = "INSERT OR REPLACE INTO protections (subject_id, until) VALUES (?1, ?2)";
            tx.execute(sql, params![id, until.0]).map(drop)
        })
    }

    /// Ends the protection of a subject, and returns true if there was one, expired or not.
    ///
    /// # Errors
    ///
    /// Returns an error if it was not stored: the subject stays protected.
    pub fn unprotect(&mut self, id: &str) -> Result<bool, JournalError> {
        self.write("the end of the protection", |tx| {
            Ok(tx.execute("DELETE FROM protections WHERE subject_id = ?1", [id])? > 0)
        })
    }
}

fn controls(db: &Connection, now: UnixMillis) -> rusqlite::Result<Controls> {
    let paused = db
        .query_row("SELECT until, reason FROM pause WHERE until > ?1", [now.0], |row| {
            Ok((millis(row, "until")?, row.get("reason")?))
        })
        .optional()?;
    let protected = db
        .prepare("SELECT * FROM protections WHERE until > ?1 ORDER BY subject_id")?
        .query_map([now.0], |row| {
            Ok(Protection { id: row.get("subject_id")?, until: millis(row, "until")? })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Controls { paused, protected })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, NOW, at};
    use super::*;

    #[test]
    fn a_daemon_sees_what_another_process_switches_off() {
        let folder = Folder::new();
        let (mut daemon, mut command) = (folder.open(), folder.beside());
        let mut history = daemon.load_history(NOW).unwrap();
        command.pause(at(60), "upgrade").unwrap();
        command.protect("a", at(30)).unwrap();
        daemon.refresh_history(&mut history, NOW).unwrap();
        assert_eq!(history.controls.paused, Some((at(60), "upgrade".to_owned())));
        assert_eq!(history.controls.protects("a", NOW), Some(at(30)));
        assert!(command.resume().unwrap() && command.unprotect("a").unwrap());
        daemon.refresh_history(&mut history, NOW).unwrap();
        assert_eq!(history.controls, Controls::default());
        assert!(!command.resume().unwrap() && !command.unprotect("a").unwrap());
    }

    #[test]
    fn a_later_switch_replaces_the_earlier() {
        let folder = Folder::new();
        let mut journal = folder.open();
        for (until, reason) in [(at(600), "long"), (at(60), "short")] {
            journal.pause(until, reason).unwrap();
            journal.protect("a", until).unwrap();
        }
        let controls = journal.controls(NOW).unwrap();
        assert_eq!(controls.paused, Some((at(60), "short".to_owned())));
        assert_eq!(controls.protected, [Protection { id: "a".to_owned(), until: at(60) }]);
    }

    #[test]
    fn a_switch_holds_until_its_instant_and_not_on_it() {
        let folder = Folder::new();
        let mut journal = folder.open();
        journal.pause(at(60), "").unwrap();
        journal.protect("a", at(60)).unwrap();
        let before = UnixMillis(at(60).0 - 1);
        let controls = journal.controls(before).unwrap();
        assert!(controls.paused.is_some() && controls.protected.len() == 1);
        assert_eq!(journal.controls(at(60)).unwrap(), Controls::default());
    }

    #[test]
    fn a_saved_history_does_not_undo_a_switch() {
        let folder = Folder::new();
        let (mut daemon, mut command) = (folder.open(), folder.beside());
        let history = daemon.load_history(NOW).unwrap();
        command.pause(at(60), "").unwrap();
        daemon.save_history(&history).unwrap();
        assert!(daemon.controls(NOW).unwrap().paused.is_some());
    }
}
