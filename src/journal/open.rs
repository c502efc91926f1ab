//! Opening the database: private, whole, of a known version; else set aside or refused.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::home::{QUARANTINE, private_file};
use super::{Instance, Journal, JournalError, schema};
use crate::model::UnixMillis;

const FILE: &str = "clawarden.db";
/// Our own transactions take milliseconds; longer means that something is wrong.
const BUSY: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(20);
/// How far the numbers of actions jump when a database is lost. Folders in quarantine show
/// only some of its numbers, and none may be used twice: the default hourly limit fills this
/// in more than four months.
const NUMBERS_JUMP: i64 = 100_000;
/// How many damaged databases may lie beside each other within one second.
const ASIDE_MAX: u32 = 100;

/// A journal that was opened for writing, and what had to be done for it.
#[derive(Debug)]
pub struct Opened {
    /// The journal.
    pub journal: Journal,
    /// Where the damaged one before it lies, if there was one. To be reported: it held what is
    /// now forgotten.
    pub set_aside: Option<PathBuf>,
}

impl Journal {
    /// Opens the journal of a watch folder, and makes it if it is missing.
    ///
    /// Every page is read (measured: 42 ms for 14 MB, the most that changes of judgements take).
    /// A damaged database is moved away and a new one is begun. Only the one instance of the
    /// folder may do that: another process would pull it from under a running daemon.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be made, opened or set aside, or if a later
    /// clawarden wrote it.
    pub fn open(instance: &Instance, now: UnixMillis) -> Result<Opened, JournalError> {
        let path = instance.dir().join(FILE);
        match connect(&path).and_then(whole).and_then(trusted) {
            Ok(journal) => Ok(Opened { journal, set_aside: None }),
            Err(error) if error.is_corrupt() => {
                let set_aside = set_aside(&path, now)
                    .map_err(|source| JournalError::SetAside { path: path.clone(), source })?;
                let journal = connect(&path).and_then(trusted)?;
                Ok(Opened { journal, set_aside: Some(set_aside) })
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the journal beside a daemon that may be running, for `pause`, `undo` and the like,
    /// and makes it if it is missing.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be made or opened, is damaged, or if a later
    /// clawarden wrote it.
    pub fn open_beside(dir: &Path) -> Result<Journal, JournalError> {
        connect(&dir.join(FILE)).and_then(trusted)
    }

    /// Opens the journal for reading. A missing one is empty, and is not made; beside one that
    /// exists, SQLite may make its shared index. One of an earlier version stays as it is: what
    /// later ones added reads as empty.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read, is damaged, or if a later clawarden wrote it.
    pub fn open_read_only(dir: &Path) -> Result<Journal, JournalError> {
        let path = dir.join(FILE);
        let failed = |source| JournalError::Open { path: path.clone(), source };
        let mut db = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            _ => Some(read_only(&path).map_err(failed)?),
        };
        if db.as_ref().map_or(Ok(0), schema::version).map_err(failed)? == 0 {
            let mut empty = Connection::open_in_memory().map_err(failed)?;
            schema::migrate(&mut empty, 0).map_err(failed)?;
            db = Some(empty);
        }
        let db = db.ok_or(rusqlite::Error::InvalidQuery).map_err(failed)?;
        db.pragma_update(None, "query_only", true).map_err(failed)?;
        known(&path, &db)?;
        Ok(Journal::new(db, path))
    }
}

fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY)?;
    Ok(db)
}

fn connect(path: &Path) -> Result<Journal, JournalError> {
    make(path).map_err(|source| JournalError::Create { path: path.to_owned(), source })?;
    let failed = |source| JournalError::Open { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags).map_err(failed)?;
    db.busy_timeout(BUSY).map_err(failed)?;
    // Closing a damaged database would mix its log into it: both are to be set aside as found.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(failed)?;
    known(path, &db)?;
    configure(&db).map_err(failed)?;
    schema::migrate(&mut db, numbers_used(path)).map_err(failed)?;
    known(path, &db)?;
    Ok(Journal::new(db, path.to_owned()))
}

/// Makes the file private, as SQLite gives the files beside it the same mode. One that exists
/// is not opened for that: closing it would end the locks of any connection of this process.
fn make(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.mode() & 0o7777 == 0o600 => Ok(()),
        Ok(_) => fs::set_permissions(path, Permissions::from_mode(0o600)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => private_file(path).map(drop),
        Err(error) => Err(error),
    }
}

/// Refuses a schema from the future before anything is changed in it.
fn known(path: &Path, db: &Connection) -> Result<(), JournalError> {
    let found = schema::version(db)
        .map_err(|source| JournalError::Open { path: path.to_owned(), source })?;
    if !(0..=schema::CURRENT).contains(&found) {
        let known = schema::CURRENT;
        return Err(JournalError::Newer { path: path.to_owned(), found, known });
    }
    Ok(())
}

fn configure(db: &Connection) -> rusqlite::Result<()> {
    use_log(db)?;
    // With NORMAL an intent could be lost with the power, after its action was taken.
    db.pragma_update(None, "synchronous", "FULL")?;
    // Only macOS knows it: its fsync leaves the bytes in the drive's cache.
    db.pragma_update(None, "fullfsync", true)?;
    db.pragma_update(None, "foreign_keys", true)?;
    // KiB. The default of 2 MiB would be a fifth of the daemon's memory budget.
    db.pragma_update(None, "cache_size", -256)
}

/// Switches to the write-ahead log, which is asked for once in the life of a database.
///
/// Two processes that both make it would wait for each other, so SQLite does not let them wait.
fn use_log(db: &Connection) -> rusqlite::Result<()> {
    let mut waited = Duration::ZERO;
    loop {
        match db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())) {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && waited < BUSY =>
            {
                std::thread::sleep(RETRY);
                waited += RETRY;
            }
            result => return result,
        }
    }
}

/// Reads every page, which is how a damaged database is found before it is relied on.
fn whole(journal: Journal) -> Result<Journal, JournalError> {
    let verdict: rusqlite::Result<String> =
        journal.db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    let source = match verdict {
        Ok(text) if text == "ok" => return Ok(journal),
        Ok(text) => rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
            Some(text),
        ),
        Err(source) => source,
    };
    Err(JournalError::Open { path: journal.path, source })
}

/// Lets the database take in its log when it is closed.
fn trusted(journal: Journal) -> Result<Journal, JournalError> {
    match journal.db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false) {
        Ok(_) => Ok(journal),
        Err(source) => Err(JournalError::Open { path: journal.path, source }),
    }
}

/// Moves the database and the files beside it to a free name, and returns the new one.
fn set_aside(path: &Path, now: UnixMillis) -> io::Result<PathBuf> {
    let stamp: String = now.to_string().chars().filter(char::is_ascii_alphanumeric).collect();
    let free = (1..=ASIDE_MAX).map(|nth| match nth {
        1 => suffixed(path, &format!(".corrupt-{stamp}")),
        _ => suffixed(path, &format!(".corrupt-{stamp}-{nth}")),
    });
    let target = free
        .into_iter()
        .find(|target| fs::symlink_metadata(target).is_err())
        .ok_or(io::ErrorKind::AlreadyExists)?;
    // The log goes first: it must never be found beside another database than its own.
    for beside in ["-wal", "-shm", ""] {
        #[expect(clippy::disallowed_methods, reason = "our own file, to a name that is free")]
        match fs::rename(suffixed(path, beside), suffixed(&target, beside)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(target)
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Returns a number that no earlier action of this folder had exceeded, for a new database.
fn numbers_used(path: &Path) -> i64 {
    let Some(dir) = path.parent() else { return 0 };
    let names = |dir: &Path| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok())
    };
    let kept = names(&dir.join(QUARANTINE)).filter_map(|name| name.parse::<i64>().ok()).max();
    let lost = names(dir).any(|name| name.starts_with(&format!("{FILE}.corrupt-")));
    let kept = kept.unwrap_or(0).clamp(0, i64::MAX / 2);
    if lost { (kept / NUMBERS_JUMP + 1) * NUMBERS_JUMP } else { kept }
}

#[cfg(test)]
mod tests {
    use super::super::HistoryFilter;
    use super::super::testing::{Folder, NOW, intent};
    use super::*;

    #[test]
    fn is_private_durable_and_the_same_again() {
        let folder = Folder::new();
        let mut journal = folder.open();
        journal.intend(&intent("a", NOW)).unwrap();
        for name in [FILE, "clawarden.db-wal", "clawarden.db-shm"] {
            let mode = fs::metadata(folder.dir.path().join(name)).unwrap().mode();
            assert_eq!(mode & 0o7777, 0o600, "{name}");
        }
        let pragma = |name| journal.db.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0));
        assert_eq!((pragma("synchronous"), pragma("foreign_keys")), (Ok(2), Ok(1)));
        drop(journal);
        let opened = Journal::open(&folder.instance, NOW).unwrap();
        assert_eq!(opened.set_aside, None);
        assert_eq!(opened.journal.in_doubt().unwrap().len(), 1);
    }

    #[test]
    fn a_file_that_is_no_database_is_set_aside_and_kept() {
        let folder = Folder::new();
        let path = folder.dir.path().join(FILE);
        let junk = "no database at all ".repeat(100);
        for nth in ["", "-2"] {
            fs::write(&path, &junk).unwrap();
            let Opened { mut journal, set_aside } = Journal::open(&folder.instance, NOW).unwrap();
            let aside = suffixed(&path, &format!(".corrupt-20261120T072132734Z{nth}"));
            assert_eq!(set_aside.as_ref(), Some(&aside));
            assert_eq!(fs::read_to_string(aside).unwrap(), junk);
            journal.intend(&intent("a", NOW)).unwrap();
            drop(journal);
        }
    }

    #[test]
    fn a_damaged_page_is_found_at_the_start() {
        let folder = Folder::new();
        let mut journal = folder.open();
        for _ in 0..200 {
            journal.intend(&intent("a", NOW)).unwrap();
        }
        drop(journal);
        let path = folder.dir.path().join(FILE);
        let mut bytes = fs::read(&path).unwrap();
        let half = bytes.len() / 2;
        bytes[half..].fill(0xA5);
        fs::write(&path, bytes).unwrap();
        let opened = Journal::open(&folder.instance, NOW).unwrap();
        assert!(opened.set_aside.is_some());
        assert!(opened.journal.in_doubt().unwrap().is_empty());
    }

    #[test]
    fn the_log_of_a_damaged_file_does_not_get_into_the_new_one() {
        let folder = Folder::new();
        folder.open().intend(&intent("a", NOW)).unwrap();
        let (path, log) =
            (folder.dir.path().join(FILE), folder.dir.path().join("clawarden.db-wal"));
        let mut journal = folder.open();
        journal.intend(&intent("b", NOW)).unwrap();
        let left_by_a_crash = fs::read(&log).unwrap();
        drop(journal);
        fs::write(&path, "no database at all ".repeat(3_000)).unwrap();
        fs::write(&log, &left_by_a_crash).unwrap();
        let opened = Journal::open(&folder.instance, NOW).unwrap();
        let aside = suffixed(&opened.set_aside.unwrap(), "-wal");
        assert_eq!(fs::read(aside).unwrap(), left_by_a_crash);
        assert!(opened.journal.in_doubt().unwrap().is_empty());
    }

    #[test]
    fn only_the_instance_sets_a_damaged_file_aside() {
        let folder = Folder::new();
        let path = folder.dir.path().join(FILE);
        fs::write(&path, "no database at all ".repeat(100)).unwrap();
        for error in [
            Journal::open_beside(folder.dir.path()).unwrap_err(),
            Journal::open_read_only(folder.dir.path()).unwrap_err(),
        ] {
            assert!(error.is_corrupt(), "{error}");
        }
        assert!(path.exists());
    }

    #[test]
    fn a_file_cut_after_any_page_is_opened_or_set_aside() {
        let folder = Folder::new();
        folder.open().intend(&intent("a", NOW)).unwrap();
        let path = folder.dir.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        for cut in (0..whole.len()).step_by(1_000) {
            fs::write(&path, &whole[..cut]).unwrap();
            let Opened { journal, set_aside } = Journal::open(&folder.instance, NOW).unwrap();
            // The end of the last page may be empty: then nothing is missing.
            let found = journal.in_doubt().unwrap().len();
            assert!((found == 1) != (set_aside.is_some() || cut == 0), "cut after {cut}");
        }
    }

    #[test]
    fn a_newer_database_is_refused_and_not_touched() {
        let folder = Folder::new();
        drop(folder.open());
        let path = folder.dir.path().join(FILE);
        let raw = folder.raw();
        raw.pragma_update(None, "user_version", schema::CURRENT + 1).unwrap();
        // Even the switch to the write-ahead log would be a change.
        raw.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())).unwrap();
        let before = fs::read(&path).unwrap();
        for error in [
            Journal::open(&folder.instance, NOW).unwrap_err(),
            Journal::open_beside(folder.dir.path()).unwrap_err(),
            Journal::open_read_only(folder.dir.path()).unwrap_err(),
        ] {
            let JournalError::Newer { found, known, .. } = error else { panic!("{error}") };
            assert_eq!((found, known), (schema::CURRENT + 1, schema::CURRENT));
        }
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_missing_or_unborn_journal_reads_as_empty_and_is_not_made() {
        let folder = Folder::new();
        let path = folder.dir.path().join(FILE);
        let read = || {
            let mut journal = Journal::open_read_only(folder.dir.path()).unwrap();
            assert!(journal.actions(&HistoryFilter::default()).unwrap().is_empty());
            assert_eq!(journal.load_history(NOW).unwrap(), crate::model::History::default());
            journal.pause(NOW, "").unwrap_err();
        };
        read();
        assert!(!path.exists());
        fs::write(&path, "").unwrap();
        read();
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    }

    #[test]
    fn reads_beside_a_daemon_and_after_it() {
        let folder = Folder::new();
        let mut daemon = folder.open();
        daemon.intend(&intent("a", NOW)).unwrap();
        let count =
            || Journal::open_read_only(folder.dir.path()).unwrap().in_doubt().unwrap().len();
        assert_eq!(count(), 1);
        drop(daemon);
        assert_eq!(count(), 1);
    }

    #[test]
    fn a_new_database_does_not_use_the_numbers_of_a_lost_one() {
        let folder = Folder::new();
        let dir = folder.dir.path();
        for kept in ["7", "12", "notes", "-3"] {
            fs::create_dir_all(dir.join(QUARANTINE).join(kept)).unwrap();
        }
        assert_eq!(folder.open().intend(&intent("a", NOW)).unwrap().0, 13);
        fs::write(dir.join(FILE), "no database at all ".repeat(100)).unwrap();
        assert_eq!(folder.open().intend(&intent("a", NOW)).unwrap().0, NUMBERS_JUMP + 1);
    }

    #[test]
    fn two_processes_may_make_it_at_the_same_time() {
        for _ in 0..10 {
            let folder = Folder::new();
            let makers = [(); 4].map(|()| {
                let dir = folder.dir.path().to_owned();
                std::thread::spawn(move || Journal::open_beside(&dir).map(drop))
            });
            for maker in makers {
                maker.join().unwrap().unwrap();
            }
        }
    }
}
